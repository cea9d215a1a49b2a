// Two maps on one picture, a divider between them, and their difference.

import { digits, floats } from '../dom/format.js';
import { range } from '../dom/fields.js';
import { make } from '../dom/make.js';
import { HeatMap } from '../drawing/heatmap.js';
import { colourBar, scaleOf } from '../drawing/scales.js';
import { letterOf } from './parts.js';

const HINT = 'Hover or use the arrow keys to read patches.';

/**
 * @param {string} title
 * @param {Node[]} nodes
 */
const figure = (title, ...nodes) => {
  const box = make('figure', 'fv-third');
  box.append(make('figcaption', '', title), ...nodes);
  return box;
};

export class HeatPair {
  #reading = make('p', 'fv-preading', HINT);
  #divider = 0.5;

  /**
   * @param {{pictures: import('../drawing/heatmap.js').HeatPicture[], scores: string[], signed: boolean, unit: string, note: string}} got
   * @param {string[]} names letters of the two columns
   * @param {number} opacity
   */
  constructor({ pictures, scores, signed, unit, note }, [first, second], opacity) {
    const [a, b] = scores.map(floats),
      hover = (/** @type {number} */ cell) => this.#read(cell);
    this.names = [first, second];
    this.opacity = opacity;
    this.signed = signed;
    this.unit = unit;
    this.a = a;
    this.b = b;
    this.minus = a.map((v, i) => v - b[i]);
    this.both = scaleOf([a, b], 'linear', signed);
    this.apart = scaleOf([this.minus], 'linear', true);
    this.sides = new HeatMap(pictures, { label: `${first} left of the divider, ${second} right of it`, hover });
    this.difference = new HeatMap(pictures, { label: `${first} minus ${second}`, hover });
    this.lines = this.sides.spots.map((spot) => {
      const line = make('div', 'fv-versus-divider');
      spot.frame.append(line);
      return line;
    });
    this.centre = this.sides.cells.map(({ box, picture }) => (box[0] + box[2]) / 2 / pictures[picture].size[0]);
    const pair = make('div', 'fv-three fv-versus-pair');
    pair.append(
      figure(`${first} | ${second}`, this.sides.node, this.#ends(), colourBar({ scale: this.both, signed, unit }).node),
      figure(
        `${first} \u2212 ${second}`,
        this.difference.node,
        make('div'),
        colourBar({ scale: this.apart, signed: true, unit }).node,
      ),
    );
    this.nodes = [pair, this.#reading, make('p', 'fv-quiet', note)];
    this.paint({});
  }

  #ends() {
    const [first, second] = this.names,
      slider = range(0, 1, 0.01, this.#divider, (divider) => this.paint({ divider })),
      ends = make('div', 'fv-versus-ends');
    slider.className = 'fv-versus-slide';
    slider.id = 'compare-divider';
    slider.setAttribute('aria-label', `Divider: ${first} on its left, ${second} on its right`);
    ends.append(letterOf(first), slider, letterOf(second));
    return ends;
  }

  /** @param {number} cell */
  #read(cell) {
    const [first, second] = this.names,
      { a, b, minus, unit } = this;
    this.#reading.textContent =
      cell < 0
        ? HINT
        : `${this.sides.where(cell)}: ${first} ${digits(a[cell])}, ${second} ${digits(b[cell])}, ${first} \u2212 ${second} ${digits(minus[cell])} ${unit}`;
  }

  /** @param {{divider?: number, opacity?: number}} change */
  paint({ divider = this.#divider, opacity = this.opacity }) {
    this.#divider = divider;
    this.opacity = opacity;
    const { a, b, minus, unit, signed } = this,
      mixed = a.map((v, i) => (this.centre[i] <= divider ? v : b[i]));
    this.sides.show({ scores: mixed, scale: this.both, signed, unit, opacity });
    this.difference.show({ scores: minus, scale: this.apart, signed: true, unit, opacity });
    for (const line of this.lines) line.style.left = `${100 * divider}%`;
  }
}
