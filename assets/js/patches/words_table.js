// The words of an answer, a row each: attention on the chosen patches, and what each loses when these are hidden.

import { digits, floats, percent, shown } from '../dom/format.js';
import { roving, walk } from '../dom/keys.js';
import { button, make } from '../dom/make.js';
import { cellOf, shareBar, table } from '../dom/table.js';

/** @typedef {{t: string, p: number, id: number}} Word */

const LEAST_SCALE_NATS = 0.5,
  NO_LOSS_NATS = 0.0005;

/**
 * @param {HTMLElement} cell
 * @param {string} text
 * @param {number} [share] how much of a bar is filled
 * @param {string} [kind]
 */
const put = (cell, text, share = 0, kind) => {
  cell.replaceChildren(make('span', 'fv-pnum', text));
  if (share) cell.append(shareBar(share, kind));
};

export class WordsTable {
  /**
   * @param {Word[]} words
   * @param {(k: number) => void} choose
   */
  constructor(words, choose) {
    this.words = words;
    const { node, body } = table('Words of the answer', [
      ['Word'],
      ['Attention here', 'Sum over these patches of the attention of the position that predicts the word'],
      ['Before', 'Probability with the whole picture'],
      ['Without', 'Probability with these patches hidden'],
      ['Lost, nats', 'How much log-probability it loses'],
      ['Likeliest then', 'The likeliest token at this place then'],
    ]);
    this.node = node;
    this.rows = words.map((word, k) => this.#row(word, () => choose(k)));
    body.append(...this.rows.map(({ row }) => row));
    const names = this.rows.map(({ name }) => name);
    roving(names, 0);
    body.addEventListener('focusin', (e) => {
      const at = names.findIndex((name) => name === e.target);
      if (at >= 0) roving(names, at);
    });
    body.addEventListener('keydown', (e) => {
      const at = names.findIndex((name) => name === e.target);
      walk(names, { ArrowDown: at + 1, ArrowUp: at - 1 }[e.key], e);
    });
  }

  /**
   * @param {Word} word
   * @param {() => void} choose
   */
  #row(word, choose) {
    const row = make('tr'),
      name = button('fv-chip fv-pword', shown(word.t), 'Show this word\u2019s attention on the picture', choose),
      cells = Array.from({ length: 5 }, () => cellOf(make('span', 'fv-pnum')));
    name.style.setProperty('--p', String(Math.exp(word.p)));
    cells[4].className = 'fv-pinstead';
    row.append(cellOf(name), ...cells);
    put(cells[1], percent(Math.exp(word.p)));
    return { row, name, cells };
  }

  /** @param {number} k the word that the picture is about */
  mark(k) {
    this.rows.forEach(({ row, name }, i) => {
      row.classList.toggle('on', i === k);
      name.setAttribute('aria-pressed', String(i === k));
    });
  }

  /** @param {number[]} values attention of each word */
  received(values) {
    const most = Math.max(...values);
    this.rows.forEach(({ cells }, k) => put(cells[0], digits(values[k]), most > 0 ? values[k] / most : 0));
  }

  /** @param {any} reply what hiding came to, or null where it is not known */
  lost(reply) {
    if (!reply) {
      for (const { cells } of this.rows) for (const cell of cells.slice(2)) put(cell, '\u2013');
      return;
    }
    const before = floats(reply.before),
      after = floats(reply.after),
      most = Math.max(LEAST_SCALE_NATS, ...before.map((v, k) => Math.abs(v - after[k])));
    this.rows.forEach(({ cells }, k) => {
      const gone = before[k] - after[k],
        [id, text, p] = reply.instead[k];
      put(cells[1], percent(Math.exp(before[k])));
      put(cells[2], percent(Math.exp(after[k])));
      put(cells[3], Math.abs(gone) < NO_LOSS_NATS ? '0' : digits(gone), Math.abs(gone) / most, gone < 0 ? 'gain' : 'loss');
      cells[4].replaceChildren(make('bdi', 'fv-pmono', shown(text)), make('span', 'fv-quiet', ' ' + percent(Math.exp(p))));
      cells[4].classList.toggle('other', id !== this.words[k].id);
    });
  }
}
