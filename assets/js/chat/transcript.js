// The finished turns of a chat.
// Events: act {run, action}, again {run}, edit {run}, undo {run}, branch {run, index, id}, go {run}, rate {run, value}, linked {run}.

import { make } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { nearEnd, scrollBox, toEnd } from '../dom/scroll.js';
import { Turn } from './turn.js';

const LEAST_PX = 220,
  BELOW_PX = 14;

export class Transcript extends Part {
  /** @type {Set<string>} turns whose tokens are shown */
  open = new Set();
  /** @type {Map<string, any>} */
  #known = new Map();
  /** @type {string | null} the last turn that was read out */
  #said = null;

  begin() {
    requestAnimationFrame(() => this.#keepFitting());
  }

  /** @param {string} run */
  knows(run) {
    return this.#known.has(run);
  }

  /**
   * The tokens of a turn, or a sentence.
   * @param {string} run
   * @returns {Promise<{tokens: import('../drawing/tokens.js').TokenView[], error?: string}>}
   */
  async tokensOf(run) {
    if (!this.#known.has(run)) {
      let found;
      try {
        found = await this.server.tokens_of(run);
      } catch {
        found = { tokens: [], error: 'The tokens could not be fetched. Try again.' };
      }
      if (found.error) return found;
      this.#known.set(run, found);
    }
    return this.#known.get(run);
  }

  /** @param {any} value */
  show(value) {
    if (!value) return;
    const box = scrollBox(this),
      stay = box ? box.scrollTop : 0,
      end = nearEnd(box) || value.scroll === 'end',
      active = document.activeElement,
      focused = active instanceof HTMLElement && this.contains(active) ? active.dataset.key : null,
      root = this.one('.fv-transcript'),
      turns = value.turns.map((/** @type {any} */ turn, /** @type {number} */ i) => {
        const { node } = new Turn(this, turn, i === value.turns.length - 1);
        return node;
      });
    document.dispatchEvent(new CustomEvent('fv-answered', { detail: value.turns.map((/** @type {any} */ turn) => turn.run) }));
    root.replaceChildren(...turns);
    if (!turns.length) root.append(make('p', 'fv-empty', value.empty));
    if (focused) this.#focus(focused);
    this.#say(value.turns[value.turns.length - 1]);
    requestAnimationFrame(() => {
      if (!box) return;
      if (end) toEnd(box);
      else box.scrollTop = stay;
    });
    this.#forgetAddress();
  }

  /** @param {string} key of a button that stands there again */
  #focus(key) {
    const node = this.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (node instanceof HTMLElement) node.focus({ preventScroll: true });
  }

  /**
   * Read a new answer out.
   * @param {any} turn
   */
  #say(turn) {
    if (this.#said !== null && turn && turn.run !== this.#said)
      this.one('.fv-heard').textContent = `${turn.checkpoint}: ${turn.answer.slice(0, 2000)}`;
    this.#said = turn ? turn.run : '';
  }

  /** A reload is to show where the chat stands now. */
  #forgetAddress() {
    const address = new URL(location.href);
    if (!address.searchParams.has('run')) return;
    address.searchParams.delete('run');
    history.replaceState(null, '', address);
  }

  #keepFitting() {
    const box = scrollBox(this);
    if (!box?.parentElement) return;
    const watcher = new ResizeObserver(() => this.#fit());
    for (const node of box.parentElement.children) if (node !== box) watcher.observe(node);
    watcher.observe(document.querySelector('.fv-head') || document.body);
    this.listen(window, 'resize', () => this.#fit());
    this.#fit();
    if (innerWidth > 900)
      /** @type {HTMLElement | null} */ (document.querySelector('#ask textarea'))?.focus({ preventScroll: true });
  }

  /** The conversation takes what the window leaves: no question box below the edge. */
  #fit() {
    const box = scrollBox(this);
    if (!box?.offsetParent || !box.parentElement) return;
    if (innerWidth <= 640) {
      box.style.height = '';
      return;
    }
    const siblings = /** @type {HTMLElement[]} */ ([...box.parentElement.children]).filter((node) => node.offsetParent),
      bottom = Math.max(...siblings.map((node) => node.getBoundingClientRect().bottom)),
      place = box.getBoundingClientRect(),
      height = Math.round(Math.max(LEAST_PX, innerHeight - (place.top + scrollY) - (bottom - place.bottom) - BELOW_PX));
    if (Math.abs(height - place.height) <= 1) return;
    const end = nearEnd(box);
    box.style.height = height + 'px';
    if (end) toEnd(box);
  }
}
