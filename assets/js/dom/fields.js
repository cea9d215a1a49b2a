// Small form fields with their label beside them. `change` is called with the new value.

import { make, option } from './make.js';

/** @typedef {[value: string | number | null, text: string | number, why?: string]} Option `why` it cannot be chosen */

/**
 * @param {string} label
 * @param {Node} control
 * @param {string} [title]
 * @param {string} [className]
 */
export const field = (label, control, title = '', className = 'fv-pfield') => {
  const box = make('label', className);
  box.append(make('span', '', label), control);
  if (title) box.title = title;
  return box;
};

/**
 * The value null is chosen as the empty text.
 * @param {Option[]} options
 * @param {string | number | null} value
 * @param {(value: string) => void} change
 */
export const choice = (options, value, change) => {
  const select = make('select');
  for (const [key, text, why] of options) {
    const item = option(key ?? '', text);
    item.disabled = Boolean(why);
    if (why) item.title = why;
    select.append(item);
  }
  select.value = String(value ?? '');
  select.addEventListener('change', () => change(select.value));
  return select;
};

/**
 * @param {string} label
 * @param {Option[]} options
 * @param {string | number | null} value
 * @param {(value: string) => void} change
 * @param {string} [title]
 */
export const pick = (label, options, value, change, title) => {
  const select = choice(options, value, change);
  return { node: field(label, select, title), select };
};

/**
 * @param {number} low
 * @param {number} high
 * @param {number} step
 * @param {number} value
 * @param {(value: number) => void} change
 */
export const range = (low, high, step, value, change) => {
  const input = make('input');
  Object.assign(input, { type: 'range', min: low, max: high, step, value });
  input.addEventListener('input', () => change(+input.value));
  return input;
};

/**
 * A range with its label; `words(value)` stands behind it.
 * @param {string} label
 * @param {[low: number, high: number, step: number]} span
 * @param {number} value
 * @param {(value: number) => void} change
 * @param {(value: number) => string | number} [words]
 */
export const slide = (label, [low, high, step], value, change, words) => {
  const say = (/** @type {number} */ now) => {
      name.textContent = words ? `${label} ${words(now)}` : label;
    },
    input = range(low, high, step, value, (now) => {
      say(now);
      change(now);
    }),
    box = field('', input),
    name = /** @type {HTMLElement} */ (box.firstElementChild);
  input.setAttribute('aria-label', label);
  say(+input.value);
  return box;
};

/**
 * @param {string} label
 * @param {boolean} value
 * @param {(value: boolean) => void} change
 * @param {string} [title]
 * @param {string} [className]
 */
export const tick = (label, value, change, title = '', className = 'fv-ptick') => {
  const node = make('label', className),
    input = make('input');
  input.type = 'checkbox';
  input.checked = value;
  node.append(input, make('span', '', label));
  if (title) node.title = title;
  input.addEventListener('change', () => change(input.checked));
  return { node, input };
};

/**
 * [[null, "all layers"], [0, "layer 1"], ...]
 * @param {number} n
 * @param {string} name
 * @returns {Option[]}
 */
export const counted = (n, name) => [
  [null, `all ${name}s`],
  ...Array.from({ length: n }, (_, i) => /** @type {Option} */ ([i, `${name} ${i + 1}`])),
];

/** @param {string} text */
export const orNull = (text) => (text === '' ? null : +text);
