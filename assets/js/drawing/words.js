// An answer's tokens as chips: probability as a bar, visual dependence as a tint. Hover or focus previews, a click pins,
// Shift + click or a drag merges neighbours into a word, arrows move.

import { digits, percent, shown } from '../dom/format.js';
import { along, hit, roving } from '../dom/keys.js';
import { make } from '../dom/make.js';

/** @typedef {{t: string, p: number, e: number, m: number, d: number | null}} Word text, log-probability, entropy, image attention, dependence */

export const STRONG_NATS = 4; // a dependence from here on has the full tint

/**
 * A token as a button: its bar is the probability, its tint a number of nats.
 * @param {string} text
 * @param {number} logprob
 * @param {number} [nats]
 */
export const wordChip = (text, logprob, nats = 0) => {
  const chip = make('button', 'fv-wchip', shown(text));
  chip.type = 'button';
  chip.setAttribute('role', 'option');
  chip.style.setProperty('--p', String(Math.exp(logprob)));
  chip.style.setProperty('--d', String(Math.max(0, Math.min(1, nats / STRONG_NATS))));
  return chip;
};

/**
 * @param {HTMLElement} chip
 * @param {boolean} on
 */
export const choose = (chip, on) => {
  chip.classList.toggle('on', on);
  chip.setAttribute('aria-selected', String(on));
};

/**
 * @param {number} a
 * @param {number} b
 */
const span = (a, b) => Array.from({ length: Math.abs(b - a) + 1 }, (_, i) => Math.min(a, b) + i);

/** @param {Word} word */
const facts = ({ t, p, e, m, d }) => {
  const parts = [
    `\u201c${shown(t)}\u201d`,
    `probability ${percent(Math.exp(p))}`,
    `entropy ${digits(e)} nats`,
    `image attention ${digits(m)}`,
  ];
  if (d !== null) parts.push(`${digits(d)} nats ${d < 0 ? 'less' : 'more'} likely with the picture`.replace(/^\u2212/, ''));
  return parts.join(' \u00b7 ');
};

export class WordChips {
  /** @type {number[]} */
  #pinned = [0];
  #anchor = 0;
  #dragging = false;
  #box = make('div', 'fv-wchips');
  #line = make('div', 'fv-wline fv-quiet');

  /**
   * @param {Word[]} tokens
   * @param {{preview: (k: number) => void, pin: (words: number[]) => void}} acts `preview(-1)` where none is hovered any more
   */
  constructor(tokens, { preview, pin }) {
    this.tokens = tokens;
    this.preview = preview;
    this.pin = pin;
    this.node = make('div', 'fv-words-row');
    this.#box.setAttribute('role', 'listbox');
    this.#box.setAttribute('aria-multiselectable', 'true');
    this.#box.setAttribute('aria-label', 'Tokens of the answer. Left and right preview, Enter pins, Shift and Enter merges.');
    this.chips = tokens.map((token, k) => this.#chip(token, k));
    this.#line.setAttribute('role', 'status');
    const tint = tokens.some((t) => t.d !== null) ? ' Tint: how much likelier with the picture than without it.' : '';
    this.node.append(
      this.#box,
      this.#line,
      make('div', 'fv-legend', `Bar: probability, 0 to 100 %.${tint} Shift + click or a drag puts tokens together.`),
    );
    this.#listen();
    this.#mark();
  }

  /**
   * @param {Word} token
   * @param {number} k
   */
  #chip(token, k) {
    const chip = wordChip(token.t, token.p, token.d ?? 0);
    chip.dataset.index = String(k);
    chip.tabIndex = k ? -1 : 0;
    chip.setAttribute('aria-label', facts(token));
    this.#box.append(chip);
    if (token.t.includes('\n')) this.#box.append(make('span', 'fv-break'));
    return chip;
  }

  #mark() {
    this.chips.forEach((chip, k) => choose(chip, this.#pinned.includes(k)));
  }

  /**
   * Pin words; `tell` says whether `pin` is called.
   * @param {number[]} words
   * @param {boolean} [tell]
   */
  set(words, tell = true) {
    this.#pinned = words;
    this.#mark();
    const text = () =>
      words
        .map((k) => this.tokens[k].t)
        .join('')
        .trim();
    this.#line.textContent =
      words.length === 1 ? facts(this.tokens[words[0]]) : `${words.length} tokens together: \u201c${text()}\u201d`;
    if (tell) this.pin(words);
  }

  #listen() {
    const box = this.#box;
    box.addEventListener('pointerover', (e) => this.#over(this.#of(e)));
    box.addEventListener('pointerleave', () => this.#leave());
    box.addEventListener('pointerdown', (e) => this.#down(e));
    box.addEventListener('click', (e) => this.#click(e));
    box.addEventListener('focusin', (e) => {
      const k = this.#of(e);
      if (k < 0) return;
      roving(this.chips, k);
      this.#read(k);
    });
    box.addEventListener('focusout', (e) => {
      if (!(e.relatedTarget instanceof Node) || !box.contains(e.relatedTarget)) this.#leave();
    });
    box.addEventListener('keydown', (e) => this.#key(e));
  }

  /** @param {Event} e */
  #of(e) {
    const chip = hit(e, '.fv-wchip');
    return chip ? Number(chip.dataset.index) : -1;
  }

  /** @param {number} k */
  #read(k) {
    this.#line.textContent = facts(this.tokens[k]);
    this.preview(k);
  }

  #leave() {
    this.set(this.#pinned, false);
    this.preview(-1);
  }

  /** @param {number} k */
  #over(k) {
    if (k < 0) return;
    if (this.#dragging && k !== this.#anchor) {
      this.#pinned = span(this.#anchor, k);
      this.#mark();
    } else this.#read(k);
  }

  /** @param {PointerEvent} e */
  #down(e) {
    const k = this.#of(e);
    if (k < 0 || e.button !== 0 || e.shiftKey) return;
    const before = this.#pinned;
    this.#anchor = k;
    this.#dragging = e.pointerType !== 'touch';
    if (!this.#dragging) return;
    const end = () => {
      this.#dragging = false;
      if (this.#pinned !== before) this.set(this.#pinned);
    };
    document.addEventListener('pointerup', end, { once: true });
  }

  /** @param {MouseEvent} e */
  #click(e) {
    const k = this.#of(e);
    if (k < 0 || (k !== this.#anchor && !e.shiftKey && e.detail)) return; // the end of a drag
    if (e.shiftKey) this.set(span(this.#anchor, k));
    else {
      this.#anchor = k;
      this.set([k]);
    }
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    const k = this.#of(e),
      to = along(e.key, k, this.chips.length);
    if (k < 0 || to === undefined || !this.chips[to]) return;
    this.chips[to].focus();
    if (e.shiftKey) this.set(span(this.#anchor, to));
    e.preventDefault();
  }
}
