// The original beside each picture as it entered the encoder, with the part that was never seen dimmed.
const draw = (view) => {
  const figure = make('figure', 'fv-figure'), frame = make('div', 'fv-frame');
  const img = make('img'); img.src = view.url; img.alt = view.title; frame.append(img);
  if (view.seen) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', `0 0 ${view.size[0]} ${view.size[1]}`); svg.setAttribute('preserveAspectRatio', 'none');
    const [w, h] = view.size; let path = `M0 0H${w}V${h}H0Z`;
    for (const [x0, y0, x1, y1] of view.seen) path += `M${Math.max(0, x0)} ${Math.max(0, y0)}V${Math.min(h, y1)}H${Math.min(w, x1)}V${Math.max(0, y0)}Z`;
    const hidden = document.createElementNS('http://www.w3.org/2000/svg', 'path'); hidden.setAttribute('d', path); hidden.setAttribute('class', 'fv-unseen');
    const edges = document.createElementNS('http://www.w3.org/2000/svg', 'g');
    for (const [x0, y0, x1, y1] of view.seen) {
      const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
      for (const [k, v] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })) rect.setAttribute(k, v);
      rect.setAttribute('class', 'fv-edge'); edges.append(rect);
    }
    svg.append(hidden, edges); frame.append(svg);
  }
  figure.append(frame, make('figcaption', 'fv-quiet', view.title));
  return figure;
};
const build = () => {
  const value = props.value, root = one('.fv-saw'); root.replaceChildren(); if (!value) return;
  if (value.text) root.append(make('p', '', value.text));
  const row = make('div', 'fv-row'); for (const view of value.views) row.append(draw(view)); root.append(row);
};
watch('value', build); build();
