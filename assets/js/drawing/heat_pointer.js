// A pointer on a picture of a heat map: it reads cells, picks one, or draws a region.

import { rect } from './heat_lines.js';

/** @typedef {import('./heatmap.js').HeatMap} HeatMap */
/** @typedef {import('./heatmap.js').Spot} Spot */

const DRAG_PX = 4;

export class HeatPointer {
  /** @type {{x: number, y: number, px: number, py: number} | null} where it went down: pixels of the picture and of the page */
  #from = null;
  /** @type {SVGElement[] | null} */
  #band = null;

  /**
   * @param {HeatMap} map
   * @param {Spot} spot
   * @param {number} k the picture
   */
  constructor(map, spot, k) {
    this.map = map;
    this.spot = spot;
    this.k = k;
    const { frame } = spot;
    frame.addEventListener('pointermove', (e) => this.#move(e));
    frame.addEventListener('pointerleave', () => {
      if (!this.#from) map.move(-1);
    });
    frame.addEventListener('pointerdown', (e) => this.#down(e));
    frame.addEventListener('pointerup', (e) => this.#end(e));
    frame.addEventListener('pointercancel', (e) => {
      this.#band = null;
      this.#end(e);
    });
  }

  /**
   * Where it is, in pixels of the picture.
   * @param {PointerEvent} e
   */
  #point(e) {
    const box = this.spot.frame.getBoundingClientRect(),
      [w, h] = this.spot.picture.size;
    return [((e.clientX - box.left) / box.width) * w, ((e.clientY - box.top) / box.height) * h];
  }

  /** @param {PointerEvent} e */
  #move(e) {
    const [x, y] = this.#point(e),
      from = this.#from;
    if (!from) {
      this.map.move(this.map.at(this.k, x, y));
      return;
    }
    if (e.pointerType === 'touch' && !this.map.drawing) return; // the page is being scrolled, or will be
    if (!this.#band && Math.hypot(e.clientX - from.px, e.clientY - from.py) > DRAG_PX) this.#band = rect([0, 0, 0, 0], 'band');
    if (!this.#band) return;
    this.spot.frame.setPointerCapture(e.pointerId);
    const box = { x: Math.min(x, from.x), y: Math.min(y, from.y), width: Math.abs(x - from.x), height: Math.abs(y - from.y) };
    for (const line of this.#band) {
      for (const [name, v] of Object.entries(box)) line.setAttribute(name, String(v));
      this.spot.svg.append(line);
    }
  }

  /** @param {PointerEvent} e */
  #down(e) {
    const { node, options } = this.map;
    if (e.pointerType === 'touch') node.classList.add('touched');
    if (e.button !== 0 || !(options.region || options.pick)) return;
    const [x, y] = this.#point(e);
    this.#from = { x, y, px: e.clientX, py: e.clientY };
    if (e.pointerType !== 'touch' && options.region) e.preventDefault();
    node.focus({ preventScroll: true });
  }

  /** @param {PointerEvent} e */
  #end(e) {
    const from = this.#from,
      drawn = this.#band,
      { options } = this.map;
    if (!from) return;
    const [x, y] = this.#point(e);
    this.#from = this.#band = null;
    this.map.lines();
    if (!drawn || !options.region) {
      const cell = this.map.at(this.k, x, y);
      if (cell >= 0 && options.pick && e.type === 'pointerup') options.pick(cell, e);
      return;
    }
    const inside = this.map.within(this.k, [Math.min(x, from.x), Math.min(y, from.y), Math.max(x, from.x), Math.max(y, from.y)]);
    options.region(inside.length ? inside : [this.map.at(this.k, from.x, from.y)].filter((cell) => cell >= 0), e);
  }
}
