// The attention tab: which answer is looked at. Nothing is asked before the tab is looked at.
// Value: {run, map, opening}: the turn, a kept map of it to be shown, and a name of this opening.

import { button, make } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { Requests } from '../dom/request.js';
import { Answer } from './answer.js';

export class Attention extends Part {
  /** How maps are drawn, of whichever answer. */
  look = { opacity: 0.72, smooth: false, how: 'linear', shared: false };
  /** @type {Answer | null} */
  answer = null;
  /** @type {string | null} the turn that is shown, or on its way */
  #run = null;
  #opening = '';

  begin() {
    this.requests = new Requests(this.server, this, { kept: 0, after_ms: 350, className: 'fv-progress' });
    new IntersectionObserver(() => this.show(this.value)).observe(this);
  }

  /** @param {{run?: string, map?: any, opening?: string} | null} value */
  show(value) {
    const { run = '', map = null, opening = '' } = value || {};
    if (!this.inView || (run === this.#run && (!map || opening === this.#opening))) return;
    this.#run = run;
    this.#opening = opening;
    this.load(run, map ? map.typed : '', map);
  }

  /**
   * Open a turn.
   * @param {string} run
   * @param {string} [typed] another answer to be traced in place of the logged one
   * @param {any} [wanted] a kept map to be shown
   */
  async load(run, typed = '', wanted = null) {
    const requests = /** @type {Requests} */ (this.requests),
      place = make('div', 'fv-busy'),
      before = this.answer;
    requests.endAll();
    if (!run) {
      this.answer = null;
      this.replaceChildren(make('p', 'fv-quiet', 'There is no answer yet. Ask something in Chat.'));
      return;
    }
    if (before) before.busy.replaceChildren(place);
    else this.replaceChildren(make('p', 'fv-quiet', 'Reading the answer'), place);
    const got = await requests.ask({ what: 'open', run, typed }, { text: 'Reading the answer', group: 'open', place });
    if (this.#run !== run) return;
    if (got.error) {
      if (before && before === this.answer && before.view.run === run) before.trouble(got.error);
      else this.#failed(got.error, () => this.load(run, typed));
      return;
    }
    this.answer = new Answer(this, requests, got.view, wanted);
    this.replaceChildren(...this.answer.nodes);
    delete this.dataset.drawn;
    this.answer.begin();
  }

  /**
   * @param {string} why
   * @param {() => void} again
   */
  #failed(why, again) {
    this.answer = null;
    this.replaceChildren(make('p', 'fv-error', why), button('fv-mini', 'Try again', 'Read the answer again', again));
  }
}
