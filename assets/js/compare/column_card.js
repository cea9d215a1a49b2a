// One column to be asked: which checkpoint, with which settings.

import { field, pick } from '../dom/fields.js';
import { button, make } from '../dom/make.js';
import { letterOf } from './parts.js';

/**
 * @typedef {object} Setting of a column
 * @property {string} spec
 * @property {string} decoder numbers of decoders stand beside it, by their names; one that is not there has its default
 * @property {number} length
 * @property {number} seed
 * @property {string} system
 * @property {number} side_px
 * @property {string} quantization
 */

/** @typedef {Setting & Record<string, any>} Column */
/** @typedef {import('../types').DecoderView} DecoderView */

const LETTERS = 'ABCD',
  ANOTHER = '\u0000';

/** @type {Omit<Setting, 'spec'>} */
export const PLAIN = { decoder: 'plain', length: 256, seed: 0, system: '', side_px: 0, quantization: 'none' };

/**
 * @param {Column} column
 * @param {DecoderView[]} decoders
 */
const decoderOf = ({ decoder }, decoders) => decoders.find(({ slug }) => slug === decoder) || decoders[0];

/**
 * What the numbers of its decoder are set to, where that is not as they begin.
 * @param {Column} column
 * @param {DecoderView[]} decoders
 */
const moved = (column, decoders) =>
  decoderOf(column, decoders).numbers.filter(({ name, default: plain }) => (column[name] ?? plain) !== plain);

/**
 * @param {Column} column
 * @param {DecoderView[]} decoders
 */
export const changed = (column, decoders) =>
  moved(column, decoders).length > 0 || Object.entries(PLAIN).some(([name, plain]) => column[name] !== plain);

/**
 * @param {Column} column
 * @param {DecoderView[]} decoders
 */
const said = (column, decoders) => {
  const { seed, length, side_px, quantization, system } = column,
    { slug, title, numbers } = decoderOf(column, decoders),
    greedy = numbers.some(({ name }) => name === 'temperature') && !column.temperature,
    words = slug === PLAIN.decoder ? [] : [title];
  if (greedy) words.push('greedy');
  else {
    words.push(...moved(column, decoders).map(({ name, label }) => `${label.toLowerCase()} ${column[name]}`));
    if (seed) words.push(`seed ${seed}`);
  }
  if (length !== PLAIN.length) words.push(`at most ${length} tokens`);
  if (side_px) words.push(`pictures at ${side_px} px`);
  if (quantization !== 'none') words.push(quantization);
  if (system.trim()) words.push('a system prompt');
  return words.join(', ');
};

/**
 * @param {string} name
 * @param {[low: number, high: number, step: number]} span
 * @param {string} label
 * @param {Column} column
 * @param {string} title
 * @param {number} plain what it begins with
 */
const number = (name, [low, high, step], label, column, title, plain) => {
  const input = make('input');
  Object.assign(input, { type: 'number', min: low, max: high, step, value: column[name] ?? plain });
  input.addEventListener('change', () => {
    const v = Number(input.value);
    column[name] = input.value.trim() && Number.isFinite(v) ? Math.min(high, Math.max(low, v)) : plain;
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
    this.#line.textContent = said(this.column, this.setup.held.decoders);
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
      ...this.#decoder(),
      number('seed', [0, 2147483647, 1], 'Seed', column, '', PLAIN.seed),
      number(
        'length',
        [1, longest, 1],
        open ? `Length, up to ${longest}` : 'Length',
        column,
        `Most tokens of the answer${open ? '; this public page allows no more' : ''}`,
        PLAIN.length,
      ),
      number(
        'side_px',
        [0, 4096, 14],
        'Longest side, px',
        column,
        'Pictures are scaled down to it first, where that makes a difference to the checkpoint; 0 leaves them',
        PLAIN.side_px,
      ),
      this.#weights(),
      this.#system(),
    );
    grid.addEventListener('change', () => this.#say());
    return grid;
  }

  /** Which decoder, where there is a choice, and its numbers. */
  #decoder() {
    const { column, setup } = this,
      decoders = /** @type {DecoderView[]} */ (setup.held.decoders),
      names = decoders.map(({ slug, title }) => /** @type {[string, string]} */ ([slug, title])),
      own = decoderOf(column, decoders).numbers.map(({ name, label, low, high, step, why, default: plain }) =>
        number(name, [low, high, step], label, column, why, plain),
      );
    if (decoders.length < 2) return own;
    const choose = (/** @type {string} */ slug) => {
      column.decoder = slug;
      setup.build();
    };
    return [pick('Decoder', names, column.decoder, choose).node, ...own];
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
