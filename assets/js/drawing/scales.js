// Numbers as colours.

import { digits } from '../dom/format.js';
import { make } from '../dom/make.js';

/** @typedef {{low: number, high: number, text: string}} Scale `text` says how it was made */

const VIRIDIS = ['440154', '472d7b', '3b528b', '2c728e', '21918c', '28ae80', '5ec962', 'addc30', 'fde725'];
const DIVERGING = ['0b4f8a', '2f7fbf', '7fb3dc', 'c9dff0', 'f4f4f2', 'fbdcb8', 'f2a65a', 'd9731a', '9a4300'];

/** @param {string[]} stops */
const ramp = (stops) =>
  Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1),
      k = Math.min(stops.length - 2, Math.floor(at)),
      part = at - k;
    return [0, 2, 4].map((c) =>
      Math.round(parseInt(stops[k].slice(c, c + 2), 16) * (1 - part) + parseInt(stops[k + 1].slice(c, c + 2), 16) * part),
    );
  });

const [ONE_WAY, TWO_WAYS] = [ramp(VIRIDIS), ramp(DIVERGING)];

/**
 * 256 colours, each [r, g, b], 0 to 255.
 * @param {boolean} [signed]
 */
export const rampOf = (signed) => (signed ? TWO_WAYS : ONE_WAY);

/**
 * @param {number[]} all
 * @param {boolean} cut
 * @param {string} many
 * @returns {Scale}
 */
const signedScale = (all, cut, many) => {
  const sizes = all.map(Math.abs).sort((a, b) => a - b),
    top = (cut ? sizes[Math.floor(0.99 * (sizes.length - 1))] : sizes[sizes.length - 1]) || 1;
  return { low: -top, high: top, text: (cut ? 'linear about 0, cut at the 99th percentile' : 'linear about 0') + many };
};

/**
 * Several maps share one scale. Values that are not finite take no part.
 * @param {Iterable<number>[]} maps
 * @param {string} how 'linear' or 'percentile'
 * @param {boolean} [signed]
 * @returns {Scale}
 */
export const scaleOf = (maps, how, signed) => {
  /** @type {number[]} */
  const all = [],
    cut = how === 'percentile';
  for (const map of maps) for (const v of map) if (Number.isFinite(v)) all.push(v);
  if (!all.length) return { low: 0, high: 1, text: 'nothing to show' };
  const many = maps.length > 1 ? `, one scale for ${maps.length} maps` : '';
  if (signed) return signedScale(all, cut, many);
  all.sort((a, b) => a - b);
  if (!cut) return { low: Math.min(0, all[0]), high: all[all.length - 1] || 1, text: 'linear from 0' + many };
  const at = (/** @type {number} */ share) => all[Math.round(share * (all.length - 1))],
    low = at(0.01),
    high = at(0.99);
  return { low, high: high > low ? high : low + (Math.abs(low) || 1), text: 'linear, 1st to 99th percentile' + many };
};

/**
 * Little is drawn thinly, so that the picture is seen where nothing was found: a fifth of the opacity at zero, all at the ends.
 * @param {boolean} signed
 * @param {number} at
 * @param {number} opacity
 */
const alphaOf = (signed, at, opacity) =>
  Math.round(255 * opacity * (0.2 + 0.8 * (signed ? Math.abs(at - 127.5) / 127.5 : at / 255)));

/**
 * 256 colours as pixels of a canvas.
 * @param {boolean} signed
 * @param {number} opacity
 */
export const tableOf = (signed, opacity) =>
  Uint32Array.from(rampOf(signed), ([r, g, b], i) => ((alphaOf(signed, i, opacity) << 24) | (b << 16) | (g << 8) | r) >>> 0);

/** @param {boolean} [signed] */
const colourStrip = (signed) => {
  const strip = make('canvas', 'fv-scale-strip');
  strip.width = 256;
  strip.height = 1;
  const pen = /** @type {CanvasRenderingContext2D} */ (strip.getContext('2d')),
    image = pen.createImageData(256, 1);
  rampOf(signed).forEach((colour, i) => image.data.set([...colour, 255], 4 * i));
  pen.putImageData(image, 0, 0);
  return strip;
};

/**
 * The legend of a map. `at(value)` moves its marker, null hides it.
 * @param {{scale: Scale, signed?: boolean, unit: string, opacity?: number}} look
 */
export const colourBar = ({ scale, signed, unit, opacity = 1 }) => {
  const node = make('div', 'fv-scale'),
    box = make('div', 'fv-scale-box'),
    strip = colourStrip(signed),
    marker = make('span', 'fv-scale-at'),
    ends = make('div', 'fv-scale-ends');
  strip.style.opacity = String(opacity);
  marker.hidden = true;
  ends.append(make('span', '', digits(scale.low)), make('span', 'fv-scale-unit', unit), make('span', '', digits(scale.high)));
  box.append(strip, marker);
  node.append(box, ends, make('div', 'fv-scale-how', scale.text));
  node.setAttribute('role', 'img');
  node.setAttribute('aria-label', `Colours from ${digits(scale.low)} to ${digits(scale.high)} ${unit}, ${scale.text}`);
  const at = (/** @type {number | null} */ v) => {
    marker.hidden = v === null || !Number.isFinite(v);
    if (v !== null && !marker.hidden)
      marker.style.left = 100 * Math.max(0, Math.min(1, (v - scale.low) / (scale.high - scale.low))) + '%';
  };
  return { node, at };
};
