// The vote on a comparison: which was better, a tie, or all bad; reasons as tags. Names stay hidden in blind mode until it is cast.

import { button, make, press } from '../dom/make.js';
import { part } from './parts.js';

const SEALED =
    'The sides are shuffled: these letters are not those of the columns above. The names show when you have voted; choose reasons first, if you like.',
  OPEN = 'Choose reasons first, if you like; the last vote counts.';

/** @param {any} value */
const choicesOf = ({ columns }) => [
  ...columns.map((/** @type {any} */ { letter }) => [letter, `${letter} is better`]),
  ['tie', 'Tie'],
  ['bad', columns.length === 2 ? 'Both are bad' : 'All are bad'],
];

/**
 * @param {string} tag
 * @param {Set<string>} chosen
 * @param {boolean} can
 */
const reason = (tag, chosen, can) => {
  const node = button('fv-mini', tag, 'A reason, counted with the vote', () => {
    if (!chosen.delete(tag)) chosen.add(tag);
    press(node, chosen.has(tag));
  });
  node.disabled = !can;
  press(node, chosen.has(tag));
  return node;
};

/**
 * @param {any} value the comparison
 * @param {(given: object) => void} vote
 * @param {() => void} reveal
 */
export const votePart = (value, vote, reveal) => {
  const { can, outcome, tags, why, reasons } = value.vote,
    /** @type {Set<string>} */
    chosen = new Set(reasons),
    begun = performance.now(),
    all = choicesOf(value),
    bar = make('div', 'fv-actions fv-versus-vote'),
    more = make('div', 'fv-actions');
  if (why) return part('Vote', make('p', 'fv-quiet', why));
  for (const [name, text] of all) {
    const node = button('fv-mini fv-choice', text, '', () => {
      for (const other of bar.querySelectorAll('button')) other.disabled = true;
      vote({ outcome: name, reasons: [...chosen], waited_ms: Math.round(performance.now() - begun) });
    });
    node.disabled = !can;
    node.dataset.outcome = name;
    press(node, outcome === name);
    bar.append(node);
  }
  more.append(...tags.map((/** @type {string} */ tag) => reason(tag, chosen, can)));
  const counted = all.find(([name]) => name === outcome)?.[1] ?? outcome,
    line = outcome ? `Counted: ${counted}${value.blind ? ', blind' : ''}.` : value.sealed ? SEALED : OPEN,
    box = part('Vote', bar, more, make('p', 'fv-quiet', line));
  if (value.sealed)
    box.append(button('fv-mini', 'Reveal without a vote', 'Show the names; a vote after that is not a blind one', reveal));
  return box;
};
