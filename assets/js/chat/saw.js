// The file beside each picture as it entered the encoder, large, over the page. What was never seen is dark.

import { button, make, shape } from '../dom/make.js';
import { Part } from '../dom/part.js';

/** @typedef {{url: string, title: string, size: [number, number], seen?: [number, number, number, number][]}} Seen */

/** @param {{size: [number, number], seen: [number, number, number, number][]}} view */
const cover = ({ size: [w, h], seen }) => {
  const svg = shape('svg', { viewBox: `0 0 ${w} ${h}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }),
    edges = shape('g'),
    mask = shape('mask', { id: 'fv-hole-' + Math.random().toString(36).slice(2) });
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

/** @param {Seen} view */
const draw = ({ url, title, size, seen }) => {
  const figure = make('figure', 'fv-figure'),
    frame = make('div', 'fv-frame'),
    img = make('img');
  img.src = url;
  img.alt = title;
  frame.append(img);
  if (seen?.length) frame.append(cover({ size, seen }));
  figure.append(frame, make('figcaption', 'fv-quiet', title));
  return figure;
};

/** @param {{file: Seen, views: Seen[]}} row */
const sideBySide = ({ file, views }) => {
  const row = make('div', 'fv-saw-row'),
    left = make('div', 'fv-saw-side'),
    right = make('div', 'fv-saw-side'),
    all = make('div', 'fv-saw-views' + (views.length > 1 ? ' many' : ''));
  left.append(make('h3', '', 'The file'), draw(file));
  all.append(...views.map(draw));
  right.append(
    make('h3', '', views.length > 1 ? `As it entered the encoder, ${views.length} pictures` : 'As it entered the encoder'),
    all,
  );
  row.append(left, right);
  return row;
};

export class Saw extends Part {
  #box = make('dialog', 'fv-saw');

  begin() {
    this.#box.setAttribute('aria-label', 'What the model saw');
    this.elsewhere(this.#box);
  }

  /** @param {{text: string, rows: {file: Seen, views: Seen[]}[]} | null} value */
  show(value) {
    const box = this.#box;
    if (!value) {
      box.close();
      return;
    }
    const head = make('div', 'fv-saw-head');
    head.append(
      make('h2', '', 'What the model saw'),
      button('fv-mini', 'Close', 'Close (Esc)', () => box.close()),
    );
    box.replaceChildren(head, make('p', 'fv-quiet', value.text), ...value.rows.map(sideBySide));
    if (!box.open) box.showModal();
  }
}
