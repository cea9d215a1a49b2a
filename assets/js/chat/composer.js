// What is to be known above the question box: a question being edited, notes on attached pictures. Events: cancel, attached {count}.

import { button, make } from '../dom/make.js';
import { Part } from '../dom/part.js';

const SETTLED_MS = 150,
  TRY_MS = 100,
  TRIES = 50;

const attached = () => document.querySelectorAll('#ask .thumbnail-item').length;

export class Composer extends Part {
  #count = 0;
  #later = 0;

  begin() {
    this.#wait(TRIES);
  }

  /** @param {any} value */
  show(value) {
    this.replaceChildren();
    if (!value) return;
    if (value.editing) {
      const line = make('div', 'fv-editing');
      line.append(
        make('span', '', value.editing),
        button('fv-mini', 'Cancel', 'Leave the question as it was', () => this.trigger('cancel')),
      );
      this.append(line);
      requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector('#ask textarea'))?.focus());
    }
    if (!attached()) return; // an answer about pictures that were sent meanwhile
    for (const note of value.notes) this.append(make('p', 'fv-note', note));
  }

  #look() {
    document.querySelector('#ask input[type=file]')?.setAttribute('accept', 'image/*'); // a hint; the server looks for itself
    const now = attached();
    if (now === this.#count) return;
    this.#count = now;
    clearTimeout(this.#later);
    this.#later = setTimeout(() => {
      if (now || this.querySelector('.fv-note')) this.trigger('attached', { count: now });
    }, SETTLED_MS);
  }

  /** @param {number} tries the question box may come later than this part */
  #wait(tries) {
    const box = document.querySelector('#ask');
    if (box) {
      this.#look();
      new MutationObserver(() => this.#look()).observe(box, { childList: true, subtree: true });
    } else if (tries) setTimeout(() => this.#wait(tries - 1), TRY_MS);
  }
}
