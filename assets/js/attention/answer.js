// One answer that is looked at: which words, which map. Maps of raw attention are held for all words; others are asked for.

import { floats, shown } from '../dom/format.js';
import { button, make } from '../dom/make.js';
import { WordChips } from '../drawing/words.js';
import { Agreement } from './agreement.js';
import { Changes } from './change.js';
import { ChoiceSide } from './choice_side.js';
import { MapSide } from './map_side.js';
import { RawMaps } from './raw_maps.js';

/** @typedef {import('../dom/request.js').Reply} Reply */
/**
 * @typedef {object} AttentionMap
 * @property {Float32Array} scores [cells]
 * @property {number[]} words
 * @property {string} unit
 * @property {boolean} signed
 * @property {string} note
 * @property {number | null} [mass] image attention
 * @property {string} method
 * @property {string} choice what else it was made with
 */
/**
 * What is chosen: layer and head from 0, null for all of them.
 * @typedef {{method: string, words: number[], layer: number | null, head: number | null, reduce: string, rows: string, without: boolean}} Spec
 */
/** @typedef {{tokens: number[], cells: number[], tower: number, decoder: number, share: number}} Sinks */

const LOG_MS = 1500; // a raw map that stays is logged as the others are

export class Answer {
  /** @type {AttentionMap | null} what is drawn */
  drawn = null;
  /** @type {AttentionMap | null} what is drawn when nothing is hovered */
  pinned = null;
  /** @type {AttentionMap | null} what other maps are compared with */
  kept = null;
  /** @type {Sinks | null} */
  sinks = null;
  /** @type {number[]} selected cells */
  chosen = [];
  /** @type {Map<string, AttentionMap>} */
  found = new Map();
  busy = make('div', 'fv-busy');
  #trouble = make('div', 'fv-error');
  #previewing = -1;
  #later = 0;

  /**
   * @param {import('./attention.js').Attention} part
   * @param {import('../dom/request.js').Requests} requests
   * @param {any} view as `opened` of panels gives it
   * @param {any} wanted a kept map, or null
   */
  constructor(part, requests, view, wanted) {
    this.part = part;
    this.look = part.look;
    this.requests = requests;
    this.view = view;
    this.spec = this.#specOf(wanted);
    this.raw = new RawMaps(this);
    this.words = new WordChips(view.tokens, {
      preview: (word) => this.#preview(word),
      pin: (words) => {
        this.spec.words = words;
        this.#previewing = -1;
        this.refresh();
      },
    });
    this.changes = new Changes(this);
    this.maps = new MapSide(this);
    this.choices = new ChoiceSide(this);
    this.agreement = new Agreement(this);
    this.#trouble.setAttribute('role', 'alert');
    const body = make('div', 'fv-look');
    body.append(this.maps.node, this.choices.node);
    const notes = view.dependence ? [make('p', 'fv-quiet', `Visual dependence is not known here. ${view.dependence}`)] : [];
    this.nodes = [
      this.#headLine(),
      this.words.node,
      ...notes,
      this.busy,
      this.#trouble,
      body,
      this.changes.node,
      this.agreement.node,
    ];
  }

  /** Draw the first map. */
  begin() {
    this.words.set(this.spec.words);
    this.maps.read(-1);
  }

  /**
   * What a kept map was made with, where it can be made; else the word that hangs on the picture most.
   * @param {any} wanted
   * @returns {Spec}
   */
  #specOf(wanted) {
    const { tokens, method } = this.view,
      weight = (/** @type {any} */ t) => t.d ?? t.m;
    if (wanted && this.method(wanted.method)?.can && wanted.words.every((/** @type {number} */ k) => k < tokens.length)) {
      const { layer, head, reduce, rows, words, without } = wanted;
      if (without.length) this.sinks = { tokens: without, cells: [], tower: 0, decoder: 0, share: NaN };
      return { method: wanted.method, words, layer, head, reduce, rows, without: without.length > 0 };
    }
    const first = tokens.reduce(
      (/** @type {number} */ best, /** @type {any} */ t, /** @type {number} */ k) =>
        weight(t) > weight(tokens[best]) ? k : best,
      0,
    );
    return { method, words: [first], layer: null, head: null, reduce: 'mean', rows: 'predicting', without: false };
  }

  #headLine() {
    const head = make('div', 'fv-look-head'),
      typed = make('input', 'fv-typed'),
      what = make('bdi', 'fv-quiet', `${this.view.checkpoint}: ${this.view.question}`),
      send = () => this.part.load(this.view.run, typed.value.trim());
    Object.assign(typed, { type: 'text', maxLength: 4000, value: this.view.typed, placeholder: 'Trace another answer' });
    typed.setAttribute('aria-label', 'Another answer to trace in place of the logged one');
    typed.addEventListener('keydown', (e) => {
      if (e.key === 'Enter') send();
    });
    what.title = this.view.question;
    const why = 'Read this text as the answer to the same question; an empty one brings the logged answer back';
    head.append(what, typed, button('fv-mini', 'Trace', why, send));
    return head;
  }

  /** Whether it is still the one on the page. */
  get current() {
    return this.part.answer === this;
  }

  /** @param {string} [text] */
  trouble(text) {
    this.#trouble.textContent = text || '';
  }

  /** @param {string} slug */
  method(slug) {
    return this.view.methods.find((/** @type {any} */ m) => m.slug === slug);
  }

  get layered() {
    return this.method(this.spec.method).layered;
  }

  choice(of = this.layered) {
    const { layer, head, reduce, rows, without } = this.spec;
    return {
      layer: of ? layer : null,
      head: of ? head : null,
      reduce,
      rows,
      without: without && this.sinks ? this.sinks.tokens : [],
    };
  }

  /**
   * @param {string} what
   * @param {object} [more]
   */
  question(what, more) {
    const { run, typed } = this.view,
      { method, words } = this.spec;
    return { what, run, typed, method, words, ...this.choice(), ...more };
  }

  /**
   * Ask the server. Of each group one question is under way; those without a group stand alone.
   * @param {string} what
   * @param {object} more
   * @param {import('../dom/request.js').How} how
   */
  ask(what, more, how) {
    return this.requests.ask(this.question(what, more), { place: this.busy, ...how });
  }

  /** @param {number[]} words */
  saying(words) {
    const { tokens } = this.view,
      text = words
        .map((k) => tokens[k].t)
        .join('')
        .trim();
    return `\u201c${text || shown(tokens[words[0]].t)}\u201d`;
  }

  /** @param {AttentionMap} map */
  nameOf(map) {
    return `${this.method(map.method).title} of ${this.saying(map.words)}`;
  }

  /** @param {number} word */
  async #preview(word) {
    this.#previewing = word;
    if (word < 0) {
      this.again();
      return;
    }
    if (!this.raw.of(word)) await this.raw.fetch(word);
    const map = this.raw.of(word);
    if (map && this.#previewing === word) this.draw(map, true);
  }

  /** Draw anew what is shown. */
  again() {
    const map = this.pinned || this.drawn;
    if (map && this.#previewing < 0) this.draw(map);
  }

  /**
   * @param {AttentionMap} map
   * @param {boolean} [passing] a preview
   */
  draw(map, passing = false) {
    const begun = performance.now();
    this.drawn = map;
    this.maps.draw(map, passing);
    this.part.dataset.drawn = JSON.stringify([map.method, map.words]);
    this.part.dataset.paint = (performance.now() - begun).toFixed(2);
  }

  /** Show the map that is wanted now. */
  async refresh() {
    this.maps.controls();
    this.choices.refresh();
    this.trouble('');
    const wanted = JSON.stringify(this.question('')),
      stale = () => !this.current || wanted !== JSON.stringify(this.question('')),
      { method, words, reduce } = this.spec;
    if (method === 'attention' && (words.length === 1 || reduce === 'mean')) {
      this.requests.end('map');
      const map = await this.raw.all(words, stale);
      if (map) this.#present(map);
      return;
    }
    if (this.found.has(wanted)) this.requests.end('map');
    else if (!(await this.#fetch(wanted, stale))) return;
    const map = this.found.get(wanted);
    if (map && !stale()) this.#present(map);
  }

  /**
   * @param {string} wanted
   * @param {() => boolean} stale
   * @returns {Promise<boolean>} whether the map is here
   */
  async #fetch(wanted, stale) {
    const { method, words } = this.spec,
      choice = this.raw.key(),
      text = `${this.method(method).title} of ${this.saying(words)}`,
      got = await this.ask('heat', {}, { text, group: 'map' });
    if (got.error) {
      if (!stale()) this.trouble(got.stopped ? 'Stopped. The map before is still shown.' : got.error);
      return false;
    }
    this.found.set(wanted, { ...got.map, scores: floats(got.map.scores), method, words, choice });
    return true;
  }

  /** @param {AttentionMap} map */
  #present(map) {
    this.pinned = map;
    if (this.#previewing < 0) this.draw(map);
    clearTimeout(this.#later);
    if (map.method !== 'attention') return;
    this.#later = setTimeout(() => {
      if (this.current && this.pinned === map) this.ask('heat', {}, { quiet: true });
    }, LOG_MS);
  }

  /** @param {number[]} cells */
  select(cells) {
    this.chosen = cells;
    this.maps.heat.mark('chosen', cells);
    this.maps.controls();
    this.maps.read(-1);
  }

  /**
   * The patches that draw attention for what they are; false where they are not known.
   * @returns {Promise<boolean>}
   */
  async haveSinks() {
    if (this.sinks && Number.isFinite(this.sinks.share)) return true; // of a reopened map only the tokens are known
    const got = await this.ask('sinks', { without: [] }, { text: 'Looking for sinks', group: 'sinks' });
    if (got.error) {
      this.trouble(got.error);
      return false;
    }
    this.sinks = /** @type {any} */ (got);
    return true;
  }
}
