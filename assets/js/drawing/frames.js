// When a map fell: what it comes to on each frame of a video, as bars along time. Choosing one shows its map alone; again, all.

import { capital, digits, percent } from '../dom/format.js';
import { roving } from '../dom/keys.js';
import { button, make, press, shape } from '../dom/make.js';

/** @typedef {import('./heatmap.js').HeatPicture} HeatPicture */
/** @typedef {{x: number, from: number, to: number, wide: number}} Place on a line from 0 to 1 */
/** @typedef {{hit: HTMLButtonElement, bar: HTMLElement, place: Place}} Bar */
/**
 * @typedef {object} Sums
 * @property {number[]} sums by picture
 * @property {string} unit
 * @property {boolean} [signed]
 * @property {string} fold 'sum', or 'highest' for what does not add up
 */

const FEW_TIMES = 8;

/**
 * A film ends where time goes back or a picture that is no frame stands between: each has a line of its own, all of one height.
 * @param {HeatPicture[]} pictures
 */
const filmsOf = (pictures) => {
  /** @type {number[][]} */
  const films = [];
  /** @type {number | null} */
  let last = null;
  pictures.forEach((picture, k) => {
    const now = picture.time_s ?? null;
    if (now === null) {
      last = null;
      return;
    }
    if (last === null || now <= last) films.push([]);
    films[films.length - 1].push(k);
    last = now;
  });
  return films;
};

/**
 * Where frames lie on a line by their times, the span of it that is nearest to each, and how wide a bar may be.
 * @param {number[]} times
 * @returns {Place[]}
 */
const alongTime = (times) => {
  const n = times.length,
    whole = times[n - 1] - times[0] || 1,
    at = times.map((t) => (0.5 + ((n - 1) * (t - times[0])) / whole) / n);
  const ends = [0, ...at.slice(1).map((x, i) => (x + at[i]) / 2), 1],
    gap = Math.min(1 / n, ...at.slice(1).map((x, i) => x - at[i]));
  return at.map((x, i) => ({ x, from: ends[i], to: ends[i + 1], wide: 0.7 * gap }));
};

/**
 * A strip over these pictures, or null where none is a frame.
 * @param {HeatPicture[]} pictures
 * @param {{choose: (k: number) => void, small?: boolean}} options
 */
export const frameStrip = (pictures, options) => {
  const films = filmsOf(pictures);
  return films.length ? new FrameStrip(pictures, films, options) : null;
};

export class FrameStrip {
  /** @type {(Sums & {low: number, high: number, whole: number}) | null} */
  #now = null;
  #marked = -1;
  #over = -1;
  /** @type {Map<number, Bar>} */
  #bars = new Map();
  /** @type {HTMLElement[]} */
  #zeros = [];
  #line = make('p', 'fv-quiet fv-when-line');

  /**
   * @param {HeatPicture[]} pictures
   * @param {number[][]} films the frames of each, by the number of their picture
   * @param {{choose: (k: number) => void, small?: boolean}} options `choose(k)` is a click, Enter or an arrow key; `small` leaves
   *     the words out
   */
  constructor(pictures, films, { choose, small = false }) {
    this.pictures = pictures;
    this.films = films;
    this.choose = choose;
    this.small = small;
    this.all = films.flat();
    this.node = make('div', 'fv-when' + (small ? ' small' : ''));
    this.node.setAttribute('role', 'group');
    this.whole = button('fv-mini', 'All frames', 'Show the maps of all frames', () => choose(-1));
    this.whole.hidden = true;
    for (const film of films) this.node.append(this.#track(film));
    this.#roving(0);
    if (small) return;
    const row = make('div', 'fv-when-row');
    row.append(this.#line, this.whole);
    this.node.append(row);
  }

  /** @param {number[]} film */
  #track(film) {
    const track = make('div', 'fv-when-film'),
      zero = make('span', 'fv-when-zero'),
      places = alongTime(film.map((k) => /** @type {number} */ (this.pictures[k].time_s))),
      every = Math.ceil(film.length / FEW_TIMES);
    film.forEach((k, i) => {
      const { hit, bar } = this.#frame(k, places[i]);
      if (!this.small && i % every === 0) {
        const ends = i === 0 || i === film.length - 1,
          text = make('span', 'fv-when-time' + (ends ? ' end' : ''), this.pictures[k].label.match(/[-\d.]+ s/)?.[0]);
        text.style.left = bar.style.left;
        hit.append(text);
      }
      track.append(hit);
    });
    track.append(zero);
    this.#zeros.push(zero);
    return track;
  }

  /**
   * @param {number} k
   * @param {Place} place
   */
  #frame(k, place) {
    const { x, from, to, wide } = place,
      hit = button('fv-when-frame', '', '', () => this.choose(this.#marked === k ? -1 : k)),
      bar = make('span', 'fv-when-bar'),
      part = { hit, bar, place };
    hit.style.left = `${100 * from}%`;
    hit.style.width = `${100 * (to - from)}%`;
    bar.style.left = `${(100 * (x - from)) / (to - from)}%`;
    bar.style.width = `${(100 * wide) / (to - from)}%`;
    hit.append(bar);
    const on = (/** @type {string} */ event, /** @type {number} */ which) =>
      hit.addEventListener(event, () => {
        this.#over = which;
        this.#tell();
      });
    for (const event of ['pointerenter', 'focus']) on(event, k);
    for (const event of ['pointerleave', 'blur']) on(event, -1);
    hit.addEventListener('keydown', (e) => this.#key(e, k));
    this.#bars.set(k, part);
    return part;
  }

  /**
   * @param {KeyboardEvent} event
   * @param {number} k
   */
  #key(event, k) {
    const to = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    const next = this.all[this.all.indexOf(k) + to];
    if (next === undefined) return;
    this.#bars.get(next)?.hit.focus();
    this.choose(next);
  }

  /** @param {number} at */
  #roving(at) {
    roving(
      this.all.flatMap((k) => this.#bars.get(k)?.hit ?? []),
      at,
    );
  }

  #heading() {
    return this.#now?.fold === 'sum' ? 'Sum of the map on each frame' : 'Highest value on each frame';
  }

  /**
   * What the map comes to on the k-th picture, in words.
   * @param {number} k
   */
  words(k) {
    if (!this.#now) return '';
    const { sums, unit, signed, fold, whole } = this.#now,
      share = signed || fold !== 'sum' || !(whole > 0) ? '' : `, ${percent(sums[k] / whole)} of the map`;
    return `${this.pictures[k].label}: ${digits(sums[k])} ${unit}${share}`;
  }

  #tell() {
    if (!this.#now) return;
    const { sums, fold } = this.#now,
      size = (/** @type {number} */ k) => (fold === 'sum' ? Math.abs(sums[k]) : sums[k]),
      best = this.all.reduce((a, k) => (size(k) > size(a) ? k : a), this.all[0]),
      at = this.#over >= 0 ? this.#over : this.#marked;
    this.#line.textContent = at >= 0 ? capital(this.words(at)) : `${this.#heading()}. Most on the ${this.words(best)}`;
    this.whole.hidden = this.#marked < 0;
  }

  /**
   * @param {{sums: number[], low: number, high: number}} now
   * @param {number} k
   */
  #height({ sums, low, high }, k) {
    const v = sums[k];
    return { base: (Math.min(v, 0) - low) / (high - low), tall: Math.abs(v) / (high - low) };
  }

  /** @param {Sums} values */
  show({ sums, unit, signed, fold }) {
    const low = Math.min(0, ...this.all.map((k) => sums[k])),
      highest = Math.max(0, ...this.all.map((k) => sums[k])),
      high = highest > low ? highest : low + 1,
      now = { sums, unit, signed, fold, low, high, whole: sums.reduce((a, b) => a + b, 0) };
    this.#now = now;
    this.node.classList.toggle('signed', Boolean(signed));
    this.node.setAttribute('aria-label', `${this.#heading()}, along time`);
    for (const zero of this.#zeros) zero.style.setProperty('--at', String(-low / (high - low)));
    for (const [k, { hit, bar }] of this.#bars) {
      const { base, tall } = this.#height(now, k);
      bar.style.bottom = `${100 * base}%`;
      bar.style.height = `max(1px, ${100 * tall}%)`;
      bar.classList.toggle('less', sums[k] < 0);
      hit.setAttribute('aria-label', this.words(k));
      hit.title = this.words(k);
    }
    this.#tell();
  }

  /**
   * The k-th picture is shown alone, or all with -1.
   * @param {number} k
   */
  mark(k) {
    this.#marked = k;
    this.node.classList.toggle('one', k >= 0);
    for (const [i, { hit }] of this.#bars) press(hit, i === k);
    this.#roving(Math.max(0, this.all.indexOf(k)));
    this.#tell();
  }

  /**
   * What stands there as nodes of a figure: [nodes of all films in a box of this width, the height of all].
   * @param {number} width
   * @param {number} [tall] of one film
   * @returns {[SVGElement[], number]}
   */
  drawn(width, tall = 48) {
    const now = this.#now;
    if (!now) return [[], 0];
    /** @type {SVGElement[]} */
    const nodes = [];
    let top = 0;
    for (const film of this.films) {
      for (const k of film) nodes.push(this.#drawnBar(now, k, { width, tall, top }));
      const zero = top + tall * (1 + now.low / (now.high - now.low));
      nodes.push(shape('line', { x1: 0, x2: width, y1: zero, y2: zero, stroke: '#94a3b8', 'stroke-width': 1 }));
      top += tall + 8;
    }
    return [nodes, top];
  }

  /**
   * @param {Sums & {low: number, high: number}} now
   * @param {number} k
   * @param {{width: number, tall: number, top: number}} box
   */
  #drawnBar(now, k, { width, tall, top }) {
    const { base, tall: height } = this.#height(now, k),
      { x, wide } = /** @type {Bar} */ (this.#bars.get(k)).place,
      thick = Math.min(28, width * wide);
    return shape('rect', {
      x: x * width - thick / 2,
      y: top + tall * (1 - base - height),
      width: thick,
      height: Math.max(0.5, tall * height),
      fill: now.sums[k] < 0 ? '#2f7fbf' : now.signed ? '#d9731a' : '#0072b2',
    });
  }
}
