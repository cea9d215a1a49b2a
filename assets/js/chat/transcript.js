// The finished turns of a chat. Events: act {run, action}, again {run}, edit {run}, undo {run}, branch {run, index, id}, go {run}, rate {run, value}.
const open = new Set(),
  known = new Map();
const tokensOf = async (turn) => {
  if (!known.has(turn.run)) {
    try {
      known.set(turn.run, await server.tokens_of(turn.run));
    } catch {
      return { tokens: [], error: 'The tokens could not be fetched. Try again.' };
    }
  }
  return known.get(turn.run);
};
const answerBody = (turn) => {
  const body = make('div', 'fv-said'),
    text = make('div', 'fv-text', turn.answer);
  if (!turn.answer && turn.status === 'done') text.append(make('span', 'fv-quiet', '(an empty answer)'));
  const fill = async () => {
    if (!open.has(turn.run)) {
      body.replaceChildren(text);
      return;
    }
    if (!known.has(turn.run)) body.replaceChildren(text, make('div', 'fv-quiet', 'Fetching the tokens'));
    const { tokens, error } = await tokensOf(turn);
    if (!open.has(turn.run)) return;
    if (error) {
      body.replaceChildren(text, make('div', 'fv-error', error));
      known.delete(turn.run);
      return;
    }
    body.replaceChildren(chips(tokens, (index, id) => trigger('branch', { run: turn.run, index, id })));
  };
  fill();
  const after = [];
  if (turn.error) after.push(make('div', 'fv-error', turn.error));
  if (turn.status === 'stopped') after.push(make('div', 'fv-quiet', 'Stopped here.'));
  if (turn.reason === 'length') after.push(make('div', 'fv-quiet', 'Cut off at the length limit. Raise it in the settings.'));
  if (turn.status === 'running') after.push(make('div', 'fv-quiet', 'Not finished: it is being written elsewhere.'));
  if (turn.truth) {
    const truth = make('div', 'fv-truth');
    truth.append(make('b', '', 'Truth of the drawing: '), turn.truth);
    after.push(truth);
  }
  return [body, fill, after];
};
const versions = (turn) => {
  const box = make('span', 'fv-branches'),
    at = turn.siblings.indexOf(turn.run);
  const step = (to, text, title) => {
    const node = button('fv-mini', text, title, () => trigger('go', { run: turn.siblings[to] }));
    node.disabled = to < 0 || to >= turn.siblings.length;
    return node;
  };
  box.append(
    step(at - 1, '\u2039', 'The version before'),
    make('span', '', `version ${at + 1} of ${turn.siblings.length}`),
    step(at + 1, '\u203a', 'The version after'),
  );
  return box;
};
const tokenToggle = (turn, fill) => {
  const node = button('fv-mini', 'Tokens', 'Show the tokens with their probabilities', () => {
    open.has(turn.run) ? open.delete(turn.run) : open.add(turn.run);
    mark();
    fill();
  });
  const mark = () => {
    node.classList.toggle('on', open.has(turn.run));
    node.setAttribute('aria-pressed', open.has(turn.run));
  };
  mark();
  return node;
};
const actions = (turn, last, fill) => {
  const bar = make('div', 'fv-actions'),
    run = turn.run;
  if (turn.tokens) bar.append(tokenToggle(turn, fill));
  for (const [action, text, title] of props.value.actions)
    bar.append(button('fv-mini', text, title, () => trigger('act', { run, action })));
  bar.append(button('fv-mini', 'Edit', 'Rewrite this question. The old version is kept.', () => trigger('edit', { run })));
  bar.append(button('fv-mini', 'Retry', 'Answer again. The old answer is kept.', () => trigger('again', { run })));
  if (last)
    bar.append(button('fv-mini', 'Undo', 'Step back to before this turn. It stays in Sessions.', () => trigger('undo', { run })));
  bar.append(button('fv-mini', 'Copy', 'Copy the answer', (e) => copy(turn.answer, e.currentTarget)));
  bar.append(
    button('fv-mini', 'Link', 'Copy the address of this turn', (e) => {
      copy(turnAddress(run), e.currentTarget);
      trigger('linked', { run });
    }),
  );
  for (const [value, text, title] of [
    [1, '\u25b2', 'A good answer'],
    [-1, '\u25bc', 'A bad answer'],
  ]) {
    const vote = button('fv-mini' + (turn.rating === value ? ' on' : ''), text, title, () =>
      trigger('rate', { run, value: turn.rating === value ? 0 : value }),
    );
    vote.setAttribute('aria-pressed', turn.rating === value);
    bar.append(vote);
  }
  if (turn.siblings.length > 1) bar.append(versions(turn));
  bar.querySelectorAll('button').forEach((node, i) => {
    node.dataset.key = run + i;
  });
  return bar;
};
const bubble = (turn, last) => {
  const box = make('article', 'fv-turn');
  box.dataset.run = turn.run;
  const asked = make('div', 'fv-asked'),
    answered = make('div', 'fv-answered');
  if (turn.images.length) asked.append(pictures(turn.images));
  asked.append(make('div', 'fv-text', turn.question));
  for (const note of turn.notes) asked.append(make('div', 'fv-quiet', note));
  const [body, fill, after] = answerBody(turn),
    meter = make('div', 'fv-meter');
  for (const [name, value, title] of turn.meter) {
    const cell = make('span', 'fv-cell');
    cell.title = title;
    cell.append(make('b', '', value), ' ' + name);
    meter.append(cell);
  }
  answered.append(make('div', 'fv-who', turn.checkpoint), body, ...after, actions(turn, last, fill), meter);
  box.append(asked, answered);
  return box;
};
let heard = null;
const say = (turn) => {
  if (heard !== null && turn && turn.run !== heard)
    one('.fv-heard').textContent = `${turn.checkpoint}: ${turn.answer.slice(0, 2000)}`;
  heard = turn ? turn.run : '';
};
const build = () => {
  const value = props.value;
  if (!value) return;
  const box = scrollBox(),
    stay = box ? box.scrollTop : 0,
    end = nearEnd(box) || value.scroll === 'end';
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const turns = value.turns.map((turn, i) => bubble(turn, i === value.turns.length - 1)),
    root = one('.fv-transcript');
  root.replaceChildren(...turns);
  if (!turns.length) root.append(make('p', 'fv-empty', value.empty));
  if (focused) root.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  say(value.turns[value.turns.length - 1]);
  requestAnimationFrame(() => {
    if (box) end ? toEnd(box) : (box.scrollTop = stay);
  });
  const address = new URL(location.href); // a reload is to show where the chat stands now
  if (address.searchParams.has('run')) {
    address.searchParams.delete('run');
    history.replaceState(null, '', address);
  }
};
watch('value', build);
build();
// The conversation takes what the window leaves: no question box below the edge.
const fit = () => {
  const box = scrollBox();
  if (!box || !box.offsetParent) return;
  if (innerWidth <= 640) {
    box.style.height = '';
    return;
  }
  const bottom = Math.max(
    ...[...box.parentElement.children].filter((node) => node.offsetParent).map((node) => node.getBoundingClientRect().bottom),
  );
  const place = box.getBoundingClientRect(),
    height = Math.round(Math.max(220, innerHeight - (place.top + scrollY) - (bottom - place.bottom) - 14));
  if (Math.abs(height - place.height) > 1) {
    const end = nearEnd(box);
    box.style.height = height + 'px';
    if (end) toEnd(box);
  }
};
requestAnimationFrame(() => {
  const box = scrollBox();
  if (!box) return;
  const watcher = new ResizeObserver(fit);
  for (const node of box.parentElement.children) if (node !== box) watcher.observe(node);
  watcher.observe(document.querySelector('.fv-head') || document.body);
  addEventListener('resize', fit);
  fit();
  if (innerWidth > 900) document.querySelector('#ask textarea')?.focus({ preventScroll: true });
});
// 'act' 'again' 'edit' 'undo' 'branch' 'go' 'rate'
