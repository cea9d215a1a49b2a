// The attention tab. Events: ask {request}, typed {run, text}, halt {page}. The server functions maps_of and overview_of answer at once.
const PAGE = Math.random().toString(36).slice(2) + Date.now().toString(36), root = one('.fv-attention');
const look = { opacity: 0.72, smooth: false, how: 'linear', shared: false };
let view = null, spec = null, parts = null, shownMap = null, kept = null, sinks = null, chosen = [], pending = null, previewing = -1, numbers = 0, fetching = new Map();
let rows = new Map(), found = new Map(); // raw attention by layer and head; maps of every method by what was asked
const layered = () => view.methods.find((m) => m.slug === spec.method).layered;
const method = (slug) => view.methods.find((m) => m.slug === slug);
const choice = () => ({ layer: layered() ? spec.layer : null, head: layered() ? spec.head : null, reduce: spec.reduce, rows: spec.rows, without: spec.without && sinks ? sinks.tokens : [] });
const request = (what, more) => ({ id: String(++numbers), page: PAGE, what, run: view.run, typed: view.typed, method: spec.method, words: spec.words, ...choice(), ...more });
const keyOf = (values) => JSON.stringify(values);
const said = (words) => '\u201c' + (words.map((k) => view.tokens[k].t).join('').trim() || shown(view.tokens[words[0]].t)) + '\u201d';

// --- maps --------------------------------------------------------------------------------------
const rawKey = () => { const { layer, head } = layered() ? spec : { layer: null, head: null }; return keyOf([layer, head, spec.reduce, spec.rows, choice().without.length]); };
const fetchRows = async (word) => {
  const key = rawKey(), ticket = key + Math.floor(word / 16); if (fetching.has(ticket)) return fetching.get(ticket);
  const job = (async () => {
    const got = await server.maps_of({ ...request('heat'), method: 'attention', words: [word] }); if (got.error) { trouble(got.error); return; }
    const all = floats(got.scores), held = rows.get(key) || new Map(); rows.set(key, held);
    for (let k = 0; k < got.count; k++) held.set(got.first + k, { scores: all.subarray(k * got.cells, (k + 1) * got.cells), unit: 'attention', signed: false, note: got.note, mass: got.mass[k], method: 'attention', words: [got.first + k] });
  })().catch(() => trouble('The maps could not be fetched. Try again.')).finally(() => fetching.delete(ticket));
  fetching.set(ticket, job); return job;
};
const rawOf = (word) => rows.get(rawKey())?.get(word);
const merged = (words) => { // mean over words, as the method itself does it
  const each = words.map(rawOf); if (each.some((one) => !one)) return null; if (each.length === 1) return each[0];
  const scores = new Float32Array(each[0].scores.length); for (const one of each) one.scores.forEach((v, i) => { scores[i] += v / each.length; });
  return { ...each[0], scores, words, mass: each.reduce((sum, one) => sum + one.mass, 0) / each.length };
};
const isRaw = () => spec.method === 'attention' && (spec.words.length === 1 || spec.reduce === 'mean');
const wantedKey = () => keyOf([spec.method, spec.words, choice()]);
const refresh = async () => {
  controls();
  if (isRaw()) {
    const missing = spec.words.find((word) => !rawOf(word)), before = wantedKey();
    if (missing !== undefined) { await fetchRows(missing); if (before !== wantedKey()) return; const map = merged(spec.words); if (!map && spec.words.some((word) => !rawOf(word) && word > missing)) return refresh(); }
    const map = merged(spec.words); if (map) { stop(); present(map); }
  } else if (found.has(wantedKey())) { stop(); present(found.get(wantedKey())); } else ask('heat', { key: wantedKey(), words: spec.words, method: spec.method });
  overviewOf();
};
const preview = async (word) => {
  previewing = word; if (word < 0) { if (shownMap) draw(shownMap); return; }
  if (!rawOf(word)) { await fetchRows(word); if (previewing !== word) return; }
  const map = rawOf(word); if (map) draw(map, true);
};
const present = (map) => { shownMap = map; if (previewing < 0) draw(map); about(); };
const sharedScale = (map) => {
  if (!look.shared) return scaleOf([map.scores], look.how, map.signed);
  const all = map.method === 'attention' && rows.get(rawKey()) ? [...rows.get(rawKey()).values()] : [...found.values()].filter((one) => one.method === map.method && one.choice === map.choice);
  return scaleOf(all.length ? all.map((one) => one.scores) : [map.scores], look.how, map.signed);
};
const draw = (map, passing = false) => {
  const begun = performance.now(), name = (one) => `${method(one.method).title} of ${said(one.words)}`;
  parts.title.textContent = (passing ? 'Preview: ' : '') + name(map);
  parts.note.textContent = [map.note, map.mass !== null ? `image attention ${digits(map.mass)}` : ''].filter(Boolean).join(' \u00b7 ');
  if (kept && !passing) compared(map); else single(map);
  root.dataset.drawn = keyOf([map.method, map.words]); root.dataset.paint = (performance.now() - begun).toFixed(2);
};
const single = (map) => {
  parts.pair.hidden = true; parts.main.hidden = false; const scale = sharedScale(map);
  parts.heat.show({ scores: map.scores, scale, signed: map.signed, unit: map.unit, opacity: look.opacity, smooth: look.smooth }); bar(parts.scale, scale, map.signed, map.unit);
};
const bar = (place, scale, signed, unit) => { const node = colourBar({ scale, signed, unit, opacity: 1 }); place.replaceChildren(node); place.bar = node; };
// A kept map, this one and their difference. Different units are compared as shares of their maps.
const compared = (map) => {
  const same = kept.unit === map.unit && kept.signed === map.signed, size = (one) => one.scores.reduce((sum, v) => sum + (Number.isFinite(v) ? Math.abs(v) : 0), 0) || 1;
  const as = (one) => same ? one.scores : one.scores.map((v) => v / size(one)), a = as(kept), b = as(map), minus = a.map((v, i) => v - b[i]);
  const unit = same ? map.unit : 'share of the map', signed = kept.signed || map.signed, scale = scaleOf([a, b], look.how, signed), apart = scaleOf([minus], look.how, true);
  parts.main.hidden = true; parts.pair.hidden = false;
  const titles = [`A: ${method(kept.method).title} of ${said(kept.words)}, ${kept.note}`, `B: ${method(map.method).title} of ${said(map.words)}, ${map.note}`, 'A \u2212 B'];
  [[a, scale, signed], [b, scale, signed], [minus, apart, true]].forEach(([scores, one, two], i) => {
    parts.three[i].heat.show({ scores, scale: one, signed: two, unit, opacity: look.opacity, smooth: look.smooth }); parts.three[i].title.textContent = titles[i]; bar(parts.three[i].scale, one, two, unit);
  });
};

// --- work on the server ------------------------------------------------------------------------
const ask = (what, more = {}) => {
  const { key, ...rest } = more, asked = request(what, rest); pending = { id: asked.id, what, key, method: asked.method, words: asked.words, choice: keyOf(choice()) };
  busy(what === 'heat' ? `${method(asked.method).title} of ${said(asked.words)}` : 'Working', null); trigger('ask', { request: asked });
};
const stop = () => { if (pending) { pending = null; trigger('halt', { page: PAGE }); } busy('', null); };
const busy = (text, share) => {
  clearTimeout(busy.later); const put = () => { parts.busy.hidden = !text; parts.stage.textContent = text; if (share === null) parts.progress.removeAttribute('value'); else parts.progress.value = share; };
  if (text && parts.busy.hidden) busy.later = setTimeout(put, 250); else put(); // what is there at once needs no progress
};
const trouble = (text) => { if (parts) { parts.trouble.textContent = text; } };
root.addEventListener('fv-reply', ({ detail: got }) => {
  if (!pending || got.id !== pending.id) return; const job = pending; trouble('');
  if (got.done) { pending = null; busy('', null); } else busy(got.stage || 'Working', got.share ?? null);
  if (got.error) { trouble(got.error); return; }
  if (got.halted) { trouble('Stopped.'); return; }
  if (got.map) { const map = { ...got.map, scores: floats(got.map.scores), method: job.method, words: job.words, choice: job.choice }; found.set(job.key, map); if (job.key === wantedKey()) present(map); }
  if (got.agree) { parts.agree.hidden = false; parts.agreement.show(got.agree, look); }
  if (got.sinks) { sinks = got.sinks; sinksShown(); controls(); if (job.then) job.then(); }
  if (got.change) changeShown(got.change);
  if (got.file) save(got.file);
});
const overviewOf = async () => {
  const wanted = keyOf([spec.words, spec.rows, parts.target.value]); if (overviewOf.now === wanted) { parts.overview.choose(layered() ? spec.layer : null, layered() ? spec.head : null); return; }
  overviewOf.now = wanted;
  const things = parts.target.value === '' ? [] : JSON.parse(parts.target.value);
  try {
    const got = await server.overview_of({ ...request('heat'), layer: null, head: null, without: [], cells: things }); if (overviewOf.now !== wanted) return; if (got.error) { trouble(got.error); return; }
    const mass = floats(got.mass), inside = got.inside ? floats(got.inside).map((v, i) => mass[i] > 0 ? v / mass[i] : NaN) : null;
    overviewOf.values = { mass, inside }; overviewShown();
  } catch { overviewOf.now = null; }
};
const overviewShown = () => {
  const { mass, inside } = overviewOf.values || {}; if (!mass) return;
  const names = ['image attention', 'share of it on the thing'];
  if (inside) parts.overview.show(inside, names[1], { values: mass, what: names[0] }); else parts.overview.show(mass, names[0], null);
  parts.overview.choose(layered() ? spec.layer : null, layered() ? spec.head : null);
};

// --- layout ------------------------------------------------------------------------------------
const field = (text, node, title) => { const label = make('label', 'fv-field'); label.append(make('span', '', text), node); if (title) label.title = title; return label; };
const pick = (options, value, act) => { const node = make('select'); for (const [v, text] of options) { const o = make('option', '', text); o.value = v; node.append(o); } node.value = value; node.addEventListener('change', () => act(node.value)); return node; };
const slide = (low, high, step, value, act) => { const node = make('input'); node.type = 'range'; Object.assign(node, { min: low, max: high, step, value }); node.addEventListener('input', () => act(+node.value)); return node; };
const tick = (text, value, act) => { const label = make('label', 'fv-tick'), node = make('input'); node.type = 'checkbox'; node.checked = value; node.addEventListener('change', () => act(node.checked)); label.append(node, make('span', '', text)); label.box = node; return label; };
const again = () => { if (previewing < 0 && shownMap) draw(shownMap); };
const methodPicker = () => {
  const node = make('select'); node.id = 'attention-method';
  for (const cost of Object.keys(view.costs)) {
    const group = make('optgroup'); group.label = view.costs[cost];
    for (const m of view.methods) if (m.cost === cost) { const o = make('option', '', m.title); o.value = m.slug; o.disabled = !m.can; o.title = m.why || m.measures; group.append(o); }
    if (group.children.length) node.append(group);
  }
  node.value = spec.method; node.addEventListener('change', () => { spec.method = node.value; refresh(); }); return node;
};
const controls = () => {
  const can = layered(), name = (v, many) => v === null ? 'all' : `${v + 1} of ${many}`;
  parts.method.value = spec.method; for (const key of ['layer', 'head']) { parts[key].disabled = !can; parts[key].value = can && spec[key] !== null ? spec[key] + 1 : 0; }
  parts.layerText.textContent = can ? name(spec.layer, view.layers) : 'all'; parts.headText.textContent = can ? name(spec.head, view.heads) : 'all';
  parts.remove.box.disabled = !sinks || !sinks.tokens.length; parts.keep.textContent = kept ? 'End comparing' : 'Keep as A';
  for (const node of [parts.hide, parts.knock, parts.clear]) node.hidden = !chosen.length;
  parts.hide.textContent = `Hide ${chosen.length} patches`; parts.knock.textContent = `Knock out${can && (spec.layer !== null || spec.head !== null) ? ' in the chosen layer and head' : ''}`;
};
const about = () => {
  const m = method(shownMap ? shownMap.method : spec.method);
  parts.about.replaceChildren(make('p', '', m.measures), make('p', 'fv-quiet', m.paper), make('p', 'fv-quiet', m.score));
};
const sinksShown = () => {
  const on = parts.sinks.box.checked && sinks; parts.heat.mark('sink', on ? sinks.cells : []);
  parts.sinkText.textContent = !on ? '' : sinks.tokens.length ? `${sinks.tokens.length} of the picture tokens: ${sinks.tower} from the tower, ${sinks.decoder} of the decoder. They take ${digits(100 * sinks.share)} % of image attention.` : 'No sinks among the picture tokens of this answer.';
};
const select = (cells) => { chosen = cells; parts.heat.mark('chosen', cells); controls(); };
const hovered = (cell) => {
  parts.readout.textContent = cell < 0 ? (chosen.length ? `${chosen.length} patches selected` : 'Hover or use the arrow keys to read patches; drag to select some.') : parts.heat.words(cell);
  const place = parts.scale.bar; if (place) place.at(cell < 0 || !shownMap ? null : (previewing >= 0 ? rawOf(previewing) : shownMap)?.scores[cell]);
};
const changeShown = (change) => {
  const box = make('div', 'fv-change'), list = make('div', 'fv-change-words'); parts.change.hidden = false;
  box.append(make('p', '', `${change.what}: the answer loses ${digits(change.lost)} nats. Written anew it is:`), make('div', 'fv-text', change.anew + (change.ended ? '' : ' \u2026')));
  change.before.forEach((before, k) => {
    const after = change.after[k], word = make('span', 'fv-change-word'); word.append(make('bdi', '', shown(view.tokens[k].t)), make('span', '', percent(Math.exp(before))), make('span', '', percent(Math.exp(after))));
    word.style.setProperty('--lost', Math.max(0, Math.min(1, (before - after) / STRONG_NATS))); word.title = `${digits(before - after)} nats lost`; list.append(word);
  });
  box.append(list, make('p', 'fv-quiet', 'Each token with its probability before, and below it after. Tint: nats lost.')); parts.change.replaceChildren(box);
};
const shell = () => {
  root.replaceChildren(); const p = parts = {}, heats = (label) => heatmap(view.pictures, { label, region: select, pick: (cell, e) => select(e.shiftKey ? [...chosen, cell] : chosen.length === 1 && chosen[0] === cell ? [] : [cell]), hover: hovered });
  const head = make('div', 'fv-look-head'), typed = make('input', 'fv-typed'); typed.type = 'text'; typed.maxLength = 4000; typed.value = view.typed; typed.placeholder = 'Or type another answer to trace'; typed.setAttribute('aria-label', 'Another answer to trace in place of the logged one');
  const send = () => trigger('typed', { run: view.run, text: typed.value }); typed.addEventListener('keydown', (e) => { if (e.key === 'Enter') send(); });
  head.append(make('bdi', 'fv-quiet', `${view.checkpoint}: ${view.question}`), typed, button('fv-mini', view.typed ? 'Trace' : 'Trace it', 'Trace this text as the answer; an empty one brings the logged answer back', send));
  p.words = wordChips(view.tokens, { preview, pin: (words) => { spec.words = words; spec.touched = true; previewing = -1; refresh(); } });
  p.busy = make('div', 'fv-progress'); p.busy.hidden = true; p.progress = make('progress'); p.progress.max = 1; p.progress.setAttribute('aria-label', 'Work on the map'); p.stage = make('span'); p.busy.append(p.progress, p.stage, button('fv-mini', 'Stop', 'Stop this; what is shown stays', () => { pending = null; trigger('halt', { page: PAGE }); busy('', null); trouble('Stopped.'); }));
  p.trouble = make('div', 'fv-error'); p.trouble.setAttribute('role', 'alert');
  p.title = make('h3', 'fv-map-title'); p.note = make('p', 'fv-quiet fv-map-note'); p.heat = heats('Map'); p.scale = make('div'); p.readout = make('p', 'fv-quiet fv-readout'); p.readout.setAttribute('role', 'status');
  p.main = make('div', 'fv-map'); p.main.append(p.heat.node, p.scale); p.pair = make('div', 'fv-three'); p.pair.hidden = true;
  p.three = ['A', 'B', 'A minus B'].map((name) => { const box = make('figure', 'fv-third'), one = { title: make('figcaption', 'fv-quiet'), heat: heatmap(view.pictures, { label: name, raster: 320, hover: (cell) => { p.readout.textContent = cell < 0 ? '' : p.three.map(({ heat }, i) => `${['A', 'B', 'A \u2212 B'][i]} ${heat.words(cell).split(': ').pop()}`).join(' \u00b7 '); } }), scale: make('div') }; box.append(one.title, one.heat.node, one.scale); p.pair.append(box); return one; });
  const left = make('div', 'fv-look-left'), tools = make('div', 'fv-look-tools'), acts = make('div', 'fv-actions');
  tools.append(field('Opacity', slide(0, 1, 0.02, look.opacity, (v) => { look.opacity = v; again(); })), field('Scale', pick([['linear', 'linear'], ['percentile', 'percentile 1\u201399']], look.how, (v) => { look.how = v; again(); })),
    tick('one scale for all words', look.shared, (v) => { look.shared = v; again(); }), tick('smooth', look.smooth, (v) => { look.smooth = v; again(); }));
  p.keep = button('fv-mini', 'Keep as A', 'Keep this map as A; whatever is shown next is B, beside it and as a difference', () => { kept = kept ? null : shownMap; controls(); again(); });
  p.hide = button('fv-mini', '', 'Put the mean patch in their place and see what becomes of the answer', () => ask('change', { cells: chosen, knock_out: false }));
  p.knock = button('fv-mini', '', 'Let the text attend to them no more and see what becomes of the answer', () => ask('change', { cells: chosen, knock_out: true }));
  p.clear = button('fv-mini', 'Clear', 'Select no patches', () => select([]));
  acts.append(p.keep, button('fv-mini', 'Agreement of all methods', 'Every method\u2019s map of this word, and how they agree. Takes some seconds.', () => { p.agreement = agreeView(view.pictures); p.agree.replaceChildren(p.agreement.node); ask('agree'); }), p.hide, p.knock, p.clear);
  left.append(p.title, p.note, p.main, p.pair, p.readout, tools, acts);
  const right = make('div', 'fv-look-right'); p.method = methodPicker(); p.about = make('div', 'fv-about');
  p.layerText = make('output'); p.headText = make('output'); p.layer = slide(0, view.layers, 1, 0, (v) => { spec.layer = v ? v - 1 : null; refresh(); }); p.head = slide(0, view.heads, 1, 0, (v) => { spec.head = v ? v - 1 : null; refresh(); }); p.layer.id = 'attention-layer'; p.head.id = 'attention-head';
  const layer = field('Layer', p.layer), headField = field('Head', p.head); layer.append(p.layerText); headField.append(p.headText);
  const askedThings = view.things.map((t, i) => t.asked ? i : -1).filter((i) => i >= 0), options = [['', 'image attention']];
  if (askedThings.length) options.push([JSON.stringify(askedThings), `share on ${askedThings.map((i) => view.things[i].name).join(', ')} (asked about)`]);
  view.things.forEach((t, i) => { if (askedThings.length !== 1 || askedThings[0] !== i) options.push([JSON.stringify([i]), `share on ${t.name}`]); });
  p.target = pick(options, '', () => { const things = p.target.value ? JSON.parse(p.target.value) : []; p.heat.frame(view.things.filter((t, i) => things.includes(i))); overviewOf(); }); if (options.length === 1) p.target.hidden = true; p.target.setAttribute('aria-label', 'What the overview shows');
  p.overview = overviewFigure(view.layers, view.heads, (l, h) => { if (!layered()) spec.method = 'attention'; const same = spec.layer === l && spec.head === h; spec.layer = same ? null : l; spec.head = same ? null : h; refresh(); });
  p.sinks = tick('show attention sinks', false, (on) => { if (on && !sinks) ask('sinks'); else sinksShown(); }); p.remove = tick('set sinks aside', spec.without, (on) => { spec.without = on; refresh(); }); p.sinkText = make('p', 'fv-quiet');
  const more = make('details', 'fv-more'); more.append(make('summary', '', 'More'), field('Row', pick([['predicting', 'the position that predicts the word'], ['reading', 'the word\u2019s own position']], spec.rows, (v) => { spec.rows = v; rows = new Map(); refresh(); })), field('Layers and heads', pick([['mean', 'mean'], ['max', 'largest']], spec.reduce, (v) => { spec.reduce = v; refresh(); })), p.sinks, p.remove, p.sinkText);
  right.append(field('Method', p.method), p.about, layer, headField, make('h3', '', 'Layers and heads'), p.target, p.overview.node, more);
  const body = make('div', 'fv-look'); body.append(left, right); p.change = make('div'); p.change.hidden = true; p.agree = make('div'); p.agree.hidden = true;
  const notes = [view.geometry, view.dependence ? `Visual dependence is not known here: ${view.dependence}` : ''].filter(Boolean).map((text) => make('p', 'fv-quiet', text));
  root.append(head, p.words.node, p.busy, p.trouble, body, ...notes, p.change, p.agree); hovered(-1);
};
const build = () => {
  const value = props.value; if (!value) { root.replaceChildren(); view = parts = null; return; }
  if (value.stage) { view = parts = null; const box = make('div', 'fv-progress'), bar = make('progress'); bar.max = 1; if (typeof value.share === 'number') bar.value = value.share; box.append(bar, make('span', '', value.stage)); root.replaceChildren(box); return; }
  view = value; rows = new Map(); found = new Map(); fetching = new Map(); shownMap = kept = sinks = pending = null; chosen = []; previewing = -1; overviewOf.now = overviewOf.values = null;
  let first = 0; view.tokens.forEach((t, k) => { if ((t.d ?? t.m) > (view.tokens[first].d ?? view.tokens[first].m)) first = k; });
  spec = { method: view.method, words: [first], layer: null, head: null, reduce: 'mean', rows: 'predicting', without: false };
  shell(); parts.words.set([first]);
};
watch('value', build); build();
// 'ask' 'typed' 'halt'
