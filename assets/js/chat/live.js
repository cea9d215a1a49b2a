// The turn being answered. Updated about ten times a second; nothing else on the page is touched.

import { make } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { pictures } from '../dom/pictures.js';
import { nearEnd, scrollBox, toEnd } from '../dom/scroll.js';

export class Live extends Part {
  /** @type {string | null} the turn last taken away: what was still on its way from the server does not bring it back */
  #gone = null;
  /** @type {string[]} the turns that the transcript shows */
  #finished = [];
  /** @type {{key: string, growing: HTMLElement, stage: HTMLElement} | null} */
  #turn = null;

  begin() {
    this.listen(document, 'fv-answered', ({ detail }) => {
      this.#finished = detail;
      if (this.#turn && detail.includes(this.#turn.key)) this.#clear();
    });
  }

  #clear() {
    if (this.#turn) this.#gone = this.#turn.key;
    this.#turn = null;
    this.replaceChildren();
  }

  /** @param {any} value */
  show(value) {
    if (!value) {
      this.#clear();
      return;
    }
    if (value.key === this.#gone || this.#finished.includes(value.key)) return;
    const box = scrollBox(this),
      end = nearEnd(box),
      fresh = this.#turn?.key !== value.key,
      turn = this.#turn && !fresh ? this.#turn : this.#begun(value);
    turn.growing.textContent = value.answer;
    turn.stage.textContent = value.stage;
    if (end || fresh) requestAnimationFrame(() => toEnd(box));
  }

  /** @param {any} value */
  #begun(value) {
    const node = make('article', 'fv-turn'),
      asked = make('div', 'fv-asked'),
      answered = make('div', 'fv-answered'),
      growing = make('div', 'fv-text fv-growing'),
      stage = make('div', 'fv-stage');
    node.dataset.key = value.key;
    if (value.images.length) asked.append(pictures(value.images));
    asked.append(make('div', 'fv-text', value.question));
    answered.append(make('div', 'fv-who', value.checkpoint), growing, stage);
    node.append(asked, answered);
    this.replaceChildren(node);
    this.#turn = { key: value.key, growing, stage };
    return this.#turn;
  }
}
