// The answers of a comparison with all that is under them; a question set; the votes. One of the three shows, as the setup says.
// Events: vote {outcome, reasons, waited_ms}, reveal, again, stopone {letter}, kind {kind, blind}.

import { pick } from '../dom/fields.js';
import { button, make } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { pictures, truthLine } from '../dom/pictures.js';
import { comparisonAddress, copy } from '../dom/share.js';
import { ColumnBox, strips } from './columns.js';
import { heatPart } from './heat.js';
import { boxesPart, wordDiff } from './pairs.js';
import { factList, part } from './parts.js';
import { setView, votesView } from './tables.js';
import { votePart } from './vote.js';

/** @type {Record<string, string>} what is said where there is nothing to show yet */
const EMPTY = {
  one: 'Two to four columns get the same question, side by side.',
  set: 'A set of questions shows where the columns part, the questions they differ on first.',
  votes: 'Reading the votes',
};

export class Compare extends Part {
  /** @type {Record<string, any>} the last value of each view */
  #views = {};
  #mode = 'one';
  /** @type {ColumnBox[]} */
  #boxes = [];
  #stage = make('div', 'fv-versus-stage fv-stage');
  #built = '';
  #chosenPair = 0;

  begin() {
    this.#stage.setAttribute('role', 'status');
    this.listen(document, 'fv-compare-mode', (e) => {
      this.#mode = e.detail;
      this.#render();
    });
    this.#render();
  }

  /** @param {any} value */
  show(value) {
    if (!value) return;
    this.#views[value.view] = value;
    if (value.view === this.#mode) this.#render();
  }

  #render() {
    const mode = this.#mode,
      value = this.#views[mode];
    if (mode !== 'one') this.#built = '';
    if (!value) {
      this.replaceChildren(make('p', 'fv-empty', EMPTY[mode]));
      this.dataset.state = 'empty';
    } else if (mode === 'one') this.#single(value);
    else {
      this.replaceChildren(...(mode === 'set' ? setView(value) : votesView(value, (given) => this.trigger('kind', given))));
      this.dataset.state = value.running ? 'running' : mode;
    }
  }

  /** @param {any} value */
  #single(value) {
    const { key, running, columns, stage, sealed, notes } = value;
    this.#stage.textContent = stage;
    if (running && this.#built === key && this.#boxes.length === columns.length) {
      this.#boxes.forEach((box, i) => box.show(columns[i], true));
      return;
    }
    const grid = make('div', 'fv-versus-grid'),
      stop = (/** @type {string} */ letter) => this.trigger('stopone', { letter });
    this.#built = running ? key : '';
    this.#boxes = columns.map((/** @type {any} */ column) => new ColumnBox(column, running, stop));
    grid.style.setProperty('--columns', columns.length);
    grid.append(...this.#boxes.map((box) => box.node));
    this.replaceChildren(
      this.#asked(value),
      ...notes.map((/** @type {string} */ note) => make('p', 'fv-note', note)),
      grid,
      this.#stage,
      ...(running ? [] : this.#under(value)),
    );
    this.dataset.key = key;
    this.dataset.state = running ? 'running' : sealed ? 'sealed' : 'done';
  }

  /** @param {any} value */
  #asked({ images, question, truth }) {
    const head = make('div', 'fv-versus-asked'),
      words = make('div');
    if (images.length) head.append(pictures(images));
    words.append(make('div', 'fv-question', question));
    if (truth) words.append(truthLine('Truth: ', truth));
    head.append(words);
    return head;
  }

  /**
   * All that is under finished answers.
   * @param {any} value
   */
  #under(value) {
    const nodes = [
      votePart(
        value,
        (given) => this.trigger('vote', given),
        () => this.trigger('reveal'),
      ),
    ];
    if (value.sealed) return nodes;
    nodes.push(this.#acts(value));
    const said = value.columns.filter((/** @type {any} */ column) => column.tokens.length);
    if (said.length) nodes.push(part('Length and certainty', strips(said)));
    if (!value.pairs.length) return nodes;
    if (value.boxes) nodes.push(boxesPart(value.boxes));
    nodes.push(this.#pairs(value));
    return nodes;
  }

  /** @param {any} value */
  #acts({ logged, key }) {
    const bar = make('div', 'fv-actions');
    bar.append(
      button('fv-mini', 'Ask again', 'The same question to the same columns, and whether each says the same', () =>
        this.trigger('again'),
      ),
    );
    if (logged)
      bar.append(
        button('fv-mini', 'Link', 'Copy the address of this comparison', (e) => copy(comparisonAddress(key), e.currentTarget)),
      );
    return bar;
  }

  /**
   * Words and heat of two of the answers.
   * @param {any} value
   */
  #pairs(value) {
    const place = make('div'),
      names = value.columns.map((/** @type {any} */ { letter }) => letter),
      /** @type {import('../dom/fields.js').Option[]} */
      options = value.pairs.map((/** @type {any} */ { a, b }, /** @type {number} */ i) => [i, `${names[a]} and ${names[b]}`]);
    const draw = () => {
      const at = Math.min(this.#chosenPair, value.pairs.length - 1),
        pair = value.pairs[at],
        choice = pick('Of', options, at, (v) => {
          this.#chosenPair = +v;
          draw();
        });
      place.replaceChildren(
        part('Words', ...(options.length > 1 ? [choice.node] : []), wordDiff(pair, names), factList(pair.agreement, 'wide')),
        heatPart(this.server, value, pair),
      );
    };
    draw();
    return place;
  }
}
