// The file beside each picture as it entered the encoder, large, over the page. What was never seen is dark.
const NS = 'http://www.w3.org/2000/svg';
const shape = (tag, values) => {
  const node = document.createElementNS(NS, tag);
  for (const [k, v] of Object.entries(values)) node.setAttribute(k, v);
  return node;
};
const cover = ({ size: [w, h], seen }) => {
  const svg = shape('svg', { viewBox: `0 0 ${w} ${h}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }),
    edges = shape('g', {});
  const mask = shape('mask', { id: 'fv-hole-' + Math.random().toString(36).slice(2) });
  mask.append(shape('rect', { width: w, height: h, fill: '#fff' }));
  for (const [x0, y0, x1, y1] of seen) {
    mask.append(shape('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: '#000' }));
    const left = Math.max(0, x0),
      top = Math.max(0, y0);
    edges.append(
      shape('rect', { x: left, y: top, width: Math.min(w, x1) - left, height: Math.min(h, y1) - top, class: 'fv-edge' }),
    );
  }
  svg.append(mask, shape('rect', { width: w, height: h, class: 'fv-unseen', mask: `url(#${mask.id})` }), edges);
  return svg;
};
const draw = (view) => {
  const figure = make('figure', 'fv-figure'),
    frame = make('div', 'fv-frame'),
    img = make('img');
  img.src = view.url;
  img.alt = view.title;
  frame.append(img);
  if (view.seen && view.seen.length) frame.append(cover(view));
  figure.append(frame, make('figcaption', 'fv-quiet', view.title));
  return figure;
};
const box = make('dialog', 'fv-saw');
box.setAttribute('aria-label', 'What the model saw');
document.body.append(box);
const build = () => {
  const value = props.value;
  if (!value) {
    box.close();
    return;
  }
  const head = make('div', 'fv-saw-head');
  head.append(
    make('h2', '', 'What the model saw'),
    button('fv-mini', 'Close', 'Close (Esc)', () => box.close()),
  );
  box.replaceChildren(head, make('p', 'fv-quiet', value.text));
  for (const { file, views } of value.rows) {
    const row = make('div', 'fv-saw-row'),
      left = make('div', 'fv-saw-side'),
      right = make('div', 'fv-saw-side');
    left.append(make('h3', '', 'The file'), draw(file));
    right.append(
      make('h3', '', views.length > 1 ? `As it entered the encoder, ${views.length} pictures` : 'As it entered the encoder'),
    );
    const all = make('div', 'fv-saw-views' + (views.length > 1 ? ' many' : ''));
    for (const view of views) all.append(draw(view));
    right.append(all);
    row.append(left, right);
    box.append(row);
  }
  if (!box.open) box.showModal();
};
watch('value', build);
build();
