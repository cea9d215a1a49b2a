// One column to be asked: which checkpoint, with which settings.

import { field, pick } from '../dom/fields.js';
import { button, make } from '../dom/make.js';
import { letterOf } from './parts.js';

/**
 * @typedef {object} Setting of a column
 * @property {string} spec
 * @property {number} temperature
 * @property {number} top_p
 * @property {number} length
 * @property {number} seed
 * @property {string} system
 * @property {number} side_px
 * @property {string} quantization
 */

const LETTERS = 'ABCD',
  ANOTHER = '\u0000';

/** @type {Omit<Setting, 'spec'>} */
export const PLAIN = { temperature: 0, top_p: 1, length: 256, seed: 0, system: '', side_px: 0, quantization: 'none' };

/** @param {Setting} column */
export const changed = (column) =>
  Object.entries(PLAIN).some(([name, plain]) => column[/** @type {keyof Setting} */ (name)] !== plain);

/** @param {Setting} column */
const said = ({ temperature, top_p, seed, length, side_px, quantization, system }) => {
  const words = [temperature > 0 ? `temperature ${temperature}` : 'greedy'];
  if (temperature > 0 && top_p < 1) words.push(`top-p ${top_p}`);
  if (temperature > 0 && seed) words.push(`seed ${seed}`);
  if (length !== PLAIN.length) words.push(`at most ${length} tokens`);
  if (side_px) words.push(`pictures at ${side_px} px`);
  if (quantization !== 'none') words.push(quantization);
  if (system.trim()) words.push('a system prompt');
  return words.join(', ');
};

/**
 * @param {'temperature' | 'top_p' | 'length' | 'seed' | 'side_px'} name
 * @param {[low: number, high: number, step: number]} span
 * @param {string} label
 * @param {Setting} column
 * @param {string} [title]
 */
const number = (name, [low, high, step], label, column, title) => {
  const input = make('input');
  Object.assign(input, { type: 'number', min: low, max: high, step, value: column[name] });
  input.addEventListener('change', () => {
    const v = Number(input.value);
    column[name] = input.value.trim() && Number.isFinite(v) ? Math.min(high, Math.max(low, v)) : PLAIN[name];
    input.value = String(column[name]);
  });
  return field(label, input, title);
};

export class ColumnCard {
  #line = make('summary');

  /**
   * @param {import('./setup.js').Setup} setup
   * @param {number} i
   */
  constructor(setup, i) {
    this.setup = setup;
    this.i = i;
    this.column = setup.columns[i];
    const head = make('div', 'fv-versus-head'),
      more = make('details', 'fv-more'),
      { open, columns } = setup;
    head.append(letterOf(LETTERS[i]), this.#chooser());
    if (columns.length > 2)
      head.append(
        button('fv-mini fv-x', '\u00d7', `Remove column ${LETTERS[i]}`, () => {
          columns.splice(i, 1);
          setup.build();
        }),
      );
    more.open = open.has(i);
    more.addEventListener('toggle', () => {
      if (more.open) open.add(i);
      else open.delete(i);
    });
    more.append(this.#line, this.#settings());
    this.#say();
    this.node = make('fieldset', 'fv-versus-card');
    this.node.append(make('legend', 'fv-heard', `Column ${LETTERS[i]}`), head, more);
  }

  #say() {
    this.#line.textContent = said(this.column);
  }

  #chooser() {
    const { choices, typed } = this.setup.held,
      { column, setup } = this,
      options = [...choices];
    if (!options.some(([spec]) => spec === column.spec)) options.push([column.spec, column.spec]);
    if (typed) options.push([ANOTHER, 'Another: a folder or a Hub id']);
    const { node, select } = pick('', options, column.spec, (spec) => {
      if (spec === ANOTHER) this.#type(node);
      else {
        column.spec = spec;
        setup.build();
      }
    });
    select.setAttribute('aria-label', `Checkpoint of column ${LETTERS[this.i]}`);
    return node;
  }

  /**
   * A checkpoint that is not on the list.
   * @param {HTMLElement} box
   */
  #type(box) {
    const input = make('input', 'fv-versus-spec'),
      done = () => {
        if (input.value.trim()) this.column.spec = input.value.trim();
        this.setup.build();
      };
    Object.assign(input, { type: 'text', placeholder: 'folder, or owner/name', maxLength: 300 });
    input.setAttribute('aria-label', `Checkpoint of column ${LETTERS[this.i]}`);
    input.addEventListener('keydown', (e) => {
      if (e.key === 'Enter') done();
      if (e.key !== 'Escape') return;
      e.stopPropagation();
      this.setup.build();
    });
    input.addEventListener('change', done);
    box.replaceChildren(input);
    input.focus();
  }

  #settings() {
    const { column } = this,
      { longest, public: open } = this.setup.held,
      grid = make('div', 'fv-versus-settings');
    grid.append(
      number('temperature', [0, 2, 0.05], 'Temperature', column, '0 is greedy'),
      number('top_p', [0.05, 1, 0.05], 'Top-p', column),
      number('seed', [0, 2147483647, 1], 'Seed', column),
      number(
        'length',
        [1, longest, 1],
        open ? `Length, up to ${longest}` : 'Length',
        column,
        `Most tokens of the answer${open ? '; this public page allows no more' : ''}`,
      ),
      number(
        'side_px',
        [0, 4096, 14],
        'Longest side, px',
        column,
        'Pictures are scaled down to it first, where that makes a difference to the checkpoint; 0 leaves them',
      ),
      this.#weights(),
      this.#system(),
    );
    grid.addEventListener('change', () => this.#say());
    return grid;
  }

  #weights() {
    const { column } = this;
    return pick(
      'Weights',
      [
        ['none', 'as stored'],
        ['int8', 'int8'],
        ['nf4', 'nf4'],
      ],
      column.quantization,
      (v) => {
        column.quantization = v;
      },
      'int8 and nf4 need a CUDA GPU with bitsandbytes; elsewhere the column says so.',
    ).node;
  }

  #system() {
    const { column } = this,
      system = make('textarea'),
      prompt = field('System', system, 'In place of the system prompt of the chat');
    Object.assign(system, { rows: 2, value: column.system, maxLength: 8000 });
    system.addEventListener('input', () => {
      column.system = system.value;
      this.#say();
    });
    prompt.classList.add('wide');
    return prompt;
  }
}
