// One answer with its patches: what is chosen, and what follows from it. What the page holds is not asked for again.

import { capital, floats } from '../dom/format.js';
import { make } from '../dom/make.js';
import { meanRows, tokensOf } from './cells.js';
import { MapSide } from './map_side.js';
import { questionOf, whatOf } from './questions.js';
import { restored } from './saved.js';
import { WordSide } from './word_side.js';

/** @typedef {import('../dom/request.js').Reply} Reply */
/** @typedef {{reply: Reply, partner: string, tokens: number[]}} Patched what was patched last */
/**
 * @typedef {object} Chosen
 * @property {number[]} cells
 * @property {number[]} tokens behind them
 * @property {string} map what the picture shows
 * @property {string} stage 'tower', 'connector' or 'decoder'
 * @property {Record<string, number>} layer by stage
 * @property {number} tower layer of the tower whose attention is shown
 * @property {number | null} head
 * @property {string} way 'to' or 'from' the chosen patches
 * @property {string} typed a word
 * @property {string} partner the other picture
 * @property {number} depth the how-manieth of `depths`
 * @property {number[] | null} depths
 * @property {Patched | null} last
 * @property {number} word
 * @property {number | null} wordLayer
 * @property {number | null} wordHead
 * @property {string} how patches are hidden
 * @property {number} opacity
 * @property {boolean} smooth
 * @property {boolean} cut colours end at percentiles
 * @property {boolean} aside sinks are set aside
 */

const SETTLED_MS = 160;
const KEEP_MS = 1500; // what stays on the page so long is logged with its turn

/**
 * @param {any} data
 * @returns {Chosen}
 */
const fresh = (data) => ({
  cells: [],
  tokens: [],
  map: 'alike',
  stage: 'connector',
  layer: {},
  tower: Math.max(0, data.stages.tower.layers - 1),
  head: null,
  way: 'to',
  typed: '',
  partner: '',
  depth: 0,
  depths: null,
  last: null,
  word: 0,
  wordLayer: null,
  wordHead: null,
  how: 'mean',
  opacity: 0.75,
  smooth: false,
  cut: false,
  aside: false,
});

export class Answer {
  /** @type {[string, string][] | null} other pictures, once asked for */
  partners = null;
  #where = make('h2', 'fv-pwhere', '');
  #settled = 0;
  #keeping = 0;
  /** @type {WeakMap<Reply, Record<string, Float32Array>>} base64 is read once */
  #decoded = new WeakMap();

  /**
   * @param {import('./patches.js').Patches} part
   * @param {import('../dom/request.js').Requests} requests
   * @param {string} run
   * @param {any} data what it opened with, as `opened` of panels gives it
   */
  constructor(part, requests, run, data) {
    this.part = part;
    this.requests = requests;
    this.run = run;
    this.data = data;
    this.s = fresh(data);
    this.words = new WordSide(this);
    this.maps = new MapSide(this);
    const right = make('div', 'fv-pright');
    right.append(this.maps.second, this.#where, ...this.words.nodes);
    this.node = make('div', 'fv-pgrid');
    this.node.append(this.maps.node, right);
  }

  /** Draw the first map, of the patch that the answer used most. */
  begin() {
    this.maps.controls();
    this.maps.blank();
    this.choose([this.data.cell[this.data.first]].filter((cell) => cell >= 0));
  }

  /** Whether it is still the one on the page. */
  get current() {
    return this.part.answer === this;
  }

  /** The layer of the features that are looked at. */
  get layer() {
    return this.s.layer[this.s.stage] ?? this.data.stages[this.s.stage].first;
  }

  /** The depth that was patched and is shown. */
  get depth() {
    const { depths, depth } = this.s;
    return depths ? depths[Math.min(depth, depths.length - 1)] : 0;
  }

  /** What is chosen, in words. */
  get where() {
    return this.#where.textContent;
  }

  get sinks() {
    return /** @type {number[]} */ ([...this.data.sinks.tower, ...this.data.sinks.decoder]);
  }

  /**
   * @param {string} kind
   * @param {import('../dom/request.js').How} [how]
   */
  ask(kind, how) {
    return this.requests.ask(questionOf(kind, this), how);
  }

  /**
   * Numbers of a reply.
   * @param {Reply} reply
   * @param {string} name
   */
  numbers(reply, name) {
    const held = this.#decoded.get(reply) ?? {};
    this.#decoded.set(reply, held);
    return held[name] || (held[name] = floats(reply[name]));
  }

  /**
   * The values of the chosen tokens for each token.
   * @param {Reply} reply
   * @param {boolean} [turned]
   */
  rowsOf(reply, turned) {
    return reply.matrix
      ? meanRows(this.numbers(reply, 'matrix'), this.data.cell.length, this.s.tokens, turned)
      : this.numbers(reply, 'row');
  }

  /** @param {number[]} cells */
  choose(cells) {
    const { s, maps, words } = this,
      tokens = tokensOf(cells, this.data, maps.heat.cells.length);
    if (!tokens.length) return;
    s.cells = cells;
    s.tokens = tokens;
    maps.heat.mark('chosen', cells);
    this.#where.textContent = tokens.length > 1 ? `Region of ${tokens.length} patches` : capital(maps.heat.where(cells[0]));
    words.stale();
    maps.draw();
    words.received();
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => {
      words.lost();
      words.spoken();
    }, SETTLED_MS);
  }

  /** The map that is shown is logged, if it stays. */
  keepSoon() {
    const kind = this.s.map;
    clearTimeout(this.#keeping);
    this.#keeping = this.keepIfStill(kind, () => this.s.map === kind);
  }

  keepNothing() {
    clearTimeout(this.#keeping);
  }

  /**
   * Log what is shown, if it is still shown in a moment.
   * @param {string} kind
   * @param {() => boolean} shown
   */
  keepIfStill(kind, shown) {
    const wanted = JSON.stringify(whatOf(kind, this));
    return setTimeout(() => {
      const what = this.current && shown() ? whatOf(kind, this) : null;
      if (what && JSON.stringify(what) === wanted) this.#keep(what);
    }, KEEP_MS);
  }

  /** @param {{map: string}} what */
  async #keep(what) {
    const reply = await this.requests.ask({ kind: 'keep', run: this.run, ...what }, { quiet: true });
    if (!this.current) return;
    this.part.dataset[what.map === 'says' ? 'said' : 'kept'] = JSON.stringify(what); // two things may be logged at once
    if (reply.error || !reply.kept)
      this.maps.note(reply.error || 'This map is not logged: the log holds as many of this turn as it takes.');
  }

  /**
   * Show a kept map again, made anew.
   * @param {any} what
   */
  restore(what) {
    const { s, data, maps, words } = this,
      fits = what.tokens?.length && what.tokens.every((/** @type {number} */ t) => t < data.cell.length),
      cells = fits ? what.tokens.map((/** @type {number} */ t) => data.cell[t]) : [],
      seen = cells.filter((/** @type {number} */ cell) => cell >= 0);
    Object.assign(s, restored(what, data, s));
    if (what.map === 'says') words.says.open = true;
    words.showChosen();
    maps.showChosen();
    if (seen.length) this.choose(seen);
    else maps.draw();
    if (what.map === 'between') maps.patchAgain(what.depth);
  }
}
