// One finished turn of a chat: question, answer with its tokens, what can be done with it, what it took.

import { button, make, press } from '../dom/make.js';
import { pictures, truthLine } from '../dom/pictures.js';
import { copy, turnAddress } from '../dom/share.js';
import { TokenChips } from '../drawing/tokens.js';

/** @typedef {import('./transcript.js').Transcript} Transcript */
/** @typedef {any} TurnView as `turn_view` of panels gives it */

export class Turn {
  #body = make('div', 'fv-said');

  /**
   * @param {Transcript} chat
   * @param {TurnView} turn
   * @param {boolean} last
   */
  constructor(chat, turn, last) {
    this.chat = chat;
    this.turn = turn;
    this.node = make('article', 'fv-turn');
    this.node.dataset.run = turn.run;
    this.node.append(this.#asked(), this.#answered(last));
    this.#fill();
  }

  #asked() {
    const { images, question, notes } = this.turn,
      asked = make('div', 'fv-asked');
    if (images.length) asked.append(pictures(images));
    asked.append(make('div', 'fv-text', question));
    for (const note of notes) asked.append(make('div', 'fv-quiet', note));
    return asked;
  }

  /** @param {boolean} last */
  #answered(last) {
    const { checkpoint, meter } = this.turn,
      answered = make('div', 'fv-answered'),
      took = make('div', 'fv-meter');
    for (const [name, value, title] of meter) {
      const cell = make('span', 'fv-cell');
      cell.title = title;
      cell.append(make('b', '', value), ' ' + name);
      took.append(cell);
    }
    answered.append(make('div', 'fv-who', checkpoint), this.#body, ...this.#after(), this.#actions(last), took);
    return answered;
  }

  /** What is said below an answer. */
  #after() {
    const { error, status, reason, truth, warnings } = this.turn,
      after = [];
    for (const warning of warnings) after.push(make('div', 'fv-error', warning));
    if (error) after.push(make('div', 'fv-error', error));
    if (status === 'stopped') after.push(make('div', 'fv-quiet', 'Stopped here.'));
    if (reason === 'length') after.push(make('div', 'fv-quiet', 'Cut off at the length limit. Raise it in the settings.'));
    if (status === 'running') after.push(make('div', 'fv-quiet', 'Not finished: it is being written elsewhere.'));
    if (truth) after.push(truthLine('Truth of the drawing: ', truth));
    return after;
  }

  /** The answer as text, or as tokens where they are asked for. */
  async #fill() {
    const { run, answer, status } = this.turn,
      text = make('div', 'fv-text', answer);
    if (!answer && status === 'done') text.append(make('span', 'fv-quiet', '(an empty answer)'));
    if (!this.chat.open.has(run)) {
      this.#body.replaceChildren(text);
      return;
    }
    if (!this.chat.knows(run)) this.#body.replaceChildren(text, make('div', 'fv-quiet', 'Fetching the tokens'));
    const { tokens, error } = await this.chat.tokensOf(run);
    if (!this.chat.open.has(run)) return;
    if (error) this.#body.replaceChildren(text, make('div', 'fv-error', error));
    else this.#body.replaceChildren(new TokenChips(tokens, (index, id) => this.chat.trigger('branch', { run, index, id })).node);
  }

  /** @param {boolean} last */
  #actions(last) {
    const bar = make('div', 'fv-actions'),
      { run, answer, tokens, siblings } = this.turn,
      { chat } = this,
      does = (/** @type {string} */ event) => () => chat.trigger(event, { run });
    if (tokens) bar.append(this.#tokens());
    for (const [action, text, title] of chat.value.actions)
      bar.append(button('fv-mini', text, title, () => chat.trigger('act', { run, action })));
    bar.append(
      button('fv-mini', 'Edit', 'Rewrite this question. The old version is kept.', does('edit')),
      button('fv-mini', 'Retry', 'Answer again. The old answer is kept.', does('again')),
    );
    if (last) bar.append(button('fv-mini', 'Undo', 'Step back to before this turn. It stays in Sessions.', does('undo')));
    bar.append(
      button('fv-mini', 'Copy', 'Copy the answer', (e) => copy(answer, e.currentTarget)),
      button('fv-mini', 'Link', 'Copy the address of this turn', (e) => {
        copy(turnAddress(run), e.currentTarget);
        chat.trigger('linked', { run });
      }),
      this.#rate(1, '\u25b2', 'A good answer'),
      this.#rate(-1, '\u25bc', 'A bad answer'),
    );
    if (siblings.length > 1) bar.append(this.#versions());
    bar.querySelectorAll('button').forEach((node, i) => {
      node.dataset.key = run + i;
    });
    return bar;
  }

  #tokens() {
    const { open } = this.chat,
      { run } = this.turn,
      node = button('fv-mini', 'Tokens', 'Show the tokens with their probabilities', () => {
        if (!open.delete(run)) open.add(run);
        press(node, open.has(run));
        this.#fill();
      });
    press(node, open.has(run));
    return node;
  }

  /**
   * @param {number} value
   * @param {string} text
   * @param {string} title
   */
  #rate(value, text, title) {
    const { run, rating } = this.turn,
      node = button('fv-mini', text, title, () => this.chat.trigger('rate', { run, value: rating === value ? 0 : value }));
    press(node, rating === value);
    return node;
  }

  #versions() {
    const { run, siblings } = this.turn,
      box = make('span', 'fv-branches'),
      at = siblings.indexOf(run);
    const step = (/** @type {number} */ to, /** @type {string} */ text, /** @type {string} */ title) => {
      const node = button('fv-mini', text, title, () => this.chat.trigger('go', { run: siblings[to] }));
      node.disabled = to < 0 || to >= siblings.length;
      return node;
    };
    box.append(
      step(at - 1, '\u2039', 'The version before'),
      make('span', '', `version ${at + 1} of ${siblings.length}`),
      step(at + 1, '\u203a', 'The version after'),
    );
    return box;
  }
}
