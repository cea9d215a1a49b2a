// A kept map as what is chosen, and as a file.

import { saveMaps } from '../drawing/figure.js';
import { whatOf } from './questions.js';

/** @typedef {import('./answer.js').Answer} Answer */
/** @typedef {import('./answer.js').Chosen} Chosen */

/**
 * What is chosen where a kept map is shown again, as far as this answer has it.
 * @param {any} what
 * @param {any} data
 * @param {Chosen} s what is chosen now
 * @returns {Partial<Chosen>}
 */
export const restored = (what, data, s) => {
  /** @type {Partial<Chosen>} */
  const found = {},
    count = (/** @type {string} */ stage) => data.stages[stage]?.layers ?? 0;
  if (what.map !== 'says') found.map = what.map;
  if (what.stage && count(what.stage)) {
    found.stage = what.stage;
    if (what.map !== 'seen') found.layer = { ...s.layer, [what.stage]: Math.min(what.layer, count(what.stage) - 1) };
  }
  if (what.map === 'seen')
    Object.assign(found, {
      tower: Math.min(what.layer, count('tower') - 1),
      head: what.head,
      way: what.way,
      aside: what.aside,
    });
  if (what.map === 'used' && what.word < data.words.length)
    Object.assign(found, { word: what.word, wordLayer: what.layer, wordHead: what.head, aside: what.aside });
  if (what.typed !== undefined) found.typed = what.typed;
  if (what.partner !== undefined) found.partner = what.partner;
  return found;
};

/**
 * The map that is shown as a file.
 * @param {Answer} answer
 * @param {string} kind
 * @returns {Promise<string>} what went wrong; empty where nothing did
 */
export const exported = async (answer, kind) => {
  const { s, data, maps, requests, run } = answer;
  if (!maps.drawn.length) return 'There is no map to save yet.';
  const part = { npz: 'numbers', md: 'page' }[kind] || 'name',
    chosen = { tokens: s.tokens, features: s.stage, features_layer: answer.layer },
    question = { kind: 'export', run, part, ...chosen, ...whatOf(s.map, answer) },
    reply = await requests.ask(question, { text: 'Preparing the file' });
  if (reply.error) return reply.error;
  const note = (/** @type {object} */ heat) => (heat === maps.heat ? maps.caption() : ''),
    drawn = () =>
      maps.drawn.map(
        (heat) => /** @type {[typeof heat, any]} */ ([heat, { note: note(heat), .../** @type {object} */ (heat.now) }]),
      );
  const about = { ...data.about, words: data.words.map((/** @type {any} */ w) => w.t), maps: drawn };
  return saveMaps(kind, { name: reply.name, numbers: reply.numbers, page: reply.page }, about);
};
