// From a place in the picture to what became of it. What is chosen is answered from what the page holds; the rest is asked for.
const MAPS = {
  alike: ['Like this patch', 'Cosine of each patch\u2019s features with those chosen, the mean over all patches taken off.', ['stage', 'layer']],
  like_word: ['Like a word', 'Cosine of what the connector gives for each patch with a word\u2019s embedding in the decoder, means taken off. The two were never trained to match.', ['word']],
  coloured: ['Colours', 'First three principal components of the features as red, green and blue: patches of one colour are alike. The colours themselves mean nothing.', ['stage', 'layer', 'partner']],
  seen: ['Tower attention', 'The vision tower\u2019s own attention between patches, before the decoder is reached. It moves information; it does not say what was used.', ['way', 'tower', 'head']],
  used: ['A word\u2019s attention', 'The share of a word\u2019s attention that falls on each patch. Choose the word in the table.', []],
  between: ['Two pictures', 'States of this picture are put into a run on the other picture, at one depth: the share of this answer that comes back. 0 is the other picture, 1 is this one.', ['partner', 'patch', 'depth']],
};
const STAGE = { tower: 'Vision tower', connector: 'Connector', decoder: 'Decoder' };
let run = null, data = null, map = null, answer = null, s = null, turn = 0, steps = 0, partners = null;
const root = one('.fv-patches'), p = {};
const ask = asker((p.asking = make('div', 'fv-askings')));
const fresh = () => ({ map: 'alike', stage: 'connector', layer: {}, head: null, tower: 0, way: 'to', how: 'mean', wordLayer: null, wordHead: null, word: 0, typed: '', partner: '', depth: 0, cells: [], tokens: [], opacity: 0.75, smooth: false, cut: false, aside: false });
const pick = (label, options, value, change, title) => {
  const box = make('label', 'fv-pfield'), select = make('select'); box.append(make('span', '', label), select); if (title) box.title = title;
  for (const [key, text, why] of options) { const item = make('option', '', text); item.value = key === null ? '' : key; item.disabled = Boolean(why); if (why) item.title = why; select.append(item); }
  select.value = value === null ? '' : value; select.addEventListener('change', () => change(select.value)); return box;
};
const slide = (label, low, high, value, step, change, words) => {
  const box = make('label', 'fv-pfield'), input = make('input'), name = make('span');
  const say = () => { name.textContent = `${label} ${words ? words(+input.value) : ''}`.trim(); };
  Object.assign(input, { type: 'range', min: low, max: high, step, value }); say(); box.append(name, input);
  input.addEventListener('input', () => { say(); change(+input.value); }); input.setAttribute('aria-label', label); return box;
};
const tick = (label, value, change, title) => {
  const box = make('label', 'fv-ptick'), input = make('input'); input.type = 'checkbox'; input.checked = value; box.append(input, make('span', '', label)); if (title) box.title = title;
  input.addEventListener('change', () => change(input.checked)); return box;
};
// --- numbers of tokens and of cells ---
const toCells = (values, width = 1) => {
  const found = new Float32Array(map.cells.length * width).fill(NaN), count = new Uint16Array(map.cells.length);
  data.cell.forEach((cell, t) => { if (cell < 0) return; count[cell]++; for (let i = 0; i < width; i++) { const at = cell * width + i, v = values[t * width + i]; found[at] = count[cell] === 1 ? v : found[at] + (v - found[at]) / count[cell]; } });
  return found;
};
const meanRows = (matrix, width, rows, turned) => {
  const found = new Float32Array(width);
  for (const r of rows) for (let c = 0; c < width; c++) found[c] += (turned ? matrix[c * width + r] : matrix[r * width + c]) / rows.length;
  return found;
};
const decoded = new WeakMap(); // base64 is read once
const numbers = (reply, name) => { if (!decoded.has(reply)) decoded.set(reply, {}); const held = decoded.get(reply); return held[name] || (held[name] = floats(reply[name])); };
const rowsOf = (reply, turned) => reply.matrix ? meanRows(numbers(reply, 'matrix'), data.cell.length, s.tokens, turned) : numbers(reply, 'row');
const sinks = () => [...data.sinks.tower, ...data.sinks.decoder];
const setAside = (values) => { if (s.aside) { values = values.slice(); for (const t of sinks()) values[t] = 0; } return values; };
// A question about the chosen patches names them only where the reply would be for them alone.
const needs = (question, many, part = { tokens: s.tokens }) => data.cell.length * many <= data.whole ? question : { ...question, ...part };
const question = {
  alike: () => needs({ kind: 'alike', run, stage: s.stage, layer: layerNow() }, data.cell.length),
  seen: () => needs({ kind: 'seen', run, layer: s.tower, head: s.head }, data.cell.length),
  used: () => needs({ kind: 'used', run, layer: s.wordLayer, head: s.wordHead }, data.words.length),
  word: () => needs({ kind: 'used', run, layer: s.wordLayer, head: s.wordHead }, data.words.length, { word: s.word }),
  coloured: () => ({ kind: 'coloured', run, stage: s.stage, layer: layerNow(), partner: s.partner }),
  like_word: () => ({ kind: 'like_word', run, word: s.typed }),
  between: () => ({ kind: 'between', run, partner: s.partner, tokens: s.tokens }),
  hidden: () => ({ kind: 'hidden', run, tokens: s.tokens, how: s.how }),
  says: () => ({ kind: 'says', run, tokens: s.tokens }),
};
const layerNow = () => s.layer[s.stage] ?? data.stages[s.stage].first;
// --- the map ---
const paintScores = (values, signed, unit) => {
  const scores = toCells(values), scale = scaleOf([scores], s.cut ? 'percentile' : 'linear', signed);
  p.scores = scores; map.show({ scores, scale, signed, unit, opacity: s.opacity, smooth: s.smooth }); p.scale.replaceChildren((p.bar = colourBar({ scale, signed, unit, opacity: s.opacity }))); read();
};
const painters = {
  alike: (reply) => paintScores(rowsOf(reply), true, 'cosine'),
  like_word: (reply) => { paintScores(numbers(reply, 'row'), true, 'cosine'); note(`Read as ${reply.pieces.map((piece) => `\u201c${shown(piece)}\u201d`).join(' + ')}.`); },
  seen: (reply) => paintScores(setAside(rowsOf(reply, s.way === 'from')), false, 'attention'),
  used: (reply) => {
    const T = data.cell.length, values = reply.matrix ? numbers(reply, 'matrix').slice(s.word * T, (s.word + 1) * T) : numbers(reply, 'row'), mass = values.reduce((a, b) => a + b, 0);
    paintScores(setAside(values), false, 'attention'); note(`\u201c${shown(data.words[s.word].t)}\u201d: ${digits(mass)} of its attention falls on the picture, ${digits(1 - mass)} on text.`);
  },
  coloured: (reply) => {
    const paint = (on, text, cells) => { const held = toCells.call(null, floats(text), 3); on.show({ colours: cells || held, opacity: s.opacity, tell: (cell) => [0, 1, 2].map((i) => digits((cells || held)[3 * cell + i])).join(' ') }); };
    paint(map, reply.colours); read(); p.scale.replaceChildren(make('p', 'fv-quiet', `Each component from its 1st to its 99th percentile${reply.other ? ' over both pictures together: one fit, so a colour means the same in both' : ''}. Outlying patches take no part in the fit.`));
    p.second.classList.remove('stale'); p.second.replaceChildren();
    if (reply.other) { const other = secondMap(reply.other.pictures); const frame = make('div', 'fv-pframe'); frame.append(other.node); p.second.append(make('p', 'fv-quiet', 'The other picture'), frame); paint(other, reply.other.colours, spread3(other, reply.other)); }
  },
  between: (reply, old) => {
    p.second.classList.toggle('stale', Boolean(old));
    const T = data.cell.length, at = Math.min(s.depth, reply.depths.length - 1);
    paintScores(numbers(reply, 'blocks').slice(at * T, (at + 1) * T), true, 'share'); p.second.replaceChildren(...brought(reply));
  },
};
const spread3 = (other, { colours, cell }) => { const values = floats(colours), found = new Float32Array(other.cells.length * 3).fill(NaN); cell.forEach((c, t) => { if (c >= 0) for (let i = 0; i < 3; i++) found[3 * c + i] = values[3 * t + i]; }); return found; };
const secondMap = (pictures) => heatmap(pictures, { label: 'The other picture' });
const brought = (reply) => {
  const apart = reply.clean - reply.corrupted, small = Math.abs(apart) < 0.1, figure = make('div', 'fv-pother'), img = make('img'); img.src = reply.picture.url; img.alt = reply.picture.name;
  const words = `With this picture the answer has a log-probability of ${digits(reply.clean)} nats, with the other ${digits(reply.corrupted)}. Blocks of ${reply.side} x ${reply.side} tokens are patched one at a time.`;
  figure.append(img, make('p', 'fv-quiet', words)); const found = [figure];
  if (small) found.push(make('p', 'fv-note', 'The two pictures give this answer nearly the same probability: shares of so small a difference mean little. Choose a picture that changes the answer.'));
  found.push(broughtTable(reply, s.tokens.length > 1)); return found;
};
// What stands under the pointer, also when the map under it changes.
const read = () => { const cell = p.over ?? -1; p.reading.textContent = cell < 0 ? hint() : map.words(cell); if (p.bar) p.bar.at(cell < 0 || !p.scores ? null : p.scores[cell]); };
const note = (text) => { p.note.textContent = text || ''; };
const failed = (text) => { p.error.textContent = text || ''; };
const drawMap = async () => {
  const mine = ++turn, kind = s.map; note(''); failed(''); p.scores = null;
  if (!['coloured', 'between'].includes(kind)) p.second.replaceChildren();
  if (kind === 'like_word' && !s.typed) { note('Type a word to compare the patches with.'); blank(); return; }
  const wanted = question[kind === 'used' ? 'word' : kind](), held = ask.known(wanted);
  if (held) { painters[kind](held); return; }
  if (kind === 'between') {
    if (s.last && s.last.partner === s.partner) { painters.between(s.last.reply, true); note('The table is of the patches chosen before; Patch runs it for these.'); return; }
    note(s.partner ? 'Patch runs the other picture once for every block and depth.' : 'Choose another picture, then patch.'); p.second.replaceChildren(); blank(); return;
  }
  const reply = await ask(wanted); if (mine !== turn) return;
  if (reply.error) { failed(reply.error); blank(); return; }
  painters[kind](reply);
};
const blank = () => { map.show({ scores: new Float32Array(map.cells.length), scale: { low: 0, high: 1, text: '' }, opacity: 0, unit: '' }); p.scale.replaceChildren(); };
const patchNow = async () => {
  if (!s.partner) { note('Choose another picture first.'); return; }
  const mine = ++turn, reply = await ask(question.between(), 'Patching'); if (mine !== turn) return;
  if (reply.error) failed(reply.error); else { failed(''); note(''); s.depths = reply.depths; s.last = { reply, partner: s.partner }; controls(); painters.between(reply); }
};
// --- what is chosen ---
const tokensOf = (cells) => { const wanted = new Set(cells); return data.cell.flatMap((cell, t) => wanted.has(cell) ? [t] : []); };
const choose = (cells) => {
  const tokens = tokensOf(cells); if (!tokens.length) return;
  s.cells = cells; s.tokens = tokens; map.mark('chosen', cells);
  const [a] = cells, many = tokens.length > 1;
  p.where.textContent = many ? `Region of ${tokens.length} patches` : map.where(a).replace(/^./, (c) => c.toUpperCase());
  p.used.classList.add('stale'); p.lens.classList.toggle('stale', p.says.open);
  drawMap(); received(); clearTimeout(steps); steps = setTimeout(() => { lost(); spoken(); }, 160);
};
const received = async () => {
  if (!data.decoder[0] || !data.words.length) return;
  const tokens = s.tokens, reply = await ask(question.used()); if (tokens !== s.tokens || reply.error) return;
  const T = data.cell.length, kept = s.aside ? tokens.filter((t) => !sinks().includes(t)) : tokens;
  const values = reply.matrix ? data.words.map((_, k) => kept.reduce((sum, t) => sum + numbers(reply, 'matrix')[k * T + t], 0)) : [...numbers(reply, 'row')];
  answer.received(values, Math.max(...values));
};
const lost = async () => {
  if (!data.words.length) return;
  const tokens = s.tokens, how = s.how, reply = await ask(question.hidden()); if (tokens !== s.tokens || how !== s.how) return;
  p.used.classList.remove('stale'); p.again.replaceChildren();
  if (reply.error) { p.loss.textContent = reply.error; return; }
  answer.lost(reply); p.loss.textContent = lossInWords(data.words, reply, tokens.length > 1);
};
const spoken = async () => {
  if (!p.says.open) return;
  const tokens = s.tokens, reply = await ask(question.says()); if (tokens !== s.tokens) return;
  p.lens.classList.remove('stale'); p.lens.replaceChildren(reply.error ? make('p', 'fv-error', reply.error) : lensTable(reply));
};
const anew = async () => {
  const tokens = s.tokens, reply = await ask({ kind: 'again', run, tokens }, 'Answering'); if (tokens !== s.tokens) return;
  const line = make('p', 'fv-quiet'); if (reply.error) line.append(make('span', 'fv-error', reply.error));
  else line.append('Answered again, greedily, with the mean patch in their place: ', make('bdi', 'fv-pmono', reply.text || '(nothing)')); p.again.replaceChildren(line);
};
// --- controls ---
const control = {
  stage: () => pick('Features of', Object.entries(data.stages).map(([key, { why }]) => [key, STAGE[key], why]), s.stage, (v) => { s.stage = v; controls(); drawMap(); }, Object.values(data.stages).map(({ why }) => why).filter(Boolean).join(' ')),
  layer: () => {
    const count = data.stages[s.stage].layers; if (count < 2) return null;
    return slide(s.stage === 'tower' ? 'Layer' : 'Depth', 0, count - 1, layerNow(), 1, (v) => { s.layer[s.stage] = v; drawMap(); }, (v) => s.stage === 'tower' ? `${v + 1} of ${count}` : v === 0 ? '0, what enters' : `${v} of ${count - 1}`);
  },
  word: () => {
    const box = make('label', 'fv-pfield'), input = make('input'); input.type = 'text'; input.maxLength = 100; input.value = s.typed; input.placeholder = 'red'; let later = 0;
    input.addEventListener('input', () => { clearTimeout(later); later = setTimeout(() => { s.typed = input.value.trim(); drawMap(); }, 250); }); box.append(make('span', '', 'Word'), input); return box;
  },
  way: () => pick('Attention', [['to', 'from the chosen patches'], ['from', 'to the chosen patches']], s.way, (v) => { s.way = v; drawMap(); }),
  tower: () => slide('Layer', 0, data.stages.tower.layers - 1, s.tower, 1, (v) => { s.tower = v; drawMap(); }, (v) => `${v + 1} of ${data.stages.tower.layers}`),
  head: () => pick('Head', [[null, 'mean of all'], ...Array.from({ length: data.heads }, (_, h) => [h, `head ${h + 1}`])], s.head, (v) => { s.head = v === '' ? null : +v; drawMap(); }),
  partner: () => pick('Other picture', [['', s.map === 'between' ? 'choose one' : 'none'], ...(partners || [])], s.partner, (v) => { s.partner = v; s.depths = null; controls(); drawMap(); }),
  patch: () => button('fv-mini fv-primary', 'Patch', 'Run the other picture once for every block of patches and every depth', patchNow),
  depth: () => s.depths && slide('Depth', 0, s.depths.length - 1, Math.min(s.depth, s.depths.length - 1), 1, (v) => { s.depth = v; drawMap(); }, (v) => s.depths[v] === 0 ? '0, what enters' : `${s.depths[v]}`),
};
const possible = (kind) => kind === 'seen' ? data.stages.tower.why || (data.heads ? '' : 'The tower\u2019s attention cannot be heard.')
  : kind === 'used' ? (data.decoder[0] && data.words.length ? '' : 'There is no word whose attention is known.') : '';
const controls = () => {
  const [, words, names] = MAPS[s.map];
  p.maps.querySelectorAll('button').forEach((node) => { node.classList.toggle('on', node.dataset.map === s.map); node.setAttribute('aria-pressed', node.dataset.map === s.map); });
  p.about.textContent = words; p.controls.replaceChildren(...names.map((name) => control[name]()).filter(Boolean));
  p.controls.hidden = !p.controls.childNodes.length;
};
const toMap = async (kind) => {
  s.map = kind; controls(); drawMap();
  if (MAPS[kind][2].includes('partner') && !partners) { const mine = run, reply = await ask({ kind: 'partners', run }); if (mine === run && !reply.error) { partners = reply.partners; controls(); } }
};
const save = async (node) => {
  const reply = await ask({ kind: 'export', run, stage: s.stage, layer: layerNow(), tokens: s.tokens }, 'Writing the file');
  if (reply.error) { failed(reply.error); return; }
  const link = make('a', 'fv-quiet', reply.name); link.href = reply.url; link.download = reply.name; node.replaceChildren('Saved as ', link); link.click();
};
// --- the page ---
const section = (title, ...nodes) => { const box = make('section', 'fv-psection'); box.append(make('h3', '', title), ...nodes); return box; };
const picture = () => {
  map = heatmap(data.pictures, {
    label: 'Patches', start: () => s.cells[0] ?? -1, pick: (cell) => choose([cell]), region: choose,
    hover: (cell, keys) => {
      p.over = cell; read();
      if (keys && cell >= 0) choose(keys.shift ? rectangle(s.cells[0], cell) : [cell]);
    },
  });
  map.mark('sink', sinks().map((t) => data.cell[t]).filter((c) => c >= 0));
};
const rectangle = (a, b) => {
  const { start, view, row, col } = map.cells[a], other = map.cells[b]; if (other.start !== start) return [b];
  const found = []; for (let r = Math.min(row, other.row); r <= Math.max(row, other.row); r++) for (let c = Math.min(col, other.col); c <= Math.max(col, other.col); c++) found.push(start + r * view.cols + c);
  return [a, ...found.filter((cell) => cell !== a)];
};
const hint = () => 'Click a patch, drag a region; arrows move, Shift and arrows widen.';
const sinkWords = () => {
  const { tower, decoder } = data.sinks, parts = [];
  if (tower.length) parts.push(`${tower.length} of outlying norm in the tower`); if (decoder.length) parts.push(`${decoder.length} with a massive activation in the decoder (dimension ${data.dimensions.join(', ')})`);
  return parts.length ? `Attention sinks, dashed: ${parts.join('; ')}. They draw attention for what they are, not for what they show.` : 'No attention sinks were found among these patches.';
};
const left = () => {
  const box = make('div', 'fv-pleft'), look = make('div', 'fv-pcontrols');
  p.maps = make('div', 'fv-pmaps'); p.maps.setAttribute('role', 'group'); p.maps.setAttribute('aria-label', 'What the picture shows');
  for (const [kind, [title, words]] of Object.entries(MAPS)) {
    const why = possible(kind), node = button('fv-mini', title, why || words, () => toMap(kind)); node.dataset.map = kind; node.disabled = Boolean(why); p.maps.append(node);
  }
  p.about = make('p', 'fv-quiet'); p.controls = make('div', 'fv-pcontrols'); p.reading = make('p', 'fv-preading', hint()); p.scale = make('div');
  p.note = make('p', 'fv-quiet'); p.error = make('p', 'fv-error'); p.error.setAttribute('role', 'alert');
  look.append(slide('Opacity', 0.1, 1, s.opacity, 0.05, (v) => { s.opacity = v; drawMap(); }), tick('Smooth', s.smooth, (v) => { s.smooth = v; drawMap(); }, 'Interpolate between patches; the numbers stay'),
    tick('Cut at percentiles', s.cut, (v) => { s.cut = v; drawMap(); }, 'The colours end at the 1st and 99th percentile instead of the extremes'));
  if (sinks().length) look.append(tick('Set sinks aside', s.aside, (v) => { s.aside = v; drawMap(); received(); }, 'Attention on sinks counts as none'));
  const frame = make('div', 'fv-pframe'); frame.append(map.node);
  box.append(p.maps, p.about, p.controls, frame, p.reading, p.scale, p.note, p.error, look, make('p', 'fv-quiet', sinkWords()));
  if (!data.exact) box.append(make('p', 'fv-note', 'Where the visual tokens of this checkpoint look is a guess.')); return box;
};
const right = () => {
  const box = make('div', 'fv-pright'), [layers, heads] = data.decoder, acts = make('div', 'fv-pcontrols'), kept = make('span', 'fv-quiet'); p.again = make('div'); p.second = make('div', 'fv-psecond');
  p.where = make('h2', 'fv-pwhere', ''); p.used = make('div'); p.lens = make('div'); p.loss = make('p', 'fv-ploss'); p.loss.setAttribute('role', 'status');
  answer = wordsTable(data.words, (k) => { s.word = k; answer.mark(k); toMap('used'); });
  const range = (n, name) => [[null, `all ${name}s`], ...Array.from({ length: n }, (_, i) => [i, `${name} ${i + 1}`])], changed = (name) => (v) => { s[name] = v === '' ? null : +v; received(); if (s.map === 'used') drawMap(); };
  acts.append(pick('Attention, mean over', range(layers, 'layer'), s.wordLayer, changed('wordLayer')), pick('and', range(heads, 'head'), s.wordHead, changed('wordHead')),
    pick('Hidden by', [['mean', 'the mean patch in its place'], ['cut', 'cutting text off from it']], s.how, (v) => { s.how = v; p.used.classList.add('stale'); lost(); }, 'Replaced by the mean visual token of this picture, or left in place with no text attending to it'));
  const scroll = make('div', 'fv-pscroll'); scroll.append(answer.node); p.used.append(acts, p.loss, scroll, button('fv-mini', 'Answer again without it', 'Let the model answer the same question with these patches hidden', anew), p.again);
  p.says = make('details', 'fv-psection'); p.says.open = data.lens.usable === true; p.says.addEventListener('toggle', spoken);
  p.says.append(make('summary', '', 'What the lens says here'), make('p', data.lens.usable ? 'fv-quiet' : 'fv-note', data.lens.text), p.lens);
  const file = make('div', 'fv-pcontrols'); file.append(button('fv-mini', 'Export NPZ', 'Features, similarities and attention as raw numbers', () => save(kept)), kept);
  box.append(p.second, p.where, section('Words that used it', p.used), p.says, file); return box;
};
const build = () => {
  s = fresh(); s.tower = Math.max(0, data.stages.tower.layers - 1); partners = null; p.bar = p.scores = null; p.over = -1; picture();
  const grid = make('div', 'fv-pgrid'), a = left(), b = right(); grid.append(a, b); root.replaceChildren(p.asking, grid);
  answer.mark(s.word); controls(); blank(); choose([data.cell[data.first]].filter((c) => c >= 0));
};
const empty = (text, again) => { const line = make('p', again ? 'fv-error' : 'fv-empty', text); root.replaceChildren(p.asking, line); if (again) root.append(button('fv-mini', 'Try again', 'Read the answer again', load)); };
const load = async () => {
  const wanted = run; data = null; if (!wanted) { empty('Nothing on the bench yet. Ask about a picture in Chat.'); return; }
  empty('Reading the answer'); const reply = await ask({ kind: 'open', run: wanted }, 'Reading the answer'); if (wanted !== run) return;
  if (reply.error) { empty(reply.error, true); return; }
  data = reply; build();
};
const visible = () => element.offsetParent !== null;
const follow = () => { const wanted = props.value ? props.value.run : ''; if (visible() && wanted !== run) { run = wanted; load(); } };
new IntersectionObserver(follow).observe(element); watch('value', follow); follow();
