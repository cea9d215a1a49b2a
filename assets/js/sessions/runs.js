// The list of logged turns under their sessions. Event: open {run}. Arrow keys move, Enter opens.
const line = (item, chosen) => {
  const node = button('fv-run' + (chosen ? ' on' : ''), '', '', () => {
    mark(item.run);
    trigger('open', { run: item.run });
  });
  node.dataset.run = item.run;
  node.setAttribute('aria-current', chosen);
  const head = make('span', 'fv-run-q', item.question);
  node.append(head);
  if (item.state) head.append(make('span', 'fv-state', item.state));
  if (item.answer) node.append(make('span', 'fv-run-a', item.answer));
  if (item.trouble) node.append(make('span', 'fv-run-a fv-error', item.trouble));
  const facts = make('span', 'fv-run-f');
  for (const fact of item.facts) facts.append(make('bdi', '', fact));
  node.append(facts);
  return node;
};
const all = () => [...element.querySelectorAll('.fv-run')];
const mark = (run) =>
  all().forEach((node) => {
    node.classList.toggle('on', node.dataset.run === run);
    node.setAttribute('aria-current', node.dataset.run === run);
  });
const build = () => {
  const value = props.value,
    root = one('.fv-runs');
  if (!value) return;
  const old = one('.fv-list'),
    stay = old ? old.scrollTop : 0,
    focused = element.contains(document.activeElement) ? document.activeElement.dataset.run : null;
  root.replaceChildren();
  if (!value.rows.length) {
    root.append(make('p', 'fv-empty', value.empty));
    return;
  }
  const list = make('div', 'fv-list');
  list.setAttribute('role', 'group');
  list.setAttribute('aria-label', 'Turns. Up and down move, Enter opens.');
  for (const item of value.rows) {
    if (item.heading) list.append(make('h3', 'fv-run-s', item.heading));
    list.append(line(item, item.run === value.chosen));
  }
  root.append(make('p', 'fv-quiet', value.caption), list);
  list.scrollTop = stay;
  roving(
    all(),
    Math.max(
      0,
      all().findIndex((node) => node.dataset.run === (focused || value.chosen)),
    ),
  );
  if (focused) list.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
};
element.addEventListener('focusin', (e) => {
  const node = e.target.closest('.fv-run');
  if (node) roving(all(), all().indexOf(node));
});
element.addEventListener('keydown', (e) => {
  const node = e.target.closest('.fv-run');
  if (!node) return;
  const at = all().indexOf(node),
    to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all().length - 1 }[e.key];
  if (to !== undefined && all()[to]) {
    all()[to].focus();
    e.preventDefault();
  }
});
watch('value', build);
build();
// 'open'
