// Keys of the whole page: Esc stops a running answer, ? lists the keys.

import { button, make } from '../dom/make.js';

const KEYS = [
  ['Enter', 'send the question'],
  ['Shift + Enter', 'break the line'],
  ['Esc', 'stop the running answer, close what is open'],
  ['\u2190 \u2192', 'move through the tokens of an answer'],
  ['\u2193 \u2191', 'move through a list, into alternatives and back'],
  ['\u2190 \u2191 \u2192 \u2193', 'move the patch in Patches; with Shift, widen it to a region'],
  ['Tab', 'go to the next control'],
  ['?', 'this list'],
];

export const keyList = () => {
  const box = make('dialog', 'fv-help'),
    list = make('dl');
  box.setAttribute('aria-label', 'Keys');
  for (const [key, text] of KEYS) {
    const name = make('dt');
    name.append(make('kbd', '', key));
    list.append(name, make('dd', '', text));
  }
  box.append(
    make('h2', '', 'Keys'),
    list,
    button('fv-mini', 'Close', 'Close this list', () => box.close()),
  );
  return box;
};

/** @param {EventTarget | null} node */
const typing = (node) =>
  node instanceof HTMLElement &&
  (node.isContentEditable ||
    /^(TEXTAREA|SELECT)$/.test(node.tagName) ||
    (node instanceof HTMLInputElement && !/^(checkbox|radio|range|button)$/.test(node.type)));

/**
 * @param {KeyboardEvent} event
 * @param {() => void} list shows the list, or closes it
 */
export const pageKey = (event, list) => {
  if (event.key === '?' && !typing(event.target)) {
    list();
    event.preventDefault();
  }
  if (event.key !== 'Escape' || document.querySelector('dialog[open]')) return;
  const stop = /** @type {HTMLElement | null} */ (document.querySelector('#stop'));
  if (stop?.offsetParent) stop.click();
};
