// Heat over pictures: numbers of patches drawn over the pictures they belong to. To draw asks the server nothing.

import { capital, digits } from '../dom/format.js';
import { STEPS } from '../dom/keys.js';
import { button, make, shape } from '../dom/make.js';
import { frameStrip } from './frames.js';
import { edge, rect, trim } from './heat_lines.js';
import { HeatPointer } from './heat_pointer.js';
import { layout, paint, tint } from './paint.js';

/** @typedef {import('./paint.js').Box} Box */
/** @typedef {import('./paint.js').View} View */
/**
 * A picture as `pictures_view` of panels gives it. Cells are numbered through all views of all pictures, row by row.
 * @typedef {object} HeatPicture
 * @property {string} url
 * @property {string} name
 * @property {string} label
 * @property {number | null} time_s
 * @property {[number, number]} size
 * @property {View[]} views
 */
/** @typedef {{picture: number, view: View, start: number, row: number, col: number, box: Box}} Cell */
/**
 * @typedef {object} Spot one picture on the page
 * @property {HeatPicture} picture
 * @property {import('./paint.js').Plan} plan
 * @property {HTMLElement} figure
 * @property {HTMLElement} frame
 * @property {HTMLImageElement} img
 * @property {HTMLCanvasElement} canvas
 * @property {SVGSVGElement} svg
 * @property {string} caption
 * @property {CanvasRenderingContext2D} context
 */
/**
 * @typedef {object} HeatOptions
 * @property {string} [label]
 * @property {number} [raster] the longest side that is painted, pixels
 * @property {boolean} [small] no words beside bars along time
 * @property {(cell: number, event: MouseEvent | KeyboardEvent) => void} [pick] a click or Enter
 * @property {(cells: number[], event: PointerEvent) => void} [region] a drag
 * @property {(cell: number, keys?: {shift: boolean}) => void} [hover] where pointer or keyboard cursor is, or -1; no `keys` for a pointer
 * @property {() => number} [start] the cell that arrow keys set out from; without it, the highest
 * @property {(k: number) => void} [alone] a frame of a video was chosen to be seen alone, or all with -1
 */
/**
 * What is painted: `scores` with their scale, or `colours`.
 * @typedef {object} HeatValues
 * @property {Float32Array} [scores] [cells]; NaN where no token looks
 * @property {import('./scales.js').Scale} [scale]
 * @property {boolean} [signed]
 * @property {string} [unit]
 * @property {boolean} [smooth]
 * @property {string} [fold] 'sum', or 'highest' for what does not add up
 * @property {Float32Array} [colours] [cells * 3], 0 to 1
 * @property {(cell: number) => string} [tell] what a colour is
 * @property {number} [opacity]
 */

const RASTER = 512;

/**
 * @param {HeatPicture} picture
 * @param {number} k
 * @param {Cell[]} cells where those of the picture are added
 * @returns {number[]} the first cell of each view
 */
const addCells = (picture, k, cells) =>
  picture.views.map((view) => {
    const start = cells.length,
      [x0, y0, x1, y1] = view.box,
      cw = (x1 - x0) / view.cols,
      ch = (y1 - y0) / view.rows;
    for (let row = 0; row < view.rows; row++)
      for (let col = 0; col < view.cols; col++)
        cells.push({
          picture: k,
          view,
          start,
          row,
          col,
          box: [x0 + col * cw, y0 + row * ch, x0 + (col + 1) * cw, y0 + (row + 1) * ch],
        });
    return start;
  });

export class HeatMap {
  /** @type {Cell[]} */
  cells = [];
  /** A finger draws regions instead of scrolling the page. */
  drawing = false;
  /** @type {object | null} what is shown, for a file of it */
  now = null;
  /** @type {(HeatValues & {opacity: number}) | null} */
  #shown = null;
  #cursor = -1;
  #alone = -1;
  /** @type {Record<string, number[]>} */
  #marks = {};
  /** @type {{picture: number, box: Box}[]} */
  #frames = [];

  /**
   * @param {HeatPicture[]} pictures
   * @param {HeatOptions} [options]
   */
  constructor(pictures, options = {}) {
    this.pictures = pictures;
    this.options = options;
    this.node = make('div', 'fv-heat' + (pictures.length > 1 ? ' many' : ''));
    this.node.style.setProperty('--across', String(Math.min(4, pictures.length)));
    this.spots = pictures.map((picture, k) => this.#spot(picture, k));
    this.when = frameStrip(pictures, {
      small: options.small,
      choose: (k) => {
        this.only(k);
        options.alone?.(k);
      },
    });
    if (this.when) {
      this.when.node.hidden = true;
      this.node.prepend(this.when.node);
    }
    this.spots.forEach((spot, k) => new HeatPointer(this, spot, k));
    if (options.region) this.node.append(this.#drawButton());
    this.node.tabIndex = 0;
    this.node.setAttribute('role', 'application');
    this.node.setAttribute('aria-roledescription', 'heat map');
    this.node.addEventListener('keydown', (e) => this.#key(e));
    this.node.addEventListener('blur', () => this.move(-1));
    this.lines();
  }

  /**
   * @param {HeatPicture} picture
   * @param {number} k
   * @returns {Spot}
   */
  #spot(picture, k) {
    const [w, h] = picture.size,
      starts = addCells(picture, k, this.cells),
      plan = layout(picture, starts, this.options.raster || RASTER),
      figure = make('figure', 'fv-heat-picture'),
      frame = make('div', 'fv-heat-frame'),
      img = make('img'),
      canvas = make('canvas'),
      svg = shape('svg', { viewBox: `0 0 ${w} ${h}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    img.src = picture.url;
    img.alt = '';
    img.draggable = false;
    canvas.width = plan.W;
    canvas.height = plan.H;
    frame.style.setProperty('--aspect', String(w / h));
    frame.append(img, canvas, svg);
    figure.append(frame);
    const isFrame = picture.time_s !== null,
      called = capital(picture.label),
      caption = isFrame || !picture.name ? called : `${called}: ${picture.name}`;
    if (this.pictures.length > 1 || isFrame) figure.append(make('figcaption', 'fv-quiet', caption));
    this.node.append(figure);
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    return { picture, plan, figure, frame, img, canvas, svg, caption, context };
  }

  #drawButton() {
    const mode = button(
      'fv-mini fv-draw',
      'Draw a region',
      'A finger on the picture draws a region instead of scrolling the page',
      () => {
        this.drawing = !this.drawing;
        this.node.classList.toggle('drawing', this.drawing);
        mode.setAttribute('aria-pressed', String(this.drawing));
        mode.textContent = this.drawing ? 'End drawing' : 'Draw a region';
      },
    );
    mode.setAttribute('aria-pressed', 'false');
    return mode;
  }

  inView() {
    return this.spots.filter((_, k) => this.#alone < 0 || k === this.#alone);
  }

  #repaint() {
    const values = /** @type {any} */ (this.#shown);
    for (const { context, plan } of this.inView()) (values.colours ? tint : paint)(context, plan, values);
  }

  /** Draw frames of cells and boxes anew. */
  lines() {
    const cursor = this.cells[this.#cursor];
    this.spots.forEach(({ picture, svg }, k) => {
      const found = [];
      if (picture.views.length > 1) for (const view of picture.views) found.push(...rect(trim(view.box, picture.size), 'seam'));
      for (const frame of this.#frames) if (frame.picture === k) found.push(...rect(frame.box, 'truth'));
      for (const [kind, chosen] of Object.entries(this.#marks)) found.push(...edge(this.cells, chosen, k, picture.size, kind));
      if (cursor?.picture === k) found.push(...rect(trim(cursor.box, picture.size), 'cursor'));
      svg.replaceChildren(...found);
    });
  }

  /**
   * @param {number} cell
   * @returns {string} "row 3, column 5"
   */
  where(cell) {
    const { picture, view, row, col } = this.cells[cell],
      parts = [];
    if (this.pictures.length > 1) parts.push(this.pictures[picture].label);
    if (this.pictures[picture].views.length > 1) parts.push(view.name);
    return [...parts, `row ${row + 1}, column ${col + 1}`].join(', ');
  }

  /**
   * @param {number} cell
   * @returns {string} "row 3, column 5: .0123 attention"
   */
  words(cell) {
    const shown = this.#shown;
    if (shown?.colours) return `${this.where(cell)}${shown.tell ? ': ' + shown.tell(cell) : ''}`;
    const v = shown?.scores ? shown.scores[cell] : NaN;
    return `${this.where(cell)}: ${Number.isFinite(v) ? `${digits(v)} ${shown?.unit}` : 'no token looks here'}`;
  }

  /**
   * The smallest cell at a place of the k-th picture, a tile before the whole picture; -1 where there is none.
   * @param {number} k
   * @param {number} x
   * @param {number} y
   */
  at(k, x, y) {
    let best = -1,
      least = Infinity;
    this.cells.forEach(({ picture, box: [x0, y0, x1, y1] }, i) => {
      const size = (x1 - x0) * (y1 - y0);
      if (picture === k && x >= x0 && x < x1 && y >= y0 && y < y1 && size < least) {
        best = i;
        least = size;
      }
    });
    return best;
  }

  /**
   * The cells of the k-th picture whose middle lies within a box.
   * @param {number} k
   * @param {Box} box
   */
  within(k, [x0, y0, x1, y1]) {
    return this.cells.flatMap(({ picture, box }, i) => {
      const cx = (box[0] + box[2]) / 2,
        cy = (box[1] + box[3]) / 2;
      return picture === k && cx >= x0 && cx <= x1 && cy >= y0 && cy <= y1 ? [i] : [];
    });
  }

  /**
   * The cell under pointer or cursor is another.
   * @param {number} cell
   * @param {{shift: boolean}} [keys]
   */
  move(cell, keys) {
    if (cell === this.#cursor) return;
    this.#cursor = cell;
    this.lines();
    this.options.hover?.(cell, keys);
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    if (e.target !== this.node) return;
    const step = STEPS[e.key];
    if (step) {
      const known = this.#cursor < 0 ? (this.options.start?.() ?? -1) : this.#cursor,
        { view, start, row, col } = this.cells[known < 0 ? this.#top() : known],
        [r, c] = known < 0 ? [row, col] : [row + step[0], col + step[1]];
      if (r >= 0 && r < view.rows && c >= 0 && c < view.cols) this.move(start + r * view.cols + c, { shift: e.shiftKey });
      e.preventDefault();
      e.stopPropagation();
    } else if (e.key === 'Enter' && this.#cursor >= 0 && this.options.pick) {
      this.options.pick(this.#cursor, e);
      e.preventDefault();
    }
  }

  /** The highest cell of what is in view. */
  #top() {
    const seen = (/** @type {number} */ i) => this.#alone < 0 || this.cells[i].picture === this.#alone,
      scores = this.#shown?.scores;
    let best = Math.max(
      0,
      this.cells.findIndex((_, i) => seen(i)),
    );
    scores?.forEach((v, i) => {
      if (seen(i) && (v > scores[best] || !Number.isFinite(scores[best]))) best = i;
    });
    return best;
  }

  /** @param {HeatValues} values */
  show(values) {
    const shown = { opacity: 0.7, smooth: false, signed: false, unit: '', fold: 'sum', ...values };
    this.#shown = shown;
    this.#repaint();
    if (this.when) {
      this.when.node.hidden = !shown.scores || !shown.unit;
      if (!this.when.node.hidden) this.when.show({ ...shown, sums: this.byPicture() });
    }
    const highest = shown.colours ? '' : ` Highest: ${this.words(this.#top())}.`;
    this.node.setAttribute('aria-label', `${this.options.label || 'Heat map'}.${highest} Arrow keys read single patches.`);
  }

  /** What the scores come to on each picture: their sum, or the highest where they do not add up. */
  byPicture() {
    const sum = this.#shown?.fold === 'sum',
      found = this.pictures.map(() => (sum ? 0 : -Infinity));
    this.#shown?.scores?.forEach((v, i) => {
      const k = this.cells[i].picture;
      if (v === v) found[k] = sum ? found[k] + v : Math.max(found[k], v);
    });
    return found.map((v) => (Number.isFinite(v) ? v : 0));
  }

  /**
   * Show the k-th picture alone, all with -1.
   * @param {number} k
   */
  only(k) {
    this.#alone = k;
    this.node.classList.toggle('alone', k >= 0);
    this.spots.forEach((spot, i) => {
      spot.figure.hidden = k >= 0 && i !== k;
    });
    this.when?.mark(k);
    if (this.#shown) this.#repaint();
  }

  /**
   * Frame cells.
   * @param {string} kind 'sink' or 'chosen'
   * @param {number[]} chosen
   */
  mark(kind, chosen) {
    this.#marks[kind] = chosen;
    this.lines();
  }

  /**
   * Frame boxes, in pixels of the source.
   * @param {{picture: number, box: Box}[]} boxes
   */
  frame(boxes) {
    this.#frames = boxes;
    this.lines();
  }
}
