// A map as a thing of its own: what it is of, logged when it stays, opened again from Sessions, saved as files.
const depthNow = () => s.depths[Math.min(s.depth, s.depths.length - 1)];
const OF = {
  alike: () => ({ tokens: s.tokens, stage: s.stage, layer: layerNow() }),
  like_word: () => ({ typed: s.typed }),
  coloured: () => ({ stage: s.stage, layer: layerNow(), partner: s.partner }),
  seen: () => ({ tokens: s.tokens, way: s.way, layer: s.tower, head: s.head, aside: s.aside }),
  used: () => ({ word: s.word, layer: s.wordLayer, head: s.wordHead, aside: s.aside }),
  between: () => ({ tokens: s.last.tokens, partner: s.last.partner, depth: depthNow() }),
  says: () => ({ tokens: s.tokens }),
};
const whatOf = (kind) => ({ map: kind, ...OF[kind]() });
// What stays on the page for a moment is logged with its turn.
const KEEP_MS = 1500;
const keep = async (what) => {
  const mine = run,
    reply = await ask({ kind: 'keep', run, ...what }, { quiet: true });
  if (mine !== run) return;
  root.dataset[what.map === 'says' ? 'said' : 'kept'] = JSON.stringify(what); // two things may be logged at once
  if (reply.error || !reply.kept) note(reply.error || 'This map is not logged: the log holds as many of this turn as it takes.');
};
const keepSoon = () => {
  clearTimeout(keepSoon.later);
  const mine = run,
    kind = s.map,
    what = whatOf(kind),
    wanted = JSON.stringify(what);
  keepSoon.later = setTimeout(() => {
    if (run === mine && data && s.map === kind && JSON.stringify(whatOf(kind)) === wanted) keep(what);
  }, KEEP_MS);
};
// The page as it stood when a map was logged. Opening it shows the map again, made anew.
const restore = (what) => {
  const fits = (tokens) => tokens && tokens.length && tokens.every((t) => t < data.cell.length),
    count = (stage) => (data.stages[stage] ? data.stages[stage].layers : 0);
  const cells = fits(what.tokens) ? what.tokens.map((t) => data.cell[t]).filter((cell) => cell >= 0) : [];
  if (what.map === 'says') p.says.open = true;
  else s.map = what.map;
  if (what.stage && count(what.stage)) {
    s.stage = what.stage;
    if (what.map !== 'seen') s.layer[what.stage] = Math.min(what.layer, count(what.stage) - 1);
  }
  if (what.map === 'seen') {
    s.tower = Math.min(what.layer, count('tower') - 1);
    s.head = what.head;
    s.way = what.way;
    s.aside = what.aside;
  }
  if (what.map === 'used' && what.word < data.words.length) {
    s.word = what.word;
    s.wordLayer = what.layer;
    s.wordHead = what.head;
    s.aside = what.aside;
    answer.mark(s.word);
  }
  if (what.typed !== undefined) s.typed = what.typed;
  if (what.partner !== undefined) s.partner = what.partner;
  p.wordLayer.select.value = s.wordLayer ?? '';
  p.wordHead.select.value = s.wordHead ?? '';
  if (p.aside) p.aside.input.checked = s.aside;
  if (MAPS[s.map].includes('partner')) toMap(s.map);
  else controls();
  if (cells.length) choose(cells);
  else drawMap();
  if (what.map === 'between') patchAgain(what.depth);
};
const patchAgain = async (depth) => {
  await patchNow();
  if (!s.depths) return;
  s.depth = Math.max(0, s.depths.indexOf(depth));
  controls();
  drawMap();
};
// --- files ---
const exported = async (kind) => {
  if (!p.drawn.length) {
    failed('There is no map to save yet.');
    return;
  }
  const part = { npz: 'numbers', md: 'page' }[kind] || 'name',
    chosen = { tokens: s.tokens, features: s.stage, features_layer: layerNow() };
  const reply = await ask({ kind: 'export', run, part, ...chosen, ...whatOf(s.map) }, { text: 'Preparing the file' });
  failed(reply.error);
  if (reply.error) return;
  const note = (heat) => (heat === map ? [data.titles[s.map][1], p.note.textContent].filter(Boolean).join(' ') : ''),
    maps = () => p.drawn.map((heat) => [heat, { note: note(heat), ...heat.now }]);
  failed(await saveMaps(kind, reply, { ...data.about, words: data.words.map((w) => w.t), maps }));
};
// Whether what the decoder says at patches can be believed is measured when asked for.
const measureLens = async () => {
  const mine = run,
    reply = await ask({ kind: 'measure', run }, { text: 'Measuring lens health', group: 'measure' });
  if (mine !== run) return;
  if (reply.error) {
    p.health.append(
      make(
        'p',
        'fv-error',
        reply.error === 'Stopped.' ? 'Stopped. What was measured is kept: the next measurement goes on there.' : reply.error,
      ),
    );
    return;
  }
  const opened = ask.known({ kind: 'open', run });
  if (opened) opened.lens = reply.lens;
  data.lens = reply.lens;
  healthShown();
};
const healthShown = () => p.health.replaceChildren(lensNote(data.lens, measureLens));
