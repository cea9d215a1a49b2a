// What the picture can show of the patches, and what is asked for it. Titles and what each measures come with the answer.

/** @typedef {import('./answer.js').Answer} Answer */

/** @type {Record<string, string[]>} the controls of each map */
export const MAPS = {
  alike: ['stage', 'layer'],
  like_word: ['word'],
  coloured: ['stage', 'layer', 'partner'],
  seen: ['way', 'tower', 'head'],
  used: [],
  between: ['partner', 'patch', 'depth'],
};

/**
 * A question about the chosen patches names them only where the reply would be for them alone.
 * @param {Answer} answer
 * @param {object} question
 * @param {number} many values of a reply for all patches, by patch
 * @param {object} [part]
 */
const needs = ({ data, s }, question, many, part = { tokens: s.tokens }) =>
  data.cell.length * many <= data.whole ? question : { ...question, ...part };

/** @type {Record<string, (answer: Answer) => object>} */
const QUESTIONS = {
  alike: (a) => needs(a, { kind: 'alike', run: a.run, stage: a.s.stage, layer: a.layer }, a.data.cell.length),
  seen: (a) =>
    needs(a, { kind: 'seen', run: a.run, layer: a.s.tower, head: a.s.head }, a.data.cell.length, {
      tokens: a.s.tokens,
      way: a.s.way,
    }),
  received: (a) => needs(a, { kind: 'used', run: a.run, layer: a.s.wordLayer, head: a.s.wordHead }, a.data.words.length),
  used: (a) =>
    needs(a, { kind: 'used', run: a.run, layer: a.s.wordLayer, head: a.s.wordHead }, a.data.words.length, { word: a.s.word }),
  coloured: (a) => ({ kind: 'coloured', run: a.run, stage: a.s.stage, layer: a.layer, partner: a.s.partner }),
  like_word: (a) => ({ kind: 'like_word', run: a.run, word: a.s.typed }),
  between: (a) => ({ kind: 'between', run: a.run, partner: a.s.partner, tokens: a.s.tokens }),
  hidden: (a) => ({ kind: 'hidden', run: a.run, tokens: a.s.tokens, how: a.s.how }),
  says: (a) => ({ kind: 'says', run: a.run, tokens: a.s.tokens }),
  again: (a) => ({ kind: 'again', run: a.run, tokens: a.s.tokens, how: a.s.how }),
  partners: (a) => ({ kind: 'partners', run: a.run }),
  measure: (a) => ({ kind: 'measure', run: a.run }),
};

/**
 * The question for a map or a fact, as things are chosen now.
 * @param {string} kind
 * @param {Answer} answer
 */
export const questionOf = (kind, answer) => QUESTIONS[kind](answer);

/** @type {Record<string, (answer: Answer) => object>} */
const OF = {
  alike: ({ s, layer }) => ({ tokens: s.tokens, stage: s.stage, layer }),
  like_word: ({ s }) => ({ typed: s.typed }),
  coloured: ({ s, layer }) => ({ stage: s.stage, layer, partner: s.partner }),
  seen: ({ s }) => ({ tokens: s.tokens, way: s.way, layer: s.tower, head: s.head, aside: s.aside }),
  used: ({ s }) => ({ word: s.word, layer: s.wordLayer, head: s.wordHead, aside: s.aside }),
  between: ({ s, depth }) => ({ tokens: s.last?.tokens, partner: s.last?.partner, depth }),
  says: ({ s }) => ({ tokens: s.tokens }),
};

/**
 * What a map is of: enough to make it again.
 * @param {string} kind
 * @param {Answer} answer
 */
export const whatOf = (kind, answer) => ({ map: kind, ...OF[kind](answer) });
