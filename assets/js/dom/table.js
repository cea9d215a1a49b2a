// Tables, and bars in them.

import { make } from './make.js';

/**
 * @param {string} label
 * @param {[text: string, title?: string][]} heads
 */
export const table = (label, heads) => {
  const node = make('table', 'fv-ptable'),
    head = make('thead'),
    row = make('tr'),
    body = make('tbody');
  node.setAttribute('aria-label', label);
  for (const [text, title] of heads) {
    const cell = make('th', '', text);
    cell.scope = 'col';
    if (title) cell.title = title;
    row.append(cell);
  }
  head.append(row);
  node.append(head, body);
  return { node, body };
};

/** @param {Node[]} nodes */
export const cellOf = (...nodes) => {
  const node = make('td');
  node.append(...nodes);
  return node;
};

/**
 * @param {number} share what of the bar is filled, 0 to 1
 * @param {string} [kind] 'gain' or 'loss'
 */
export const shareBar = (share, kind) => {
  const node = make('span', 'fv-pbar' + (kind ? ' ' + kind : ''));
  node.style.width = (100 * Math.max(0, Math.min(1, share))).toFixed(1) + '%';
  return node;
};
