// Answers side by side: text as it comes, then what each took; and strips of length and probability on one scale.

import { percent, shown } from '../dom/format.js';
import { hit } from '../dom/keys.js';
import { button, make } from '../dom/make.js';
import { factList, letterOf } from './parts.js';

/**
 * @typedef {object} Column
 * @property {string} letter
 * @property {string} name empty while it is hidden
 * @property {string} text
 * @property {string} stage
 * @property {string} error
 * @property {boolean} done
 * @property {import('./parts.js').Fact[]} facts
 * @property {[text: string, logprob: number][]} tokens
 * @property {string} run
 */

export class ColumnBox {
  #name = make('bdi', 'fv-versus-name');
  #text = make('div', 'fv-text');
  #stage = make('div', 'fv-stage');
  #trouble = make('div', 'fv-error');
  #facts = make('div');
  #told = '';

  /**
   * @param {Column} column
   * @param {boolean} running
   * @param {(letter: string) => void} stop
   */
  constructor(column, running, stop) {
    const { letter } = column,
      head = make('div', 'fv-versus-head');
    this.end = button('fv-mini fv-x', '\u00d7', `Stop column ${letter} alone`, () => stop(letter));
    this.node = make('article', 'fv-versus-col');
    head.append(letterOf(letter), this.#name, this.end);
    this.node.append(head, this.#text, this.#stage, this.#trouble, this.#facts);
    this.show(column, running);
  }

  /**
   * @param {Column} now
   * @param {boolean} going
   */
  show({ letter, name, text, stage, error, done, facts }, going) {
    this.#name.textContent = name || 'hidden until the vote';
    this.#name.classList.toggle('fv-quiet', !name);
    if (this.#text.textContent !== text) this.#text.textContent = text;
    if (!going && !text && !error) this.#text.replaceChildren(make('span', 'fv-quiet', '(an empty answer)'));
    this.#stage.textContent = stage;
    this.#trouble.textContent = error;
    this.#trouble.hidden = !error;
    this.end.hidden = !going || done || !name;
    if (facts.length && this.#told !== JSON.stringify(facts)) {
      this.#told = JSON.stringify(facts);
      this.#facts.replaceChildren(factList(facts));
    }
    this.node.setAttribute('aria-label', `Column ${letter}: ${name || 'name hidden'}`);
    this.node.classList.toggle('off', Boolean(error));
  }
}

/**
 * Every token a cell: its width is the same in all columns, its height the probability. Hovering reads it.
 * @param {Column[]} columns
 */
export const strips = (columns) => {
  const box = make('div', 'fv-versus-strips'),
    most = Math.max(1, ...columns.map((column) => column.tokens.length)),
    line = make('p', 'fv-quiet', 'Each bar is a token, its height the probability, 0 to 100 %. Hover one to read it.'),
    read = (/** @type {string} */ text) => {
      line.textContent = text;
    };
  box.append(...columns.map((column) => strip(column, most, read)), line);
  return box;
};

/**
 * @param {Column} column
 * @param {number} most cells of the widest
 * @param {(text: string) => void} read
 */
const strip = ({ letter, tokens }, most, read) => {
  const row = make('div', 'fv-versus-strip'),
    cells = make('div', 'fv-versus-cells'),
    mean = tokens.length ? percent(tokens.reduce((sum, [, p]) => sum + Math.exp(p), 0) / tokens.length) : '',
    many = `${tokens.length} ${tokens.length === 1 ? 'token' : 'tokens'}`;
  cells.style.setProperty('--many', String(most));
  cells.setAttribute('role', 'img');
  cells.setAttribute('aria-label', `Column ${letter}: ${tokens.length} tokens, mean probability ${mean}`);
  tokens.forEach(([text, p], k) => {
    const cell = make('span');
    cell.style.setProperty('--p', String(Math.exp(p)));
    cell.dataset.k = String(k);
    cell.title = `${shown(text)}  ${percent(Math.exp(p))}`;
    cells.append(cell);
  });
  cells.addEventListener('pointerover', (e) => {
    const cell = hit(e, '[data-k]');
    if (!cell) return;
    const k = Number(cell.dataset.k),
      [text, p] = tokens[k];
    read(`${letter}, token ${k + 1}: \u201c${shown(text)}\u201d, probability ${percent(Math.exp(p))}`);
  });
  row.append(letterOf(letter), cells, make('span', 'fv-quiet', `${many}${mean && `, mean ${mean}`}`));
  return row;
};
