// The list of logged turns. Event: open {run}. Arrow keys move, Enter opens.
const cell = (row, text, className) => { const td = make('td', className, text); row.append(td); return td; };
const build = () => {
  const value = props.value, root = one('.fv-runs'); root.replaceChildren(); if (!value) return;
  if (!value.rows.length) { root.append(make('p', 'fv-empty', value.empty)); return; }
  root.append(make('p', 'fv-quiet', value.caption));
  const box = make('div', 'fv-tablebox'), table = make('table'), head = make('tr');
  for (const [text, className] of [['When'], ['Checkpoint'], ['Panel'], ['Question'], ['Answer'], ['State'], ['Rating'], ['Tokens', 'num'], ['Time', 'num']]) head.append(make('th', className, text));
  const thead = make('thead'); thead.append(head); const body = make('tbody');
  for (const item of value.rows) {
    const row = make('tr', item.run === value.chosen ? 'on' : ''); row.tabIndex = 0; row.dataset.run = item.run;
    cell(row, item.when); cell(row, item.checkpoint); cell(row, item.panel); cell(row, item.question); cell(row, item.answer);
    cell(row, item.status); cell(row, item.rating); cell(row, item.tokens, 'num'); cell(row, item.time, 'num'); body.append(row);
  }
  const pick = (row) => { if (row) trigger('open', { run: row.dataset.run }); };
  body.addEventListener('click', (e) => pick(e.target.closest('tr')));
  body.addEventListener('keydown', (e) => {
    const row = e.target.closest('tr'); if (!row) return;
    if (e.key === 'Enter') pick(row);
    const to = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[e.key];
    if (to) { to.focus(); e.preventDefault(); }
  });
  table.append(thead, body); box.append(table); root.append(box);
};
watch('value', build); build();
// 'open'
