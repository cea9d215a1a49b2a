// The finished turns of a chat. Events: act {run, action}, branch {run, index, id}, go {run}.
const open = new Set();
const answerBody = (turn) => {
  const body = make('div', 'fv-said');
  const text = () => {
    const said = make('div', 'fv-text', turn.answer);
    if (!turn.answer && turn.status === 'done') said.append(make('span', 'fv-quiet', '(an empty answer)'));
    return said;
  };
  const fill = () => body.replaceChildren(open.has(turn.run) && turn.tokens ? chips(turn, (index, id) => trigger('branch', { run: turn.run, index, id })) : text());
  fill();
  if (turn.error) body.append(make('div', 'fv-error', turn.error));
  if (turn.status === 'stopped') body.append(make('div', 'fv-quiet', 'Stopped here.'));
  if (turn.reason === 'length') body.append(make('div', 'fv-quiet', 'Cut off at the length limit. Raise it in the settings.'));
  if (turn.status === 'running') body.append(make('div', 'fv-quiet', 'Still running elsewhere, or its program ended.'));
  return [body, fill];
};
const branches = (turn) => {
  const box = make('span', 'fv-branches');
  const at = turn.siblings.indexOf(turn.run);
  const step = (to, text, title) => {
    const node = button('fv-mini', text, title, () => trigger('go', { run: turn.siblings[to] }));
    node.disabled = to < 0 || to >= turn.siblings.length; return node;
  };
  box.append(step(at - 1, '\u2039', 'The version before'), make('span', '', `${at + 1} of ${turn.siblings.length}`), step(at + 1, '\u203a', 'The version after'));
  return box;
};
const bubble = (turn, last) => {
  const box = make('article', 'fv-turn'); box.dataset.run = turn.run;
  const asked = make('div', 'fv-asked');
  if (turn.images.length) asked.append(pictures(turn.images));
  asked.append(make('div', 'fv-text', turn.question));
  for (const note of turn.notes) asked.append(make('div', 'fv-quiet', note));
  const answered = make('div', 'fv-answered');
  answered.append(make('div', 'fv-who', turn.checkpoint));
  const [body, fill] = answerBody(turn); answered.append(body);
  const bar = make('div', 'fv-actions');
  const act = (action) => () => trigger('act', { run: turn.run, action });
  if (turn.tokens && turn.tokens.length) {
    const toggle = button('fv-mini', 'Tokens', 'Show the tokens with their probabilities', () => {
      open.has(turn.run) ? open.delete(turn.run) : open.add(turn.run); toggle.classList.toggle('on', open.has(turn.run));
      toggle.setAttribute('aria-pressed', open.has(turn.run)); fill();
    });
    toggle.classList.toggle('on', open.has(turn.run)); toggle.setAttribute('aria-pressed', open.has(turn.run)); bar.append(toggle);
  }
  for (const [action, text, title] of props.value.actions) bar.append(button('fv-mini', text, title, act(action)));
  bar.append(button('fv-mini', 'Edit', 'Rewrite this question. The old version is kept.', act('edit')));
  bar.append(button('fv-mini', 'Retry', 'Answer again. The old answer is kept.', act('retry')));
  if (last) bar.append(button('fv-mini', 'Undo', 'Step back to before this turn. It stays in Sessions.', act('undo')));
  const copy = button('fv-mini', 'Copy', 'Copy the answer', () => navigator.clipboard.writeText(turn.answer).then(() => { copy.textContent = 'Copied'; }));
  bar.append(copy);
  for (const [value, text, title] of [[1, '\u25b2', 'A good answer'], [-1, '\u25bc', 'A bad answer']]) {
    const vote = button('fv-mini' + (turn.rating === value ? ' on' : ''), text, title, () => trigger('rate', { run: turn.run, value: turn.rating === value ? 0 : value }));
    vote.setAttribute('aria-pressed', turn.rating === value); bar.append(vote);
  }
  if (turn.siblings.length > 1) bar.append(branches(turn));
  const meter = make('div', 'fv-meter');
  for (const [name, value, title] of turn.meter) {
    const cell = make('span', 'fv-cell'); cell.title = title; cell.append(make('b', '', value), document.createTextNode(' ' + name)); meter.append(cell);
  }
  answered.append(bar, meter); box.append(asked, answered);
  return box;
};
const build = () => {
  const value = props.value; if (!value) return;
  const box = scrollBox(); const stay = box ? box.scrollTop : 0; const end = nearEnd(box) || value.scroll === 'end';
  const turns = value.turns.map((turn, i) => bubble(turn, i === value.turns.length - 1));
  one('.fv-transcript').replaceChildren(...turns);
  if (!turns.length && value.empty) one('.fv-transcript').append(make('p', 'fv-empty', value.empty));
  requestAnimationFrame(() => { if (box) end ? toEnd(box) : (box.scrollTop = stay); });
};
watch('value', build); build();
// 'act' 'branch' 'go' 'rate'
