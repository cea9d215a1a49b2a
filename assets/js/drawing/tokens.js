// An answer as chips: tint by probability, alternatives on hover or focus, arrows move, a click on one branches.

import { percent, shown } from '../dom/format.js';
import { along, hit, roving, walk } from '../dom/keys.js';
import { make } from '../dom/make.js';
import { scrollBox } from '../dom/scroll.js';

/** @typedef {{id: number, t: string, p: number, given: boolean, alts: [id: number, text: string, logprob: number][]}} TokenView */

const GAP_PX = 8;

export class TokenChips {
  #card = make('div', 'fv-card');

  /**
   * @param {TokenView[]} tokens
   * @param {(index: number, id: number) => void} branch continue the answer from another token at a place
   */
  constructor(tokens, branch) {
    this.tokens = tokens;
    this.branch = branch;
    this.node = make('div', 'fv-chips');
    this.node.setAttribute('role', 'group');
    this.node.setAttribute(
      'aria-label',
      'Tokens of the answer with their probabilities. Left and right move, down goes to the alternatives.',
    );
    this.chips = tokens.map((token, index) => this.#chip(token, index));
    const legend = 'Bar: probability before temperature and top-p, 0 to 100 %. Tint: the rest of it. Dashed: given.';
    this.#card.hidden = true;
    this.node.append(make('div', 'fv-legend', legend), this.#card);
    this.#listen();
  }

  /**
   * @param {TokenView} token
   * @param {number} index
   */
  #chip(token, index) {
    const p = Math.exp(token.p),
      chip = make('button', 'fv-chip' + (token.given ? ' given' : ''), shown(token.t));
    chip.type = 'button';
    chip.dataset.index = String(index);
    chip.tabIndex = index ? -1 : 0;
    chip.style.setProperty('--p', String(token.given ? 1 : p));
    chip.setAttribute('aria-label', `${shown(token.t)}: ${token.given ? 'given, not chosen by the model' : percent(p)}`);
    this.node.append(chip);
    if (token.t.includes('\n')) this.node.append(make('span', 'fv-break'));
    return chip;
  }

  /** @param {number} index */
  #fill(index) {
    const token = this.tokens[index],
      title = `token ${index + 1}, id ${token.id}${token.given ? ': given, not chosen by the model' : ''}`;
    this.#card.replaceChildren(make('div', 'fv-card-title', title));
    for (const [id, text, logprob] of token.alts) this.#card.append(this.#alternative(index, id, text, Math.exp(logprob)));
    if (token.alts.some(([id]) => id !== token.id))
      this.#card.append(make('div', 'fv-card-hint', 'Choose an alternative to continue the answer from it.'));
  }

  /**
   * @param {number} index
   * @param {number} id
   * @param {string} text
   * @param {number} p
   */
  #alternative(index, id, text, p) {
    const same = id === this.tokens[index].id,
      row = same ? make('div', 'fv-alt chosen') : make('button', 'fv-alt'),
      bar = make('span', 'fv-bar');
    if (row instanceof HTMLButtonElement) {
      row.type = 'button';
      row.title = 'Continue the answer from here';
      row.addEventListener('click', () => this.branch(index, id));
    }
    bar.style.width = (100 * p).toFixed(1) + '%';
    row.append(bar, make('span', 'fv-alt-text', shown(text)), make('span', 'fv-alt-p', percent(p)));
    return row;
  }

  /** @param {HTMLElement} chip */
  #show(chip) {
    const card = this.#card;
    if (!card.hidden && card.dataset.index === chip.dataset.index) return;
    card.dataset.index = chip.dataset.index;
    this.#fill(Number(chip.dataset.index));
    card.hidden = false;
    const scroller = scrollBox(this.node),
      below = chip.offsetTop + chip.offsetHeight + 2,
      room = scroller ? scroller.getBoundingClientRect().bottom - chip.getBoundingClientRect().bottom : Infinity,
      tight = room < card.offsetHeight + GAP_PX,
      above = tight && chip.offsetTop > card.offsetHeight;
    card.style.left = Math.max(0, Math.min(chip.offsetLeft, this.node.clientWidth - card.offsetWidth)) + 'px';
    card.style.top = (above ? chip.offsetTop - card.offsetHeight - 4 : below) + 'px';
    if (tight && !above && scroller) scroller.scrollTop += card.offsetHeight + 12 - room;
  }

  #hide() {
    this.#card.hidden = true;
  }

  #listen() {
    const box = this.node;
    for (const kind of ['mouseover', 'focusin', 'click'])
      box.addEventListener(kind, (e) => {
        const chip = hit(e, '.fv-chip');
        if (chip) this.#show(chip);
      });
    box.addEventListener('focusin', (e) => {
      const chip = hit(e, '.fv-chip');
      if (chip) roving(this.chips, Number(chip.dataset.index));
    });
    box.addEventListener('mouseleave', () => {
      if (!box.contains(document.activeElement)) this.#hide();
    });
    box.addEventListener('focusout', (e) => {
      if (!(e.relatedTarget instanceof Node) || !box.contains(e.relatedTarget)) this.#hide();
    });
    box.addEventListener('keydown', (e) => this.#key(e));
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    const chip = hit(e, '.fv-chip'),
      option = hit(e, '.fv-alt');
    if (e.key === 'Escape' && !this.#card.hidden) {
      if (option) this.#chipOfCard().focus();
      this.#hide();
      e.stopPropagation();
    } else if (chip) this.#fromChip(e, chip);
    else if (option) this.#fromOption(e, option);
  }

  #chipOfCard() {
    return this.chips[Number(this.#card.dataset.index)];
  }

  #options() {
    return /** @type {HTMLElement[]} */ ([...this.#card.querySelectorAll('button.fv-alt')]);
  }

  /**
   * @param {KeyboardEvent} e
   * @param {HTMLElement} chip
   */
  #fromChip(e, chip) {
    if (e.key === 'ArrowDown') {
      this.#show(chip);
      walk(this.#options(), 0, e);
    } else walk(this.chips, along(e.key, Number(chip.dataset.index), this.chips.length), e);
  }

  /**
   * @param {KeyboardEvent} e
   * @param {HTMLElement} option
   */
  #fromOption(e, option) {
    const all = this.#options(),
      at = all.indexOf(option);
    if (e.key === 'ArrowUp' && at === 0) walk([this.#chipOfCard()], 0, e);
    else walk(all, { ArrowDown: at + 1, ArrowUp: at - 1 }[e.key], e);
  }
}
