// Loaded checkpoints as chips: choose, look at, unload. Events: choose {spec}, release {spec}.
const build = () => {
  const value = props.value, root = one('.fv-chipbar'); root.replaceChildren(); if (!value) return;
  for (const item of value.items) {
    const chip = make('span', 'fv-ck' + (item.chosen ? ' on' : ''));
    const name = button('fv-ck-name', item.name, item.details, () => trigger('choose', { spec: item.spec }));
    name.setAttribute('aria-pressed', item.chosen); chip.append(make('span', 'fv-dot ' + item.state), name, make('span', 'fv-quiet', item.memory));
    chip.append(button('fv-mini fv-x', '\u00d7', `Unload ${item.name} and free ${item.memory}`, () => trigger('release', { spec: item.spec })));
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
// Keys of the whole page: Esc stops a running answer, ? lists the keys.
const KEYS = [['Enter', 'send the question'], ['Shift + Enter', 'break the line'], ['Esc', 'stop the running answer'], ['\u2190 \u2192', 'move through tokens'],
  ['\u2191 \u2193', 'move through a list, or into alternatives'], ['?', 'this list']];
const help = make('dialog', 'fv-help'); help.setAttribute('aria-label', 'Keys');
const list = make('dl'); for (const [key, text] of KEYS) { const dt = make('dt'); dt.append(make('kbd', '', key)); list.append(dt, make('dd', '', text)); }
help.append(make('h2', '', 'Keys'), list, button('fv-mini', 'Close', 'Close this list', () => help.close())); element.append(help);
const typing = (node) => node && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName));
document.addEventListener('keydown', (e) => {
  if (e.key === '?' && !typing(e.target)) { help.open ? help.close() : help.showModal(); e.preventDefault(); }
  if (e.key === 'Escape' && !help.open) { const stop = document.querySelector('#stop'); if (stop && stop.offsetParent) stop.click(); }
});
watch('value', build); build();
// 'choose' 'release'
