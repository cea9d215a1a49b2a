// What is on the bench: pictures, question, answer. Stays in view on every tab. Event: act {run, action}.

import { button, make, press } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { truthLine } from '../dom/pictures.js';

export class Specimen extends Part {
  #at = 0;
  /** @type {string | null} */
  #run = null;

  /** @param {any} value */
  show(value) {
    this.replaceChildren();
    if (!value) {
      this.append(make('p', 'fv-empty', 'Nothing on the bench yet. Ask something, or choose a scene.'));
      this.#run = null;
      return;
    }
    const { run, images, question, answer, status, truth, actions, note } = value;
    if (run !== this.#run) this.#at = images.length - 1;
    this.#run = run;
    this.#at = Math.max(0, Math.min(this.#at, images.length - 1));
    if (images.length) this.append(...this.#gallery(images));
    const words = make('div', 'fv-words'),
      bar = make('div', 'fv-actions');
    words.append(
      make('div', 'fv-question', question),
      make('div', status === 'done' ? 'fv-answer' : 'fv-answer fv-quiet', answer),
    );
    if (truth) words.append(truthLine('Truth: ', truth));
    for (const [action, text, title] of actions)
      bar.append(button('fv-mini', text, title, () => this.trigger('act', { run, action })));
    this.append(words, bar);
    if (note) this.append(make('p', 'fv-note', note));
  }

  /** @param {import('../dom/pictures.js').Picture[]} images */
  #gallery(images) {
    const image = images[this.#at],
      figure = make('figure', 'fv-figure'),
      img = make('img'),
      words = [image.name, image.size].filter(Boolean).join(', ');
    img.src = image.url;
    img.alt = image.name || 'the picture asked about';
    figure.append(
      img,
      make('figcaption', 'fv-quiet', images.length > 1 ? `${this.#at + 1} of ${images.length}: ${words}` : words),
    );
    return images.length > 1 ? [figure, this.#strip(images)] : [figure];
  }

  /** @param {import('../dom/pictures.js').Picture[]} images */
  #strip(images) {
    const strip = make('div', 'fv-strip');
    strip.setAttribute('role', 'group');
    strip.setAttribute('aria-label', 'Pictures of this conversation');
    images.forEach((other, i) => {
      const pick = button('fv-thumb', '', other.frame ? other.name : `Picture ${i + 1}`, () => {
          this.#at = i;
          this.show(this.value);
          /** @type {HTMLElement} */ (this.querySelectorAll('.fv-thumb')[i]).focus();
        }),
        small = make('img');
      small.src = other.url;
      small.alt = '';
      press(pick, i === this.#at);
      pick.append(small);
      strip.append(pick);
    });
    return strip;
  }
}
