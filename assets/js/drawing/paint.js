// Cells drawn on the raster of one picture. `paint` and `tint` say whether something of the picture is on no cell.

import { tableOf } from './scales.js';

/** @typedef {[x0: number, y0: number, x1: number, y1: number]} Box pixels of the source */
/** @typedef {{box: Box, rows: number, cols: number, name: string}} View */
/** @typedef {{first: number, place: Float32Array, cell: Int32Array}} Span which cell each pixel shows, from the first one on */
/** @typedef {View & {start: number, xs: Span, ys: Span}} PlannedView */
/** @typedef {{W: number, H: number, views: PlannedView[]}} Plan which cells each pixel of the raster shows, by view */
/**
 * @typedef {object} Shown
 * @property {Float32Array} scores [cells], NaN where no token looks
 * @property {import('./scales.js').Scale} scale
 * @property {boolean} signed
 * @property {number} opacity
 * @property {boolean} smooth
 */

const NOTHING = [0x8c9a9a9a, 0xe0404040]; // hatched: no token looks there

/**
 * @param {number} from
 * @param {number} to
 * @param {number} count cells from `from` to `to`
 * @param {number} size of the picture
 * @param {number} many pixels of the raster
 * @returns {Span}
 */
const spanOf = (from, to, count, size, many) => {
  const first = Math.max(0, Math.ceil((from * many) / size - 0.5 - 1e-9)),
    last = Math.min(many, Math.ceil((to * many) / size - 0.5 - 1e-9));
  const place = Float32Array.from(
    { length: Math.max(0, last - first) },
    (_, i) => ((((first + i + 0.5) * size) / many - from) / (to - from)) * count,
  );
  return { first, place, cell: Int32Array.from(place, (p) => Math.max(0, Math.min(count - 1, Math.floor(p)))) };
};

/**
 * @param {{size: [number, number], views: View[]}} picture
 * @param {number[]} starts the first cell of each view
 * @param {number} side the raster's longest, pixels
 * @returns {Plan}
 */
export const layout = (picture, starts, side) => {
  const [w, h] = picture.size,
    times = Math.min(1, side / Math.max(w, h)),
    W = Math.max(1, Math.round(w * times)),
    H = Math.max(1, Math.round(h * times));
  const views = picture.views.map((view, i) => {
    const [x0, y0, x1, y1] = view.box;
    return { ...view, start: starts[i], xs: spanOf(x0, x1, view.cols, w, W), ys: spanOf(y0, y1, view.rows, h, H) };
  });
  return { W, H, views };
};

/** @param {number} x @param {number} y */
const hatch = (x, y) => NOTHING[(x + y) % 9 < 2 ? 1 : 0];

/**
 * What nothing was drawn on is hatched. No colour of the ramps is 0, however clear it is.
 * @param {CanvasRenderingContext2D} context
 * @param {ImageData} image
 * @param {Uint32Array} pixels
 * @param {number} W
 */
const finished = (context, image, pixels, W) => {
  let unseen = false;
  for (let p = 0; p < pixels.length; p++)
    if (!pixels[p]) {
      pixels[p] = hatch(p % W, Math.floor(p / W));
      unseen = true;
    }
  context.putImageData(image, 0, 0);
  return unseen;
};

/**
 * One view, its cells as they are: each row of cells is painted once and copied down. About a millisecond.
 * @param {CanvasRenderingContext2D} context
 * @param {Plan} plan
 * @param {Shown} values
 */
const paintCells = (context, { W, H, views: [{ start, cols, xs, ys }] }, { scores, scale, signed, opacity }) => {
  const image = context.createImageData(W, H),
    pixels = new Uint32Array(image.data.buffer),
    table = tableOf(signed, opacity),
    times = 255 / (scale.high - scale.low);
  for (let j = 0; j < ys.cell.length; j++) {
    const line = (ys.first + j) * W + xs.first,
      first = start + ys.cell[j] * cols;
    if (j && ys.cell[j] === ys.cell[j - 1]) {
      pixels.copyWithin(line, line - W, line - W + xs.cell.length);
      continue;
    }
    for (let i = 0; i < xs.cell.length; i++) {
      const v = scores[first + xs.cell[i]],
        at = Math.round((v - scale.low) * times);
      if (v === v) pixels[line + i] = table[at < 0 ? 0 : at > 255 ? 255 : at];
    }
  }
  return finished(context, image, pixels, W);
};

/**
 * The value between the middles of four cells, NaN where one of them has none.
 * @param {Float32Array} scores
 * @param {PlannedView} view
 * @param {number} i pixel across
 * @param {number} j pixel down
 */
const between = (scores, { start, cols, rows, xs, ys }, i, j) => {
  const py = Math.max(0, Math.min(rows - 1, ys.place[j] - 0.5)),
    px = Math.max(0, Math.min(cols - 1, xs.place[i] - 0.5)),
    r0 = Math.floor(py),
    c0 = Math.floor(px),
    r1 = Math.min(rows - 1, r0 + 1),
    c1 = Math.min(cols - 1, c0 + 1),
    fy = py - r0,
    fx = px - c0;
  return (
    (scores[start + r0 * cols + c0] * (1 - fx) + scores[start + r0 * cols + c1] * fx) * (1 - fy) +
    (scores[start + r1 * cols + c0] * (1 - fx) + scores[start + r1 * cols + c1] * fx) * fy
  );
};

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Plan} plan
 * @param {Shown} values
 */
export const paint = (context, plan, values) => {
  const { scores, scale, signed, opacity, smooth } = values,
    { W, H, views } = plan;
  if (views.length === 1 && !smooth) return paintCells(context, plan, values);
  const sum = new Float32Array(W * H),
    count = new Uint8Array(W * H);
  for (const view of views) {
    const { start, cols, xs, ys } = view;
    for (let j = 0; j < ys.cell.length; j++) {
      const line = (ys.first + j) * W + xs.first;
      for (let i = 0; i < xs.cell.length; i++) {
        const own = scores[start + ys.cell[j] * cols + xs.cell[i]];
        if (own !== own) continue;
        const mixed = smooth ? between(scores, view, i, j) : own;
        sum[line + i] += mixed === mixed ? mixed : own;
        count[line + i]++;
      }
    }
  }
  const image = context.createImageData(W, H),
    pixels = new Uint32Array(image.data.buffer), // [H, W]
    table = tableOf(signed, opacity),
    times = 255 / (scale.high - scale.low);
  for (let p = 0; p < pixels.length; p++)
    if (count[p]) {
      const at = Math.round((sum[p] / count[p] - scale.low) * times);
      pixels[p] = table[at < 0 ? 0 : at > 255 ? 255 : at];
    }
  return finished(context, image, pixels, W);
};

/**
 * Colours of cells instead of scores: no scale, no smoothing. A smaller cell is drawn over a larger one.
 * @param {CanvasRenderingContext2D} context
 * @param {Plan} plan
 * @param {{colours: Float32Array, opacity: number}} values colours [cells * 3], 0 to 1
 */
export const tint = (context, { W, H, views }, { colours, opacity }) => {
  const image = context.createImageData(W, H),
    pixels = new Uint32Array(image.data.buffer),
    alpha = Math.round(255 * opacity) << 24;
  const size = (/** @type {View} */ { box, rows, cols }) => ((box[2] - box[0]) * (box[3] - box[1])) / rows / cols;
  for (const { start, cols, xs, ys } of [...views].sort((a, b) => size(b) - size(a))) {
    for (let j = 0; j < ys.cell.length; j++) {
      for (let i = 0; i < xs.cell.length; i++) {
        const at = 3 * (start + ys.cell[j] * cols + xs.cell[i]);
        if (!Number.isFinite(colours[at])) continue;
        const [r, g, b] = [0, 1, 2].map((c) => Math.round(255 * colours[at + c]));
        pixels[(ys.first + j) * W + xs.first + i] = (alpha | (b << 16) | (g << 8) | r) >>> 0;
      }
    }
  }
  return finished(context, image, pixels, W);
};
