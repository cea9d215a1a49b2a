// What the picture can show of the patches, and the controls of each. Titles and what each measures come with the answer.
const MAPS = {
  alike: ['stage', 'layer'],
  like_word: ['word'],
  coloured: ['stage', 'layer', 'partner'],
  seen: ['way', 'tower', 'head'],
  used: [],
  between: ['partner', 'patch', 'depth'],
};
const layerNow = () => s.layer[s.stage] ?? data.stages[s.stage].first;
// A question about the chosen patches names them only where the reply would be for them alone.
const needs = (question, many, part = { tokens: s.tokens }) =>
  data.cell.length * many <= data.whole ? question : { ...question, ...part };
const question = {
  alike: () => needs({ kind: 'alike', run, stage: s.stage, layer: layerNow() }, data.cell.length),
  seen: () => needs({ kind: 'seen', run, layer: s.tower, head: s.head }, data.cell.length, { tokens: s.tokens, way: s.way }),
  received: () => needs({ kind: 'used', run, layer: s.wordLayer, head: s.wordHead }, data.words.length),
  used: () => needs({ kind: 'used', run, layer: s.wordLayer, head: s.wordHead }, data.words.length, { word: s.word }),
  coloured: () => ({ kind: 'coloured', run, stage: s.stage, layer: layerNow(), partner: s.partner }),
  like_word: () => ({ kind: 'like_word', run, word: s.typed }),
  between: () => ({ kind: 'between', run, partner: s.partner, tokens: s.tokens }),
  hidden: () => ({ kind: 'hidden', run, tokens: s.tokens, how: s.how }),
  says: () => ({ kind: 'says', run, tokens: s.tokens }),
};
// --- numbers of tokens, of chosen patches, of cells ---
const decoded = new WeakMap(); // base64 is read once
const numbers = (reply, name) => {
  if (!decoded.has(reply)) decoded.set(reply, {});
  const held = decoded.get(reply);
  return held[name] || (held[name] = floats(reply[name]));
};
const meanRows = (matrix, width, rows, turned) => {
  const found = new Float32Array(width);
  for (const r of rows)
    for (let c = 0; c < width; c++) found[c] += (turned ? matrix[c * width + r] : matrix[r * width + c]) / rows.length;
  return found;
};
const rowsOf = (reply, turned) =>
  reply.matrix ? meanRows(numbers(reply, 'matrix'), data.cell.length, s.tokens, turned) : numbers(reply, 'row');
// Values of tokens [T * width] as values of cells, NaN where no token looks, the mean where several do. Where places are
// mixed, a cell has what the tokens that draw on it give it. `from` is {cell, mixing}: of this answer, or of another picture.
const toCells = (values, from, cells, width = 1) => {
  const found = new Float32Array(cells * width).fill(NaN),
    count = new Uint16Array(cells);
  if (from.mixing) {
    found.fill(0);
    const tokens = from.cell.length;
    for (let t = 0; t < tokens; t++)
      for (let c = 0; c < cells; c++)
        for (let i = 0; i < width; i++) found[c * width + i] += values[t * width + i] * from.mixing[t * cells + c];
    return found;
  }
  from.cell.forEach((cell, t) => {
    if (cell < 0) return;
    count[cell]++;
    for (let i = 0; i < width; i++) {
      const at = cell * width + i,
        v = values[t * width + i];
      found[at] = count[cell] === 1 ? v : found[at] + (v - found[at]) / count[cell];
    }
  });
  return found;
};
// The tokens behind cells: those that look there; where places are mixed, for each cell the one that draws on it most.
const tokensOf = (cells) => {
  const tokens = data.cell.length,
    many = map.cells.length,
    wanted = new Set(cells);
  if (!data.mixing) return data.cell.flatMap((cell, t) => (wanted.has(cell) ? [t] : []));
  const most = (c) => {
    let best = 0;
    for (let t = 1; t < tokens; t++) if (data.mixing[t * many + c] > data.mixing[best * many + c]) best = t;
    return best;
  };
  return [...new Set(cells.map(most))].sort((a, b) => a - b);
};
const sinks = () => [...data.sinks.tower, ...data.sinks.decoder];
const setAside = (values) => {
  if (!s.aside) return values;
  const found = values.slice();
  for (const t of sinks()) found[t] = 0;
  return found;
};
// --- painting ---
const titleNow = () => {
  const title = data.titles[s.map][0];
  return ['alike', 'seen', 'between'].includes(s.map)
    ? `${title}: ${p.where.textContent}`
    : s.map === 'used'
      ? `${title}: \u201c${shown(data.words[s.word].t)}\u201d`
      : s.map === 'like_word'
        ? `${title}: \u201c${s.typed}\u201d`
        : title;
};
const paintScores = (values, signed, unit) => {
  const scores = toCells(values, data, map.cells.length),
    scale = scaleOf([scores], s.cut ? 'percentile' : 'linear', signed),
    fold = unit === 'cosine' ? 'highest' : 'sum';
  p.scores = scores;
  map.show({ scores, scale, signed, unit, fold, opacity: s.opacity, smooth: s.smooth });
  p.bar = colourBar({ scale, signed, unit, opacity: s.opacity });
  p.scale.replaceChildren(p.bar);
  read();
  map.now = { title: titleNow(), scale, signed, unit };
  p.drawn = [map];
  keepSoon();
};
const paintColours = (on, from, text) => {
  const colours = toCells(floats(text), from, on.cells.length, 3);
  on.show({ colours, opacity: s.opacity, tell: (cell) => [0, 1, 2].map((i) => digits(colours[3 * cell + i])).join(' ') });
};
const painters = {
  alike: (reply) => paintScores(rowsOf(reply), true, 'cosine'),
  like_word: (reply) => {
    paintScores(numbers(reply, 'row'), true, 'cosine');
    note(`Read as ${reply.pieces.map((piece) => `\u201c${shown(piece)}\u201d`).join(' + ')}.`);
  },
  seen: (reply) => paintScores(setAside(rowsOf(reply, s.way === 'from')), false, 'attention'),
  used: (reply) => {
    const T = data.cell.length,
      values = reply.matrix ? numbers(reply, 'matrix').slice(s.word * T, (s.word + 1) * T) : numbers(reply, 'row');
    const mass = values.reduce((a, b) => a + b, 0);
    paintScores(setAside(values), false, 'attention');
    note(
      `\u201c${shown(data.words[s.word].t)}\u201d: ${digits(mass)} of its attention falls on the picture, ${digits(1 - mass)} on text.`,
    );
  },
  coloured: (reply) => {
    const joint = reply.other ? ' over both pictures together: one fit, so a colour means the same in both' : '';
    paintColours(map, data, reply.colours);
    read();
    map.now = { title: titleNow() };
    p.drawn = [map];
    keepSoon();
    p.second.classList.remove('stale');
    p.second.replaceChildren();
    p.scale.replaceChildren(
      make(
        'p',
        'fv-quiet',
        `Each component from its 1st to its 99th percentile${joint}. Outlying patches take no part in the fit.`,
      ),
    );
    if (!reply.other) return;
    const other = heatmap(reply.other.pictures, { label: 'The other picture' }),
      frame = make('div', 'fv-pframe');
    frame.append(other.node);
    p.second.append(make('p', 'fv-quiet', 'The other picture'), frame);
    paintColours(other, { ...reply.other, mixing: reply.other.mixing && floats(reply.other.mixing) }, reply.other.colours);
    other.now = { title: 'The other picture' };
    p.drawn = [map, other];
  },
  between: (reply, old) => {
    const T = data.cell.length,
      at = Math.min(s.depth, reply.depths.length - 1);
    paintScores(numbers(reply, 'blocks').slice(at * T, (at + 1) * T), true, 'share');
    p.second.classList.toggle('stale', Boolean(old));
    p.second.replaceChildren(...broughtView(reply, s.tokens.length > 1));
  },
};
const blank = () => {
  p.drawn = [];
  clearTimeout(keepSoon.later);
  map.show({ scores: new Float32Array(map.cells.length), scale: { low: 0, high: 1, text: '' }, opacity: 0, unit: '' });
  p.scale.replaceChildren();
};
// What the chosen map needs before anything can be asked; empty where nothing.
const missing = { like_word: () => (s.typed ? '' : 'Type a word to compare the patches with.') };
const drawMap = async () => {
  const mine = ++turn,
    kind = s.map;
  note('');
  failed('');
  p.scores = null;
  if (!['coloured', 'between'].includes(kind)) p.second.replaceChildren();
  const lacking = missing[kind] && missing[kind]();
  if (lacking) {
    note(lacking);
    blank();
    return;
  }
  const wanted = question[kind](),
    held = ask.known(wanted);
  if (held && kind === 'between') {
    s.last = { reply: held, partner: s.partner, tokens: s.tokens };
    s.depths = held.depths;
    controls();
  }
  if (held) {
    painters[kind](held);
    return;
  }
  if (kind === 'between') {
    waitForPatch();
    return;
  }
  const reply = await ask(wanted, { group: 'map' });
  if (mine !== turn) return;
  if (reply.error) {
    failed(reply.error);
    blank();
  } else painters[kind](reply);
};
// Patching takes long, so it begins with a button; until then the last one stays.
const waitForPatch = () => {
  if (s.last && s.last.partner === s.partner) {
    painters.between(s.last.reply, true);
    note('The table is of the patches chosen before; Patch runs it for these.');
    return;
  }
  note(s.partner ? 'Patch runs the other picture once for every block and depth.' : 'Choose another picture, then patch.');
  p.second.replaceChildren();
  blank();
};
const patchNow = async () => {
  if (!s.partner) {
    note('Choose another picture first.');
    return;
  }
  const mine = ++turn,
    { partner, tokens } = s,
    reply = await ask(question.between(), { text: 'Patching', group: 'map' });
  if (mine !== turn) return;
  failed(reply.error);
  if (reply.error) return;
  note('');
  s.depths = reply.depths;
  s.last = { reply, partner, tokens };
  controls();
  painters.between(reply);
};
