// The attention tab: which answer, which words, which map. Maps of raw attention are held for all words; others are asked for.
// Value: {run, map, opening}: the turn, a kept map of it to be shown, and a name of this opening. The server functions ask, progress and halt are explained in request.js.
const root = one('.fv-attention'),
  p = {},
  look = { opacity: 0.72, smooth: false, how: 'linear', shared: false };
let at = null,
  view = null,
  spec = null,
  drawn = null,
  pinned = null,
  kept = null,
  sinks = null,
  chosen = [],
  previewing = -1;
let rows = new Map(),
  found = new Map(),
  fetching = new Map(); // raw maps by layer and head, then word; maps of every method; what is on its way
const layered = () => method(spec.method).layered;
const aside = () => (spec.without && sinks ? sinks.tokens : []);
const choice = (of = layered()) => ({
  layer: of ? spec.layer : null,
  head: of ? spec.head : null,
  reduce: spec.reduce,
  rows: spec.rows,
  without: aside(),
});
const question = (what, more) => ({
  what,
  run: view.run,
  typed: view.typed,
  method: spec.method,
  words: spec.words,
  ...choice(),
  ...more,
});
const trouble = (text) => {
  p.trouble.textContent = text || '';
};
const rawKey = () => JSON.stringify(choice());
const rawOf = (word) => rows.get(rawKey())?.get(word);
const again = () => {
  if (drawn && previewing < 0) draw(pinned || drawn);
};

// --- raw attention, for hovering and sliding ---------------------------------------------------
const fetchRaw = (word) => {
  const key = rawKey(),
    held = rows.get(key) || new Map();
  rows.set(key, held);
  const ticket = `${key} ${word}`;
  if (fetching.has(ticket)) return fetching.get(ticket);
  const job = quest(null, question('maps', { method: 'attention', words: [word] }), 'Reading the answer', p.busy).then((got) => {
    fetching.delete(ticket);
    if (got.error || got.stopped) {
      trouble(got.error);
      return;
    }
    const all = floats(got.scores);
    for (let i = 0; i < got.count; i++) {
      const words = [got.first + i],
        scores = all.subarray(i * got.cells, (i + 1) * got.cells);
      held.set(words[0], {
        scores,
        words,
        unit: 'attention',
        signed: false,
        note: got.note,
        mass: got.mass[i],
        method: 'attention',
        choice: key,
      });
    }
  });
  fetching.set(ticket, job);
  return job;
};
const merged = (words) => {
  // the mean over words, as the method itself takes it
  const each = words.map(rawOf);
  if (each.some((one) => !one)) return null;
  if (each.length === 1) return each[0];
  const scores = new Float32Array(each[0].scores.length);
  for (const one of each)
    one.scores.forEach((v, i) => {
      scores[i] += v / each.length;
    });
  return { ...each[0], scores, words, mass: each.reduce((sum, one) => sum + one.mass, 0) / each.length };
};
const preview = async (word) => {
  previewing = word;
  if (word < 0) {
    again();
    return;
  }
  if (!rawOf(word)) await fetchRaw(word);
  const map = rawOf(word);
  if (map && previewing === word) draw(map, true);
};

// --- the map that is wanted --------------------------------------------------------------------
const refresh = async () => {
  controls();
  about();
  overview();
  trouble('');
  const wanted = JSON.stringify(question('')),
    stale = () => view === null || wanted !== JSON.stringify(question('')),
    key = rawKey();
  const held = spec.method === 'attention' && (spec.words.length === 1 || spec.reduce === 'mean');
  if (held) {
    endWork('map');
    for (let missing; (missing = spec.words.find((word) => !rawOf(word))) !== undefined;) {
      await fetchRaw(missing);
      if (stale() || !rawOf(missing)) return;
    }
    present(merged(spec.words));
    return;
  }
  if (!found.has(wanted)) {
    const words = spec.words,
      slug = spec.method,
      got = await quest('map', question('heat'), `${method(slug).title} of ${saying(words)}`, p.busy);
    if (got.stopped) {
      if (!stale()) trouble('Stopped. The map before is still shown.');
      return;
    }
    if (got.error) {
      if (!stale()) trouble(got.error);
      return;
    }
    found.set(wanted, { ...got.map, scores: floats(got.map.scores), method: slug, words, choice: key });
  } else endWork('map');
  if (!stale()) present(found.get(wanted));
};
const present = (map) => {
  pinned = map;
  if (previewing < 0) draw(map);
  clearTimeout(present.later);
  const run = view.run; // a raw map that stays is logged as the others are
  if (map.method === 'attention')
    present.later = setTimeout(() => {
      if (view && view.run === run && pinned === map) quest(null, question('heat'), 'Logging the map', make('div'));
    }, 1500);
};
const controls = () => {
  const can = layered(),
    name = (v, many) => (v === null ? `all ${many}` : `${v + 1} of ${many}`),
    one = can && (spec.layer !== null || spec.head !== null);
  p.method.value = spec.method;
  for (const key of ['layer', 'head']) {
    p[key].disabled = !can;
    p[key].value = can && spec[key] !== null ? spec[key] + 1 : 0;
  }
  p.layerText.textContent = name(can ? spec.layer : null, view.layers);
  p.headText.textContent = name(can ? spec.head : null, view.heads);
  p.layer.setAttribute('aria-valuetext', p.layerText.textContent);
  p.head.setAttribute('aria-valuetext', p.headText.textContent);
  p.remove.box.checked = spec.without;
  p.keep.textContent = kept ? 'End comparing' : 'Keep as A';
  for (const node of [p.hide, p.knock, p.other, p.clear]) node.hidden = !chosen.length;
  if (!chosen.length) p.patching.hidden = true;
  p.hide.textContent = chosen.length === 1 ? 'Hide the patch' : `Hide ${chosen.length} patches`;
  p.knock.textContent = one ? 'Knock out in the chosen layer and head' : 'Knock out';
};
const hovered = (cell) => {
  p.readout.textContent =
    cell >= 0
      ? p.heat.words(cell)
      : chosen.length
        ? `${chosen.length} ${chosen.length === 1 ? 'patch' : 'patches'} selected`
        : 'Hover or use the arrow keys to read patches. Drag to select some.';
  if (p.scale.bar) p.scale.bar.at(cell < 0 || !drawn ? null : drawn.scores[cell]);
};
const select = (cells) => {
  chosen = cells;
  p.heat.mark('chosen', cells);
  controls();
  hovered(-1);
};
const chooseHead = (l, h) => {
  if (!layered()) spec.method = 'attention';
  const same = spec.layer === l && spec.head === h;
  spec.layer = same ? null : l;
  spec.head = same ? null : h;
  refresh();
};
const overview = async () => {
  const things = JSON.parse(p.target.value),
    wanted = JSON.stringify([spec.words, spec.rows, things]);
  p.overview.choose(layered() ? spec.layer : null, layered() ? spec.head : null);
  if (p.overview.wanted === wanted) return;
  p.overview.wanted = wanted;
  const got = await quest(
    null,
    question('overview', { things, layer: null, head: null, without: [] }),
    'Reading the answer',
    p.busy,
  );
  if (p.overview.wanted !== wanted || got.error || got.stopped) {
    trouble(got.error);
    return;
  }
  const mass = floats(got.mass),
    inside = got.inside && floats(got.inside).map((v, i) => (mass[i] > 0 ? v / mass[i] : NaN));
  if (inside) p.overview.show(inside, 'share on the thing', { values: mass, what: 'image attention' });
  else p.overview.show(mass, 'image attention', null);
};

// --- more than a map ---------------------------------------------------------------------------
const haveSinks = async () => {
  if (sinks && Number.isFinite(sinks.share)) return true; // of a reopened map only the tokens are known
  const got = await quest('sinks', question('sinks', { without: [] }), 'Looking for sinks', p.busy);
  if (got.error || got.stopped) {
    trouble(got.error || 'Stopped.');
    return false;
  }
  sinks = got;
  return true;
};
const frameSinks = async (on) => {
  if (on && !(await haveSinks())) p.sinks.box.checked = false;
  sinksShown();
};
const setAside = async (on) => {
  if (on && !(await haveSinks())) on = false;
  spec.without = on;
  if (on) p.sinks.box.checked = true;
  sinksShown();
  refresh();
};
const agreement = async () => {
  const doubted = (m) => m.gated && !view.lens.usable,
    able = view.methods.filter((m) => m.can && !doubted(m)),
    shownAll = agreeView(view.pictures),
    done = [];
  const failed = view.methods
    .filter(doubted)
    .map(
      (m) =>
        `${m.title} is left out: ${view.lens.usable === null ? 'the lens of this checkpoint was not measured' : 'the lens of this checkpoint is not to be believed'}.`,
    );
  p.agree.hidden = false;
  p.agree.replaceChildren(shownAll.node);
  const asked = { ...question('heat'), layer: null, head: null };
  shownAll.node.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  for (const [i, m] of able.entries()) {
    const got = await quest(
      'agree',
      { ...asked, method: m.slug },
      `${i + 1} of ${able.length} methods: ${m.title}`,
      shownAll.busy,
    );
    if (got.stopped) break;
    if (got.error) {
      failed.push(`${m.title}: ${got.error}`);
      continue;
    }
    done.push(m);
    shownAll.add(m, { ...got.map, scores: floats(got.map.scores) }, look);
  }
  if (done.length < 2) return;
  const got = await quest(null, { ...asked, what: 'agree', methods: done.map((m) => m.slug) }, 'Comparing ranks', shownAll.busy);
  if (got.matrix)
    shownAll.end(
      done.map((m) => m.title),
      got.matrix,
      failed,
    );
};

// --- which answer ------------------------------------------------------------------------------
const load = async (run, typed = '', wanted = null) => {
  for (const kind of [...working.keys()]) endWork(kind);
  const place = make('div', 'fv-busy'),
    line = make('p', 'fv-quiet', run ? 'Reading the answer' : 'There is no answer yet. Ask something in Chat.');
  if (view) p.busy.replaceChildren(place);
  else root.replaceChildren(line, place);
  if (!run) {
    view = null;
    root.replaceChildren(line);
    return;
  }
  const got = await quest('open', { what: 'open', run, typed }, 'Reading the answer', place);
  if (at !== run) return;
  if (got.error || got.stopped) {
    const why = got.error || 'Stopped.';
    if (view && view.run === run) {
      trouble(why);
      return;
    }
    view = null;
    root.replaceChildren(
      make('p', 'fv-error', why),
      button('fv-mini', 'Try again', 'Read the answer again', () => load(run, typed)),
    );
    return;
  }
  view = got.view;
  rows = new Map();
  found = new Map();
  fetching = new Map();
  drawn = pinned = kept = sinks = null;
  chosen = [];
  previewing = -1;
  const weight = (t) => t.d ?? t.m,
    first = view.tokens.reduce((best, t, k) => (weight(t) > weight(view.tokens[best]) ? k : best), 0);
  spec = { method: view.method, words: [first], layer: null, head: null, reduce: 'mean', rows: 'predicting', without: false };
  const fits = wanted && method(wanted.method)?.can && wanted.words.every((k) => k < view.tokens.length);
  if (fits) for (const part of ['method', 'layer', 'head', 'reduce', 'rows']) spec[part] = wanted[part];
  if (fits && wanted.without.length) {
    spec.without = true;
    sinks = { tokens: wanted.without, cells: [], tower: 0, decoder: 0, share: NaN };
  }
  shell();
  p.words.set(fits ? wanted.words : [first]);
  hovered(-1);
  delete root.dataset.drawn;
};
const follow = () => {
  const { run = '', map = null, opening = '' } = props.value || {};
  if (element.offsetParent === null || (run === at && (!map || opening === follow.opening))) return;
  at = run;
  follow.opening = opening;
  load(run, map ? map.typed : '', map);
};
new IntersectionObserver(follow).observe(element);
watch('value', follow);
follow();
