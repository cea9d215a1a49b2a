// Raw attention of every word, for hovering and sliding: asked for a run of words at a time, and held.

import { floats } from '../dom/format.js';

/** @typedef {import('./answer.js').AttentionMap} AttentionMap */

export class RawMaps {
  /** @type {Map<string, Map<number, AttentionMap>>} by layer and head, then word */
  #rows = new Map();
  /** @type {Map<string, Promise<void>>} */
  #fetching = new Map();

  /** @param {import('./answer.js').Answer} answer */
  constructor(answer) {
    this.answer = answer;
  }

  /** What raw maps are made with now. */
  key() {
    return JSON.stringify(this.answer.choice());
  }

  /** All that are held of what is chosen now. */
  held() {
    return [...(this.#rows.get(this.key())?.values() ?? [])];
  }

  /** @param {number} word */
  of(word) {
    return this.#rows.get(this.key())?.get(word);
  }

  /**
   * Fetch the map of a word, and of those around it.
   * @param {number} word
   */
  fetch(word) {
    const key = this.key(),
      ticket = `${key} ${word}`,
      job = this.#fetching.get(ticket) || this.#fetch(word, key).finally(() => this.#fetching.delete(ticket));
    this.#fetching.set(ticket, job);
    return job;
  }

  /**
   * @param {number} word
   * @param {string} key
   */
  async #fetch(word, key) {
    const got = await this.answer.ask('maps', { method: 'attention', words: [word] }, { text: 'Reading the answer' });
    if (got.error) {
      this.answer.trouble(got.error);
      return;
    }
    const held = this.#rows.get(key) || new Map(),
      all = floats(got.scores),
      { first, count, cells, note, mass } = got;
    this.#rows.set(key, held);
    for (let i = 0; i < count; i++)
      held.set(first + i, {
        scores: all.subarray(i * cells, (i + 1) * cells),
        words: [first + i],
        unit: 'attention',
        signed: false,
        note,
        mass: mass[i],
        method: 'attention',
        choice: key,
      });
  }

  /**
   * The mean over words, as the method itself takes it; null where it cannot be had, or is wanted no more.
   * @param {number[]} words
   * @param {() => boolean} stale
   */
  async all(words, stale) {
    for (const word of words) {
      if (!this.of(word)) await this.fetch(word);
      if (stale() || !this.of(word)) return null;
    }
    const each = words.flatMap((word) => this.of(word) ?? []);
    if (each.length === 1) return each[0];
    const scores = new Float32Array(each[0].scores.length);
    for (const one of each)
      one.scores.forEach((v, i) => {
        scores[i] += v / each.length;
      });
    return { ...each[0], scores, words, mass: each.reduce((sum, one) => sum + (one.mass ?? 0), 0) / each.length };
  }
}
