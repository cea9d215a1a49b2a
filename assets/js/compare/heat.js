// Heat of two answers for a chosen word, on one scale. Words are chosen by clicking them.

import { pick, slide } from '../dom/fields.js';
import { along, roving } from '../dom/keys.js';
import { button, make } from '../dom/make.js';
import { Requests } from '../dom/request.js';
import { choose, wordChip } from '../drawing/words.js';
import { HeatPair } from './heat_pair.js';
import { letterOf, part } from './parts.js';

/** @typedef {import('./columns.js').Column} Column */
/** @typedef {{pair: [number, number], method: string, words: [number, number], text: string}} KeptHeat */

/** The words of one column. */
class WordRow {
  /**
   * @param {Column} column
   * @param {(k: number) => void} chosen
   */
  constructor(column, chosen) {
    const box = make('div', 'fv-wchips');
    box.setAttribute('role', 'listbox');
    box.setAttribute('aria-label', `Words of column ${column.letter}`);
    this.chips = column.tokens.map(([text, p], k) => {
      const chip = wordChip(text, p);
      chip.addEventListener('click', () => chosen(k));
      box.append(chip);
      if (text.includes('\n')) box.append(make('span', 'fv-break'));
      return chip;
    });
    box.addEventListener('keydown', (e) => {
      const k = this.chips.findIndex((chip) => chip === e.target),
        to = along(e.key, k, this.chips.length);
      if (k < 0 || to === undefined || !this.chips[to]) return;
      roving(this.chips, to);
      this.chips[to].focus();
      e.preventDefault();
    });
    this.node = make('div', 'fv-versus-words');
    this.node.append(letterOf(column.letter), box);
    this.mark(-1);
  }

  /** @param {number} at the chosen word, or -1 */
  mark(at) {
    this.chips.forEach((chip, k) => choose(chip, k === at));
    roving(this.chips, Math.max(0, at));
  }
}

/** @param {string} text */
const plain = (text) => text.trim().toLowerCase();

class HeatOfTwo {
  #place = make('div', 'fv-versus-heat');
  #busy = make('div', 'fv-busy');
  #trouble = make('div', 'fv-error');
  #measures = make('p', 'fv-quiet');
  #shelf = make('div', 'fv-actions fv-versus-kept');
  /** @type {[number, number]} the chosen words, -1 where none is */
  #at = [-1, -1];
  #now = 0;
  #opacity = 0.72;
  /** @type {HeatPair | null} */
  #drawn = null;

  /**
   * @param {import('../dom/part.js').Server} server
   * @param {any} value the comparison
   * @param {{a: number, b: number}} pair
   */
  constructor(server, value, pair) {
    this.value = value;
    this.pair = pair;
    this.requests = new Requests(server, this.#busy);
    this.columns = /** @type {Column[]} */ ([value.columns[pair.a], value.columns[pair.b]]);
    this.method = value.heat.method;
    this.kept = /** @type {KeptHeat[]} */ (value.heat.kept).filter(({ pair: [a, b] }) => a === pair.a && b === pair.b);
    this.rows = this.columns.map((column, side) => new WordRow(column, (k) => this.#choose(side, k)));
    this.picker = pick(
      'Method',
      value.heat.methods.map((/** @type {string[]} */ [slug, title]) => [slug, title]),
      this.method,
      (method) => {
        this.method = method;
        this.#tell();
        this.#look();
      },
    );
    this.picker.select.id = 'compare-method';
    this.#tell();
    this.#offerKept();
    this.#place.append(
      make('p', 'fv-quiet', 'Click a word. The other answer\u2019s same word is taken with it, where there is one.'),
    );
  }

  get nodes() {
    const tools = make('div', 'fv-actions');
    tools.append(
      this.picker.node,
      slide('Opacity', [0.2, 1, 0.02], this.#opacity, (opacity) => {
        this.#opacity = opacity;
        this.#drawn?.paint({ opacity });
      }),
    );
    return [...this.rows.map((row) => row.node), tools, this.#measures, this.#shelf, this.#busy, this.#trouble, this.#place];
  }

  get #methodRow() {
    return this.value.heat.methods.find((/** @type {string[]} */ [slug]) => slug === this.method);
  }

  #tell() {
    [, , this.#measures.textContent] = this.#methodRow;
  }

  #offerKept() {
    this.#shelf.replaceChildren(
      ...(this.kept.length ? [make('span', 'fv-quiet', 'Made before:')] : []),
      ...this.kept.map((one) => button('fv-mini', one.text, 'Draw this map again', () => this.#again(one))),
    );
  }

  /** @param {KeptHeat} kept */
  #again({ method, words }) {
    this.method = method;
    this.picker.select.value = method;
    this.#tell();
    this.#mark([...words]);
    this.#look();
  }

  /** @param {[number, number]} words */
  #mark(words) {
    this.#at = words;
    this.rows.forEach((row, side) => row.mark(words[side]));
  }

  /**
   * @param {number} side
   * @param {number} k
   */
  #choose(side, k) {
    const word = plain(this.columns[side].tokens[k][0]),
      twin = word ? this.columns[1 - side].tokens.findIndex(([text]) => plain(text) === word) : -1,
      /** @type {[number, number]} */
      words = [...this.#at];
    words[side] = k;
    if (twin >= 0) words[1 - side] = twin;
    this.#mark(words);
    this.#look();
  }

  async #look() {
    const at = this.#at,
      { columns, method, value } = this,
      mine = (this.#now += 1),
      lacking = at.findIndex((k) => k < 0);
    if (lacking >= 0) {
      this.#trouble.textContent = '';
      this.#drawn = null;
      this.#place.replaceChildren(
        make('p', 'fv-quiet', `Now choose a word of ${columns[lacking].letter}: it does not say that one.`),
      );
      return;
    }
    const question = { what: 'heat', runs: columns.map(({ run }) => run), words: at.map((k) => [k]), method },
      got = await this.requests.ask(question, { text: 'Working out both maps', group: 'heat' });
    if (mine !== this.#now) return;
    this.#trouble.textContent = got.error || '';
    if (got.error) return;
    this.#drawn = new HeatPair(
      /** @type {any} */ (got),
      columns.map(({ letter }) => letter),
      this.#opacity,
    );
    this.#place.replaceChildren(...this.#drawn.nodes);
    this.#place.dataset.drawn = JSON.stringify([method, at]);
    if (value.logged) this.#keep(method, at);
  }

  /**
   * @param {string} method
   * @param {[number, number]} at
   */
  #keep(method, at) {
    if (this.kept.some((one) => one.method === method && one.words.every((k, side) => k === at[side]))) return;
    const words = at.map((k, side) => this.columns[side].tokens[k][0].trim()).join(' | '),
      text = `${this.#methodRow[1]}: ${words}`,
      /** @type {KeptHeat} */
      one = { pair: [this.pair.a, this.pair.b], method, words: [...at], text };
    this.kept.unshift(one);
    this.value.heat.kept.unshift(one);
    this.#offerKept();
  }
}

/**
 * @param {import('../dom/part.js').Server} server
 * @param {any} value the comparison
 * @param {{a: number, b: number}} pair
 */
export const heatPart = (server, value, pair) =>
  value.heat.why
    ? part('Heat of both', make('p', 'fv-quiet', value.heat.why))
    : part('Heat of both', ...new HeatOfTwo(server, value, pair).nodes);
