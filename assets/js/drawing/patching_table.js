// Activation patching between two pictures: how much of the answer each depth brings back. A table with bars.

import { digits, floats } from '../dom/format.js';
import { make } from '../dom/make.js';
import { cellOf, shareBar, table } from '../dom/table.js';

const SMALL_NATS = 0.1;
const CAUTION =
  'The two pictures give this answer nearly the same probability: shares of so small a difference mean little. Choose a picture that changes the answer.';

/**
 * Shares brought back, for each depth: the chosen patches, all others, all.
 * @param {{depths: number[], named: string}} reply
 * @param {boolean} many
 */
const broughtTable = (reply, many) => {
  const { node, body } = table('Share of the answer brought back, by depth', [
      ['Depth'],
      [many ? 'These patches' : 'This patch'],
      ['All others'],
      ['All patches'],
    ]),
    named = floats(reply.named);
  reply.depths.forEach((depth, i) => {
    const row = make('tr');
    row.append(make('td', 'fv-pnum', depth === 0 ? '0, enters' : depth));
    for (let g = 0; g < 3; g++) {
      const v = named[3 * i + g];
      row.append(cellOf(make('span', 'fv-pnum', digits(v)), shareBar(Math.abs(v), v < 0 ? 'gain' : '')));
    }
    body.append(row);
  });
  return node;
};

/**
 * What patching came to, as nodes: the other picture, a caution where there is little to bring back, the table.
 * @param {any} reply
 * @param {boolean} many patches were chosen
 */
export const broughtView = (reply, many) => {
  const figure = make('div', 'fv-pother'),
    img = make('img'),
    small = Math.abs(reply.clean - reply.corrupted) < SMALL_NATS;
  img.src = reply.picture.url;
  img.alt = reply.picture.name;
  figure.append(
    img,
    make(
      'p',
      'fv-quiet',
      `With this picture the answer has a log-probability of ${digits(reply.clean)} nats, with the other ${digits(reply.corrupted)}. ` +
        `Blocks of ${reply.side} x ${reply.side} tokens are patched one at a time.${reply.picture.place ? ` It stands for ${reply.picture.place}; the others stay.` : ''}`,
    ),
  );
  return [figure, ...(small ? [make('p', 'fv-note', CAUTION)] : []), broughtTable(reply, many)];
};
