// From a place in the picture to what became of it: which answer is looked at. Nothing is asked before the tab is looked at.
// Value: {run, map, opening}: the turn, a kept map of it to be shown once, and a name of this opening.

import { floats } from '../dom/format.js';
import { button, make } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { Requests } from '../dom/request.js';
import { Answer } from './answer.js';

export class Patches extends Part {
  #asking = make('div', 'fv-askings');
  /** @type {Answer | null} */
  answer = null;
  /** @type {string | null} the turn that is shown, or on its way */
  #run = null;
  #opening = '';

  begin() {
    this.requests = new Requests(this.server, this.#asking);
    this.listen(document, 'keydown', (e) => {
      if (e.key === 'Escape' && this.inView) this.#asking.querySelector('button')?.click();
    });
    new IntersectionObserver(() => this.show(this.value)).observe(this);
  }

  /** @param {{run?: string, map?: any, opening?: string} | null} value */
  show(value) {
    const { run = '', map = null, opening = '' } = value || {};
    if (!this.inView || (run === this.#run && (!map || opening === this.#opening))) return;
    this.#opening = opening;
    if (run === this.#run && this.answer) {
      this.answer.restore(map);
      return;
    }
    this.#run = run;
    this.#load(run, map);
  }

  /**
   * @param {string} run
   * @param {any} [map] a kept one to be shown
   */
  async #load(run, map = null) {
    const requests = /** @type {Requests} */ (this.requests);
    this.answer = null;
    if (!run) {
      this.#empty(make('p', 'fv-empty', 'Nothing on the bench yet. Ask about a picture in Chat.'));
      return;
    }
    this.#empty(make('p', 'fv-empty', 'Reading the answer'));
    const reply = await requests.ask({ kind: 'open', run }, { text: 'Reading the answer', group: 'open' });
    if (run !== this.#run) return;
    if (reply.error) {
      const again = button('fv-mini', 'Try again', 'Read the answer again', () => this.#load(run));
      this.#empty(make('p', 'fv-error', reply.error), again);
      return;
    }
    this.answer = new Answer(this, requests, run, { ...reply, mixing: reply.mixing && floats(reply.mixing) });
    this.replaceChildren(this.#asking, this.answer.node);
    this.answer.begin();
    if (map) this.answer.restore(map);
  }

  /** @param {Node[]} nodes */
  #empty(...nodes) {
    this.replaceChildren(this.#asking, ...nodes);
  }
}
