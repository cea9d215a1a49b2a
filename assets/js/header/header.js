// Loaded checkpoints as chips: choose, look at, unload. Events: choose {spec}, release {spec}, halt.
const chip = (item, shared) => {
  // what others use too, nobody unloads
  const node = make('span', 'fv-ck' + (item.chosen ? ' on' : '')),
    name = button('fv-ck-name', item.name, item.details, () => trigger('choose', { spec: item.spec }));
  name.setAttribute('aria-pressed', item.chosen);
  node.append(make('span', 'fv-dot ' + item.state), name, make('span', 'fv-quiet', item.memory));
  if (item.state === 'ready' && !shared)
    node.append(
      button('fv-mini fv-x', '\u00d7', `Unload ${item.name} and free ${item.memory}`, () =>
        trigger('release', { spec: item.spec }),
      ),
    );
  return node;
};
const progress = ({ text, share }) => {
  const box = make('span', 'fv-progress'),
    bar = make('progress');
  bar.max = 1;
  if (share !== null) bar.value = share;
  bar.setAttribute('aria-label', 'Loading');
  box.append(
    bar,
    make('span', '', text),
    button('fv-mini', 'Stop', 'Stop loading', () => trigger('halt', {})),
  );
  return box;
};
const build = () => {
  const value = props.value,
    root = one('.fv-chipbar');
  root.replaceChildren();
  if (!value) return;
  root.append(...value.items.map((item) => chip(item, value.shared)));
  const status = one('.fv-status');
  status.replaceChildren();
  status.classList.toggle('alert', Boolean(value.error || value.trouble));
  for (const text of [value.error, value.trouble])
    if (text) {
      const node = make('span', 'fv-error', text);
      node.setAttribute('role', 'alert');
      status.append(node);
    }
  if (value.progress) {
    status.append(progress(value.progress));
    return;
  }
  for (const badge of value.badges) {
    const node = make('span', 'fv-badge' + (badge.can ? '' : ' off'), badge.text);
    node.title = badge.why;
    status.append(node);
  }
  if (value.place) status.append(make('span', 'fv-quiet', value.place));
  if (value.limits) {
    const node = make('span', 'fv-quiet fv-limits', value.limits);
    node.title = value.limits;
    status.append(node);
  }
};
// Keys of the whole page: Esc stops a running answer, ? lists the keys.
const KEYS = [
  ['Enter', 'send the question'],
  ['Shift + Enter', 'break the line'],
  ['Esc', 'stop the running answer, close what is open'],
  ['\u2190 \u2192', 'move through the tokens of an answer'],
  ['\u2193 \u2191', 'move through a list, into alternatives and back'],
  ['\u2190 \u2191 \u2192 \u2193', 'move the patch in Patches; with Shift, widen it to a region'],
  ['Tab', 'go to the next control'],
  ['?', 'this list'],
];
const help = make('dialog', 'fv-help');
help.setAttribute('aria-label', 'Keys');
document.body.append(help);
const list = make('dl');
for (const [key, text] of KEYS) {
  const dt = make('dt');
  dt.append(make('kbd', '', key));
  list.append(dt, make('dd', '', text));
}
help.append(
  make('h2', '', 'Keys'),
  list,
  button('fv-mini', 'Close', 'Close this list', () => help.close()),
);
const ask = () => {
  help.open ? help.close() : help.showModal();
};
one('.fv-keys').addEventListener('click', ask);
const typing = (node) =>
  node &&
  (node.isContentEditable ||
    /^(TEXTAREA|SELECT)$/.test(node.tagName) ||
    (node.tagName === 'INPUT' && !/^(checkbox|radio|range|button)$/.test(node.type)));
document.addEventListener('keydown', (e) => {
  if (e.key === '?' && !typing(e.target)) {
    ask();
    e.preventDefault();
  }
  if (e.key === 'Escape' && !document.querySelector('dialog[open]')) {
    const stop = document.querySelector('#stop');
    if (stop && stop.offsetParent) stop.click();
  }
});
watch('value', build);
build();
// 'choose' 'release' 'halt'
