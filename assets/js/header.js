// Loaded checkpoints as chips: choose, look at, unload. Events: choose {spec}, unload {spec}.
const build = () => {
  const value = props.value, root = one('.fv-chipbar'); root.replaceChildren(); if (!value) return;
  for (const item of value.items) {
    const chip = make('span', 'fv-ck' + (item.chosen ? ' on' : ''));
    const name = button('fv-ck-name', item.name, item.details, () => trigger('choose', { spec: item.spec }));
    name.setAttribute('aria-pressed', item.chosen); chip.append(make('span', 'fv-dot ' + item.state), name, make('span', 'fv-quiet', item.memory));
    chip.append(button('fv-mini fv-x', '\u00d7', `Unload ${item.name} and free ${item.memory}`, () => trigger('unload', { spec: item.spec })));
    root.append(chip);
  }
  const status = one('.fv-status'); status.replaceChildren();
  if (value.progress) {
    status.append(make('span', '', value.progress.text));
    if (value.progress.share !== null) { const bar = make('progress'); bar.max = 1; bar.value = value.progress.share; status.append(bar); }
  }
  if (value.error) status.append(make('span', 'fv-error', value.error));
  for (const badge of value.badges) { const node = make('span', 'fv-badge' + (badge.can ? '' : ' off'), badge.text); node.title = badge.why; status.append(node); }
  if (value.limits) status.append(make('span', 'fv-quiet fv-limits', value.limits));
  if (value.trouble) status.append(make('span', 'fv-error', value.trouble));
};
watch('value', build); build();
// 'choose' 'unload'
