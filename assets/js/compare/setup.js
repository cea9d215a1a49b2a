// What is asked, and of whom: two to four columns, a question or a set of them. What was set stays while answers come.
// Events: ask {columns, question, blind}, questions {columns, source, count, text, name}, votes {kind, blind}, halt.

import { tick } from '../dom/fields.js';
import { button, make, press } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { changed, ColumnCard, PLAIN } from './column_card.js';
import { QuestionSet } from './question_set.js';

/** @typedef {import('./column_card.js').Column} Column */

const MOST_COLUMNS = 4;
const MODES = [
  ['one', 'One question'],
  ['set', 'Question set'],
  ['votes', 'Votes'],
];

export class Setup extends Part {
  /** @type {any} the last full value with what came since: while columns are asked only {running} comes, which names nobody */
  held = {};
  /** @type {Column[]} */
  columns = [];
  /** @type {Set<number>} columns whose settings are shown */
  open = new Set();
  #mode = 'one';
  #blind = false;
  /** @type {any} the opening that the columns are of */
  #asked = null;
  #offered = '';
  #question = make('textarea', 'fv-versus-question');
  #set = new QuestionSet();

  begin() {
    const q = this.#question;
    Object.assign(q, { rows: 2, id: 'compare-question', placeholder: 'A question for all columns', maxLength: 100000 });
    q.setAttribute('aria-label', 'Question for all columns');
    q.addEventListener('keydown', (e) => {
      if (e.key !== 'Enter' || e.shiftKey || e.isComposing) return;
      e.preventDefault();
      this.#begin();
    });
    this.listen(document, 'keydown', (e) => {
      const stop = /** @type {HTMLElement | null} */ (this.querySelector('#compare-stop'));
      if (e.key === 'Escape' && !document.querySelector('dialog[open]') && stop?.offsetParent) stop.click();
    });
  }

  /** @param {any} value */
  show(value) {
    if (value) this.held = { ...this.held, ...value };
    this.build();
  }

  build() {
    if (!this.held.choices) {
      this.replaceChildren();
      return;
    }
    this.#offer();
    const focused = document.activeElement === this.#question,
      cards = make('div', 'fv-versus-cards');
    cards.append(...this.columns.map((_, i) => new ColumnCard(this, i).node));
    if (this.columns.length < MOST_COLUMNS)
      cards.append(button('fv-mini fv-versus-add', '+ Column', 'Add a column', () => this.#addColumn()));
    const below = { one: () => [this.#single()], set: () => [this.#several()] }[this.#mode];
    this.replaceChildren(cards, this.#modes(), ...(below?.() ?? []));
    this.dataset.mode = this.#mode;
    if (focused) this.#question.focus();
  }

  /** What the bench or an address brings: columns and a question that nobody typed. What was set stays. */
  #offer() {
    const { asked, fixed, columns, longest, question } = this.held,
      fresh = asked !== this.#asked;
    if (!this.columns.length || fresh) {
      if (!this.columns.length || fixed)
        this.columns = columns.map((/** @type {Partial<Column>} */ column) => ({
          ...PLAIN,
          ...column,
          length: Math.min(longest, column.length || PLAIN.length),
        }));
      if (fresh && asked) this.#turn('one');
      if (fresh && asked) this.#ask(question);
      this.#asked = asked;
      this.open = new Set(this.columns.flatMap((column, i) => (changed(column, this.held.decoders) ? [i] : [])));
    }
    if (!this.#question.value.trim() || this.#question.value === this.#offered) this.#ask(question);
  }

  /** @param {string} question that is offered */
  #ask(question) {
    this.#question.value = question;
    this.#offered = question;
  }

  #addColumn() {
    const last = this.columns[this.columns.length - 1],
      specs = this.held.choices.map((/** @type {string[]} */ [spec]) => spec),
      other = specs.find((/** @type {string} */ spec) => !this.columns.some((column) => column.spec === spec));
    this.columns.push(other ? { ...PLAIN, spec: other } : { ...last, temperature: 1, seed: this.columns.length });
    if (!other) this.open.add(this.columns.length - 1);
    this.build();
  }

  #plain() {
    return this.columns.map((column) => ({ ...column }));
  }

  #begin() {
    if (this.held.running) return;
    this.trigger('ask', { columns: this.#plain(), question: this.#question.value, blind: this.#blind });
  }

  /** @param {string} mode */
  #turn(mode) {
    this.#mode = mode;
    document.dispatchEvent(new CustomEvent('fv-compare-mode', { detail: mode }));
  }

  #modes() {
    const bar = make('div', 'fv-versus-modes');
    bar.setAttribute('role', 'group');
    bar.setAttribute('aria-label', 'What to compare by');
    for (const [name, text] of MODES) {
      const node = button('fv-mini', text, '', () => {
        this.#turn(name);
        this.build();
        if (name === 'votes') this.trigger('votes', { kind: '', blind: false });
      });
      press(node, this.#mode === name);
      bar.append(node);
    }
    return bar;
  }

  /**
   * @param {string} text
   * @param {() => void} act
   */
  #go(text, act) {
    const busy = Boolean(this.held.running),
      node = button('fv-mini fv-go', text, '', act),
      stop = button('fv-mini fv-stop', 'Stop (Esc)', 'Stop every column; what was said stays', () => this.trigger('halt'));
    node.disabled = busy;
    node.dataset.go = '';
    stop.id = 'compare-stop';
    stop.hidden = !busy;
    return [node, stop];
  }

  #single() {
    const box = make('div', 'fv-versus-ask'),
      bar = make('div', 'fv-actions'),
      chips = make('div', 'fv-questions'),
      { pictures, suggestions } = this.held,
      hide = tick(
        'Blind',
        this.#blind,
        (v) => {
          this.#blind = v;
        },
        'Names are hidden and sides shuffled until you vote',
      );
    bar.append(...this.#go('Compare', () => this.#begin()), hide.node, make('span', 'fv-quiet', pictures));
    for (const text of suggestions)
      chips.append(
        button('fv-chipq', text, 'Ask this', () => {
          this.#question.value = text;
          this.#begin();
        }),
      );
    box.append(this.#question, chips, bar);
    return box;
  }

  #several() {
    const box = make('div', 'fv-versus-ask'),
      bar = make('div', 'fv-actions'),
      { most } = this.held,
      go = () => this.trigger('questions', { columns: this.#plain(), ...this.#set.asked });
    bar.append(...this.#go('Ask all of them', go), make('span', 'fv-quiet', `At most ${most} questions.`));
    box.append(...this.#set.nodes(most, () => this.build()), bar);
    return box;
  }
}
