// What is drawn: one map, or a kept one beside it with their difference. Nothing here asks the server.
const method = (slug) => view.methods.find((m) => m.slug === slug);
const saying = (words) =>
  '\u201c' +
  (words
    .map((k) => view.tokens[k].t)
    .join('')
    .trim() || shown(view.tokens[words[0]].t)) +
  '\u201d';
const nameOf = (map) => `${method(map.method).title} of ${saying(map.words)}`;
const sharedScale = (map) => {
  if (!look.shared) return scaleOf([map.scores], look.how, map.signed);
  const raw = map.method === 'attention' && rows.get(rawKey()),
    like = [...found.values()].filter((one) => one.method === map.method && one.choice === map.choice);
  const all = raw ? [...raw.values()] : like;
  return scaleOf(all.length ? all.map((one) => one.scores) : [map.scores], look.how, map.signed);
};
const draw = (map, passing = false) => {
  const begun = performance.now();
  drawn = map;
  p.title.textContent = (passing ? 'Preview: ' : '') + nameOf(map);
  const share = map.mass ?? map.words.reduce((sum, k) => sum + view.tokens[k].m / map.words.length, 0);
  p.note.textContent = [
    map.note,
    `image attention ${digits(share)}${map.mass === null ? ', mean over all layers and heads' : ''}`,
  ]
    .filter(Boolean)
    .join(' \u00b7 ');
  if (kept && !passing) pair(map);
  else single(map);
  root.dataset.drawn = JSON.stringify([map.method, map.words]);
  root.dataset.paint = (performance.now() - begun).toFixed(2);
};
const bar = (place, scale, signed, unit) => {
  const node = colourBar({ scale, signed, unit });
  place.replaceChildren(node);
  place.bar = node;
};
const single = (map) => {
  const scale = sharedScale(map);
  p.pair.hidden = true;
  p.main.hidden = false;
  p.heat.show({ scores: map.scores, scale, signed: map.signed, unit: map.unit, opacity: look.opacity, smooth: look.smooth });
  bar(p.scale, scale, map.signed, map.unit);
  p.heat.now = { title: nameOf(map), note: p.note.textContent, scale, signed: map.signed, unit: map.unit };
};
// Maps in different units are compared as shares of themselves.
const asShare = (map) => {
  const whole = map.scores.reduce((sum, v) => sum + (Number.isFinite(v) ? Math.abs(v) : 0), 0) || 1;
  return map.scores.map((v) => v / whole);
};
const pair = (map) => {
  const same = kept.unit === map.unit && kept.signed === map.signed,
    [a, b] = [kept, map].map((one) => (same ? one.scores : asShare(one)));
  const minus = a.map((v, i) => v - b[i]),
    unit = same ? map.unit : 'share of the map',
    signed = kept.signed || map.signed;
  const both = scaleOf([a, b], look.how, signed),
    apart = scaleOf([minus], look.how, true);
  p.main.hidden = true;
  p.pair.hidden = false;
  p.title.textContent = 'Two maps and their difference';
  p.note.textContent = same ? '' : `Their units differ (${kept.unit}, ${map.unit}), so each is shown as shares of itself.`;
  [
    [`A: ${nameOf(kept)}`, kept.note, a, both, signed],
    [`B: ${nameOf(map)}`, map.note, b, both, signed],
    ['A \u2212 B', '', minus, apart, true],
  ].forEach(([title, note, scores, scale, two], i) => {
    const third = p.three[i];
    third.title.textContent = title;
    third.note.textContent = note;
    third.heat.show({ scores, scale, signed: two, unit, opacity: look.opacity, smooth: look.smooth });
    bar(third.scale, scale, two, unit);
    third.heat.now = { title, note, scale, signed: two, unit };
  });
};
const about = () => {
  const m = method(spec.method);
  const score = make('p', 'fv-quiet fv-score', m.score);
  score.title = view.scored;
  p.about.replaceChildren(
    make('p', '', m.measures),
    make('p', 'fv-quiet', m.paper),
    score,
    ...(m.gated ? [lensNote(view.lens, measureLens)] : []),
  );
};
const sinksShown = () => {
  const on = p.sinks.box.checked && sinks;
  p.heat.mark('sink', on ? sinks.cells : []);
  const kinds = on
    ? [
        [sinks.tower, 'from the tower'],
        [sinks.decoder, 'of the decoder'],
      ]
        .filter(([n]) => n)
        .map(([n, text]) => `${n} ${text}`)
        .join(', ')
    : '';
  p.sinkText.textContent = !on
    ? ''
    : !sinks.tokens.length
      ? 'No sinks among the picture tokens of this answer.'
      : `${sinks.tokens.length} of the picture tokens (${kinds}), framed in yellow. They take ${digits(100 * sinks.share)} % of image attention.`;
};
