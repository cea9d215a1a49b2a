// From a place in the picture to what became of it. What is chosen is answered from what the page holds; the rest is asked for.
// `run` is the turn, `data` what it opened with, `map` the picture, `answer` the table of words, `s` what is chosen, `p` the parts of the page.
let run = null,
  data = null,
  map = null,
  answer = null,
  s = null,
  partners = null,
  turn = 0,
  soon = 0;
const root = one('.fv-patches'),
  p = { asking: make('div', 'fv-askings') },
  ask = asker(p.asking);
const fresh = () => ({
  cells: [],
  tokens: [],
  map: 'alike',
  stage: 'connector',
  layer: {},
  tower: Math.max(0, data.stages.tower.layers - 1),
  head: null,
  way: 'to',
  typed: '',
  partner: '',
  depth: 0,
  word: 0,
  wordLayer: null,
  wordHead: null,
  how: 'mean',
  opacity: 0.75,
  smooth: false,
  cut: false,
  aside: false,
});
const note = (text) => {
  p.note.textContent = text || '';
};
const failed = (text) => {
  p.error.textContent = text || '';
};
const hint = () => 'Click a patch, drag a region; arrows move, Shift and arrows widen.';
// What stands under the pointer, also when the map under it changes.
const read = () => {
  const cell = p.over;
  p.reading.textContent = cell < 0 ? hint() : map.words(cell);
  if (p.bar) p.bar.at(cell < 0 || !p.scores ? null : p.scores[cell]);
};
// --- what is chosen ---
const choose = (cells) => {
  const tokens = tokensOf(cells);
  if (!tokens.length) return;
  s.cells = cells;
  s.tokens = tokens;
  map.mark('chosen', cells);
  p.where.textContent =
    tokens.length > 1 ? `Region of ${tokens.length} patches` : map.where(cells[0]).replace(/^./, (c) => c.toUpperCase());
  p.used.classList.add('stale');
  p.lens.classList.toggle('stale', p.says.open);
  drawMap();
  received();
  clearTimeout(soon);
  soon = setTimeout(() => {
    lost();
    spoken();
  }, 160);
};
const received = async () => {
  if (!data.decoder[0] || !data.words.length) return;
  const { tokens } = s,
    T = data.cell.length,
    reply = await ask(question.received(), { group: 'received' });
  if (tokens !== s.tokens || reply.error) return;
  const aside = new Set(s.aside ? sinks() : []),
    kept = tokens.filter((t) => !aside.has(t));
  const values = reply.matrix
    ? data.words.map((_, k) => kept.reduce((sum, t) => sum + numbers(reply, 'matrix')[k * T + t], 0))
    : [...numbers(reply, 'row')];
  answer.received(values, Math.max(...values));
};
const lost = async () => {
  const { tokens, how } = s;
  p.again.replaceChildren();
  if (!data.words.length) {
    p.loss.textContent = 'The answer is empty.';
    p.used.classList.remove('stale');
    return;
  }
  const reply = await ask(question.hidden(), { group: 'hidden' });
  if (tokens !== s.tokens || how !== s.how) return;
  p.used.classList.remove('stale');
  answer.lost(reply.error ? null : reply);
  p.loss.textContent = reply.error || lossInWords(data.words, reply, tokens.length > 1);
};
const spoken = async () => {
  if (!p.says.open) return;
  const { tokens } = s,
    reply = await ask(question.says(), { group: 'says' });
  if (tokens !== s.tokens) return;
  p.lens.classList.remove('stale');
  p.lens.replaceChildren(reply.error ? make('p', 'fv-error', reply.error) : lensTable(reply));
  if (!reply.error)
    setTimeout(() => {
      if (data && tokens === s.tokens && p.says.open) keep(whatOf('says'));
    }, KEEP_MS);
};
const anew = async () => {
  const { tokens, how } = s,
    reply = await ask({ kind: 'again', run, tokens, how }, { text: 'Answering', group: 'again' });
  if (tokens !== s.tokens || how !== s.how) return;
  const done = how === 'mean' ? 'with the mean patch in their place' : 'with no text attending to them';
  const line = make('p', reply.error ? 'fv-error' : 'fv-quiet', reply.error || `Answered again, greedily, ${done}: `);
  if (!reply.error) line.append(make('bdi', 'fv-pmono', (reply.text || '(nothing)') + (reply.ended ? '' : ' \u2026')));
  p.again.replaceChildren(line);
};
// --- the page ---
const rectangle = (a, b) => {
  const { start, view, row, col } = map.cells[a],
    other = map.cells[b],
    found = [];
  if (other.start !== start) return [b];
  for (let r = Math.min(row, other.row); r <= Math.max(row, other.row); r++)
    for (let c = Math.min(col, other.col); c <= Math.max(col, other.col); c++) found.push(start + r * view.cols + c);
  return [a, ...found.filter((cell) => cell !== a)];
};
const picture = () => {
  const hover = (cell, keys) => {
    p.over = cell;
    read();
    if (keys && cell >= 0) choose(keys.shift ? rectangle(s.cells[0], cell) : [cell]);
  };
  map = heatmap(data.pictures, {
    label: 'Patches',
    start: () => s.cells[0] ?? -1,
    pick: (cell) => choose([cell]),
    region: choose,
    hover,
  });
  map.mark(
    'sink',
    sinks()
      .map((t) => data.cell[t])
      .filter((cell) => cell >= 0),
  );
};
const sinkWords = () => {
  const { tower, decoder } = data.sinks,
    parts = [];
  if (tower.length) parts.push(`${tower.length} of outlying norm in the tower`);
  if (decoder.length)
    parts.push(`${decoder.length} with a massive activation in the decoder (dimension ${data.dimensions.join(', ')})`);
  if (!parts.length) return 'No attention sinks were found among these patches.';
  return `Attention sinks, dashed: ${parts.join('; ')}. They draw attention for what they are, not for what they show.`;
};
const left = () => {
  const box = make('div', 'fv-pleft'),
    look = make('div', 'fv-pcontrols'),
    frame = make('div', 'fv-pframe');
  p.maps = mapButtons();
  p.about = make('p', 'fv-quiet');
  p.controls = make('div', 'fv-pcontrols');
  p.reading = make('p', 'fv-preading', hint());
  p.scale = make('div');
  p.note = make('p', 'fv-quiet');
  p.error = make('p', 'fv-error');
  p.error.setAttribute('role', 'alert');
  frame.append(map.node);
  look.append(
    slide('Opacity', 0.1, 1, s.opacity, 0.05, set('opacity')),
    tick('Smooth', s.smooth, set('smooth'), 'Interpolate between patches; the numbers stay'),
    tick('Cut at percentiles', s.cut, set('cut'), 'The colours end at the 1st and 99th percentile instead of the extremes'),
  );
  p.aside = sinks().length
    ? tick(
        'Set sinks aside',
        s.aside,
        (v) => {
          set('aside')(v);
          received();
        },
        'Attention on sinks counts as none',
      )
    : null;
  if (p.aside) look.append(p.aside);
  box.append(p.maps, p.about, p.controls, frame, p.reading, p.scale, p.note, p.error, look, make('p', 'fv-quiet', sinkWords()));
  if (data.geometry) box.append(make('p', 'fv-quiet', data.geometry));
  box.append(exportMenu(exported));
  return box;
};
const section = (title, ...nodes) => {
  const box = make('section', 'fv-psection');
  box.append(make('h3', '', title), ...nodes);
  return box;
};
const wordsSection = () => {
  const [layers, heads] = data.decoder,
    acts = make('div', 'fv-pcontrols'),
    scroll = make('div', 'fv-pscroll');
  const over = (name) => (v) => {
    s[name] = orNull(v);
    received();
    if (s.map === 'used') drawMap();
  };
  const HOW = [
      ['mean', 'the mean patch in its place'],
      ['cut', 'cutting text off from it'],
    ],
    why = 'Replaced by the mean visual token of this prompt, or left in place with no text attending to it';
  p.wordLayer = pick('Attention, mean over', counted(layers, 'layer'), s.wordLayer, over('wordLayer'));
  p.wordHead = pick('and', counted(heads, 'head'), s.wordHead, over('wordHead'));
  acts.append(
    p.wordLayer,
    p.wordHead,
    pick(
      'Hidden by',
      HOW,
      s.how,
      (v) => {
        s.how = v;
        p.used.classList.add('stale');
        lost();
      },
      why,
    ),
  );
  answer = wordsTable(data.words, (k) => {
    s.word = k;
    answer.mark(k);
    toMap('used');
  });
  answer.mark(s.word);
  scroll.append(answer.node);
  p.used = make('div');
  p.loss = make('p', 'fv-ploss');
  p.loss.setAttribute('role', 'status');
  p.again = make('div');
  p.used.append(
    acts,
    p.loss,
    scroll,
    button('fv-mini', 'Answer again without it', 'Let the model answer the same question with these patches hidden', anew),
    p.again,
  );
  return section('Words that used it', p.used);
};
const right = () => {
  const box = make('div', 'fv-pright');
  p.second = make('div', 'fv-psecond');
  p.where = make('h2', 'fv-pwhere', '');
  p.lens = make('div');
  p.says = make('details', 'fv-psection');
  p.health = make('div');
  p.says.open = data.lens.usable === true;
  p.says.addEventListener('toggle', spoken);
  p.says.append(make('summary', '', 'What the lens says here'), p.health, p.lens);
  healthShown();
  box.append(p.second, p.where, wordsSection(), p.says);
  return box;
};
const build = () => {
  s = fresh();
  partners = p.bar = p.scores = null;
  p.over = -1;
  p.drawn = [];
  picture();
  const grid = make('div', 'fv-pgrid');
  grid.append(left(), right());
  root.replaceChildren(p.asking, grid);
  controls();
  blank();
  choose([data.cell[data.first]].filter((cell) => cell >= 0));
};
const empty = (text, wrong) => {
  root.replaceChildren(p.asking, make('p', wrong ? 'fv-error' : 'fv-empty', text));
  if (wrong) root.append(button('fv-mini', 'Try again', 'Read the answer again', () => load()));
};
const load = async (asked = null) => {
  const wanted = run;
  data = null;
  if (!wanted) {
    empty('Nothing on the bench yet. Ask about a picture in Chat.');
    return;
  }
  empty('Reading the answer');
  const reply = await ask({ kind: 'open', run: wanted }, { text: 'Reading the answer', group: 'open' });
  if (wanted !== run) return;
  if (reply.error) {
    empty(reply.error, true);
    return;
  }
  data = { ...reply, mixing: reply.mixing && floats(reply.mixing) };
  build();
  if (asked) restore(asked);
};
document.addEventListener('keydown', (e) => {
  if (e.key === 'Escape' && element.offsetParent !== null) p.asking.querySelector('button')?.click();
});
// Nothing is asked before the tab is looked at. A map opened from Sessions is shown once.
const follow = () => {
  const { run: wanted = '', map: opened = null, opening = '' } = props.value || {};
  if (element.offsetParent === null || (wanted === run && (!opened || opening === follow.opening))) return;
  follow.opening = opening;
  if (wanted === run && data) {
    restore(opened);
    return;
  }
  run = wanted;
  load(opened);
};
new IntersectionObserver(follow).observe(element);
watch('value', follow);
follow();
