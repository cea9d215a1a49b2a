// One logged turn in full, its maps, and a replay of it beside the first answer. Event: map {kind, name}.

import { shown } from '../dom/format.js';
import { button, make } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { pictures, truthLine } from '../dom/pictures.js';
import { copy, turnAddress } from '../dom/share.js';

/**
 * @param {string} title
 * @param {Node[]} nodes
 */
const section = (title, ...nodes) => {
  const box = make('section');
  box.append(make('h3', '', title), ...nodes);
  return box;
};

/** @param {{same: boolean, text: string, tokens: [string, string, boolean][]}} replay */
const replayed = ({ same, text, tokens }) => {
  const box = make('div', 'fv-replay'),
    strip = make('div', 'fv-diff');
  box.setAttribute('role', 'status');
  box.append(make('p', same ? 'fv-good' : 'fv-error', text));
  for (const [first, second, equal] of tokens) {
    const pair = make('span', 'fv-pair' + (equal ? '' : ' off'));
    pair.append(make('bdi', '', shown(first)), make('bdi', '', shown(second)));
    if (!equal) pair.title = 'Differs: above the first answer, below the replay';
    strip.append(pair);
  }
  if (tokens.length)
    box.append(make('p', 'fv-quiet', 'Above the first answer, below the replay; what differs is underlined.'), strip);
  return box;
};

/** @param {any} value */
const answerSection = ({ state, answer, error, truth }) => {
  const box = section(state === 'done' ? 'Answer' : `Answer (${state})`, make('div', 'fv-text', answer || '(empty)'));
  if (error) box.append(make('div', 'fv-error', error));
  if (truth) box.append(truthLine('Truth of the drawing: ', truth));
  return box;
};

/** @param {string} run */
const addressLine = (run) => {
  const line = make('div', 'fv-address'),
    link = make('a', '', turnAddress(run));
  link.href = turnAddress(run);
  line.append(
    button('fv-mini', 'Copy link', 'Copy the address of this turn', (e) => copy(link.href, e.currentTarget)),
    link,
  );
  return line;
};

export class Detail extends Part {
  /** All that is logged is shown. */
  #open = false;

  /** @param {any} value */
  show(value) {
    this.replaceChildren();
    if (!value) return;
    const { replay, images, notes, question, run, maps, facts } = value;
    if (replay) this.append(replayed(replay));
    if (images.length) this.append(pictures(images));
    for (const note of notes) this.append(make('p', 'fv-note', note));
    this.append(section('Question', make('div', 'fv-text', question)), answerSection(value), addressLine(run));
    if (maps?.length) this.append(this.#maps(maps));
    this.append(this.#facts(facts));
  }

  /** @param {{kind: string, name: string, title: string, note: string, where: string}[]} maps */
  #maps(maps) {
    const box = make('div', 'fv-maps');
    for (const { kind, name, title, note, where } of maps)
      box.append(
        button('fv-mini', title, `${note ? note + '. ' : ''}Opens in ${where}`, () => this.trigger('map', { kind, name })),
      );
    return section(maps.length === 1 ? '1 map' : `${maps.length} maps`, box);
  }

  /** @param {[string, string][]} facts */
  #facts(facts) {
    const list = make('dl', 'fv-facts'),
      more = make('details', 'fv-more');
    for (const [name, text] of facts) list.append(make('dt', '', name), make('dd', '', text));
    more.open = this.#open;
    more.addEventListener('toggle', () => {
      this.#open = more.open;
    });
    more.append(make('summary', '', 'All that is logged'), list);
    return more;
  }
}
