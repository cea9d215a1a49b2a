// Which questions are asked: drawn scenes, typed ones, a file.

import { field, pick } from '../dom/fields.js';
import { make } from '../dom/make.js';

const MOST_BYTES = 4e6,
  DEFAULT_COUNT = 24;
const FORM = 'question, answer, kind, image: a drawn scene by its number, or none for the picture on the bench';

export class QuestionSet {
  source = 'scenes';
  #count = DEFAULT_COUNT;
  #name = '';
  #text = '';
  #typed = make('textarea', 'fv-versus-question');

  constructor() {
    Object.assign(this.#typed, {
      rows: 5,
      id: 'compare-questions',
      maxLength: 200000,
      placeholder: 'One question on a line; its true answer after a stroke, where it is known: What color is the heart? | pink',
    });
    this.#typed.setAttribute('aria-label', 'Questions, one on a line');
  }

  /** What is asked, as `questions` of panels takes it. */
  get asked() {
    const text = { typed: this.#typed.value, file: this.#text }[this.source] ?? '';
    return { source: this.source, count: this.#count, text, name: this.#name };
  }

  /**
   * @param {number} most questions
   * @param {() => void} changed
   */
  nodes(most, changed) {
    const bar = make('div', 'fv-actions'),
      source = pick(
        'Questions',
        [
          ['scenes', 'Drawn scenes, whose truth is known'],
          ['typed', 'Typed questions about this picture'],
          ['file', 'A file of questions (JSONL or CSV)'],
        ],
        this.source,
        (v) => {
          this.source = v;
          changed();
        },
      );
    bar.append(source.node);
    if (this.source === 'scenes') bar.append(this.#howMany(most));
    if (this.source === 'file') bar.append(...this.#file());
    return this.source === 'typed' ? [bar, this.#typed] : [bar];
  }

  /** @param {number} most */
  #howMany(most) {
    const input = make('input');
    Object.assign(input, { type: 'number', min: 2, max: most, step: 1, value: this.#count });
    input.addEventListener('change', () => {
      this.#count = Math.round(Number(input.value)) || DEFAULT_COUNT;
    });
    return field('How many', input, 'Held-out questions of all kinds, the same ones each time');
  }

  #file() {
    const input = make('input'),
      note = make('span', 'fv-quiet', this.#name || FORM);
    Object.assign(input, { type: 'file', accept: '.jsonl,.json,.csv,.tsv,.txt', id: 'compare-file' });
    input.setAttribute('aria-label', 'A file of questions');
    input.addEventListener('change', async () => {
      const file = input.files?.[0];
      if (file) note.textContent = await this.#read(file);
    });
    return [input, note];
  }

  /**
   * @param {File} file
   * @returns {Promise<string>} what was read, or why it was not
   */
  async #read(file) {
    if (file.size > MOST_BYTES)
      return `${file.name} has ${(file.size / 1e6).toFixed(1)} MB; at most 4 MB of questions are read. Split it.`;
    this.#text = await file.text();
    this.#name = file.name;
    return `${file.name}, ${this.#text.split('\n').filter((line) => line.trim()).length} lines`;
  }
}
