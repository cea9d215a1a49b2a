// Layers by heads in one figure: image attention, or the share of it that falls on a thing. A click chooses layer and head.

import { digits } from '../dom/format.js';
import { STEPS } from '../dom/keys.js';
import { make } from '../dom/make.js';
import { colourBar, rampOf } from './scales.js';

/** @typedef {[layer: number, head: number]} Place */

const SHARP = 2; // pixels of the canvas for each of the page

/**
 * @param {number} at
 * @param {number} many
 */
const within = (at, many) => Math.max(0, Math.min(many - 1, Math.floor(at)));

export class Overview {
  /** @type {Float32Array | null} */
  #values = null;
  #what = '';
  /** @type {{values: Float32Array, what: string} | null} */
  #others = null;
  /** @type {[number | null, number | null]} */
  #chosen = [null, null];
  /** @type {Place | null} */
  #at = null;
  #line = make('div', 'fv-quiet fv-overview-line');
  #scale = make('div');

  /**
   * @param {number} layers
   * @param {number} heads
   * @param {(layer: number, head: number) => void} chosen
   */
  constructor(layers, heads, chosen) {
    this.layers = layers;
    this.heads = heads;
    this.chosen = chosen;
    this.side = Math.max(7, Math.min(26, Math.floor(260 / heads), Math.floor(220 / Math.min(layers, 12))));
    this.gap = this.side > 10 ? 2 : 1;
    this.node = make('div', 'fv-overview');
    this.canvas = this.#canvas(heads * this.side, layers * this.side);
    this.pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
    const axes = make('div', 'fv-overview-axes');
    axes.append(make('span', 'fv-overview-down', 'layer'), this.canvas, make('span', 'fv-overview-across', 'head'));
    this.node.append(axes, this.#scale, this.#line);
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #canvas(width, height) {
    const canvas = make('canvas');
    canvas.width = width * SHARP;
    canvas.height = height * SHARP;
    canvas.style.width = width + 'px';
    canvas.style.height = height + 'px';
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'application');
    canvas.setAttribute('aria-roledescription', 'layers by heads');
    canvas.addEventListener('pointermove', (e) => this.#move(this.#placeOf(e)));
    canvas.addEventListener('pointerleave', () => this.#move(null));
    canvas.addEventListener('blur', () => this.#move(null));
    canvas.addEventListener('click', (e) => this.chosen(...this.#placeOf(e)));
    canvas.addEventListener('keydown', (e) => this.#key(e));
    return canvas;
  }

  /**
   * @param {MouseEvent} e
   * @returns {Place}
   */
  #placeOf(e) {
    const box = this.canvas.getBoundingClientRect();
    return [
      within(((e.clientY - box.top) / box.height) * this.layers, this.layers),
      within(((e.clientX - box.left) / box.width) * this.heads, this.heads),
    ];
  }

  /** @param {Place | null} at */
  #move(at) {
    this.#at = at;
    this.#draw();
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    const step = STEPS[e.key],
      at = this.#at;
    if (step)
      this.#move(
        at
          ? [within(at[0] + step[0], this.layers), within(at[1] + step[1], this.heads)]
          : [this.#chosen[0] ?? 0, this.#chosen[1] ?? 0],
      );
    else if (e.key === 'Enter' && at) this.chosen(...at);
    else return;
    e.preventDefault();
  }

  #draw() {
    const { pen, side, gap, layers, heads } = this,
      values = this.#values;
    pen.setTransform(SHARP, 0, 0, SHARP, 0, 0);
    pen.clearRect(0, 0, heads * side, layers * side);
    if (!values) return;
    const high = Math.max(...values) || 1,
      ramp = rampOf();
    values.forEach((v, i) => {
      const colour = ramp[Math.max(0, Math.min(255, Math.round((255 * v) / high)))];
      pen.fillStyle = Number.isFinite(v) ? `rgb(${colour})` : '#888';
      pen.fillRect((i % heads) * side, Math.floor(i / heads) * side, side - gap, side - gap);
    });
    const [l, h] = this.#chosen;
    if (l !== null || h !== null) this.#frame([l ?? 0, h ?? 0], [l === null ? layers : 1, h === null ? heads : 1], 1.5);
    if (this.#at) this.#frame(this.#at, [1, 1], 1);
    this.#scale.replaceChildren(colourBar({ scale: { low: 0, high, text: 'linear from 0' }, unit: this.#what }).node);
    this.#tell(values);
  }

  /**
   * @param {Place} at
   * @param {[rows: number, cols: number]} size
   * @param {number} width
   */
  #frame([l, h], [rows, cols], width) {
    const { pen, side, gap } = this;
    /** @type {[number, string][]} */
    const strokes = [
      [width + 2, '#000'],
      [width, '#fff'],
    ];
    for (const [thick, colour] of strokes) {
      pen.lineWidth = thick;
      pen.strokeStyle = colour;
      pen.strokeRect(h * side + 1, l * side + 1, cols * side - gap - 2, rows * side - gap - 2);
    }
  }

  /**
   * @param {Float32Array} values
   * @param {Place} place
   */
  #words(values, [l, h]) {
    const i = l * this.heads + h,
      more = this.#others ? `, ${this.#others.what} ${digits(this.#others.values[i])}` : '';
    return `layer ${l + 1}, head ${h + 1}: ${this.#what} ${digits(values[i])}${more}`;
  }

  /** @param {Float32Array} values */
  #tell(values) {
    let top = 0;
    values.forEach((v, i) => {
      if (v > values[top] || !Number.isFinite(values[top])) top = i;
    });
    const said = `highest: ${this.#words(values, [Math.floor(top / this.heads), top % this.heads])}`;
    this.#line.textContent = this.#at ? this.#words(values, this.#at) : said;
    this.canvas.setAttribute(
      'aria-label',
      `${this.#what} by layer (down) and head (across), ${said}. Arrow keys move, Enter chooses.`,
    );
  }

  /**
   * @param {Float32Array} values [layers * heads]
   * @param {string} what they are
   * @param {{values: Float32Array, what: string} | null} others what is read beside them
   */
  show(values, what, others) {
    this.#values = values;
    this.#what = what;
    this.#others = others;
    this.#draw();
  }

  /**
   * Frame what is chosen; null is all of them.
   * @param {number | null} layer
   * @param {number | null} head
   */
  choose(layer, head) {
    this.#chosen = [layer, head];
    this.#draw();
  }
}
