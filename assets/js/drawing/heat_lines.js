// Lines over a picture: frames of cells, of boxes, of views.

import { shape } from '../dom/make.js';

/** @typedef {import('./paint.js').Box} Box */
/** @typedef {import('./heatmap.js').Cell} Cell */

/**
 * A frame that is seen on any ground: a dark line under a light one.
 * @param {Box} box
 * @param {string} kind
 */
export const rect = ([x0, y0, x1, y1], kind) =>
  ['fv-halo', 'fv-line ' + kind].map((name) => shape('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: name }));

/**
 * @param {Box} box
 * @param {[number, number]} size
 * @returns {Box}
 */
export const trim = ([x0, y0, x1, y1], [w, h]) => [Math.max(0, x0), Math.max(0, y0), Math.min(w, x1), Math.min(h, y1)];

/**
 * The outer edge of some cells of the k-th picture: no line between two of them.
 * @param {Cell[]} cells
 * @param {number[]} chosen
 * @param {number} k
 * @param {[number, number]} size
 * @param {string} kind
 */
export const edge = (cells, chosen, k, [w, h], kind) => {
  const inside = new Set(chosen),
    /** @type {string[]} */
    path = [],
    x = (/** @type {number} */ v) => Math.max(0, Math.min(w, v)),
    y = (/** @type {number} */ v) => Math.max(0, Math.min(h, v));
  for (const i of inside) {
    const cell = cells[i];
    if (!cell || cell.picture !== k) continue;
    const {
        view,
        start,
        row,
        col,
        box: [x0, y0, x1, y1],
      } = cell,
      held = (/** @type {number} */ r, /** @type {number} */ c) =>
        r >= 0 && c >= 0 && r < view.rows && c < view.cols && inside.has(start + r * view.cols + c);
    if (!held(row - 1, col)) path.push(`M${x(x0)} ${y(y0)}H${x(x1)}`);
    if (!held(row + 1, col)) path.push(`M${x(x0)} ${y(y1)}H${x(x1)}`);
    if (!held(row, col - 1)) path.push(`M${x(x0)} ${y(y0)}V${y(y1)}`);
    if (!held(row, col + 1)) path.push(`M${x(x1)} ${y(y0)}V${y(y1)}`);
  }
  return path.length ? ['fv-halo', 'fv-line ' + kind].map((name) => shape('path', { d: path.join(''), class: name })) : [];
};
