// Small things of the compare tab.

import { make } from '../dom/make.js';

/** @typedef {[name: string, value: string | number, why: string]} Fact `why` is shown on hover */

/**
 * A section with its heading.
 * @param {string} title
 * @param {Node[]} nodes
 */
export const part = (title, ...nodes) => {
  const box = make('section', 'fv-versus-part');
  box.append(make('h3', '', title), ...nodes);
  return box;
};

/** @param {string} letter */
export const letterOf = (letter) => make('b', 'fv-letter', letter);

/**
 * @param {Fact[]} rows
 * @param {string} [className]
 */
export const factList = (rows, className = '') => {
  const list = make('dl', `fv-versus-facts ${className}`.trim());
  for (const [name, value, why] of rows) {
    const dt = make('dt', '', name);
    dt.title = why;
    list.append(dt, make('dd', '', value));
  }
  return list;
};

/**
 * A table of figures; heads say which columns are numbers.
 * @param {[text: string, numeric?: boolean, title?: string][]} heads
 * @param {(string | number | Node)[][]} rows
 */
export const figureTable = (heads, rows) => {
  const table = make('table', `fv-versus-table${heads.filter(([, numeric]) => numeric).length > 1 ? ' figures' : ''}`),
    head = make('tr'),
    wrap = make('div', 'fv-versus-wide');
  for (const [text, numeric, title] of heads) {
    const th = make('th', numeric ? 'num' : '', text);
    th.scope = 'col';
    if (title) th.title = title;
    head.append(th);
  }
  table.append(head);
  for (const row of rows) {
    const tr = make('tr');
    row.forEach((cell, i) => {
      const td = make('td', heads[i]?.[1] ? 'num' : '');
      td.append(cell instanceof Node ? cell : String(cell));
      tr.append(td);
    });
    table.append(tr);
  }
  wrap.append(table);
  return wrap;
};
