// Questions to the server: what takes longer says how far it is and can be stopped; a new question of a group ends the one before.

import { progressLine } from './progress.js';

/**
 * @typedef {object} How
 * @property {string} [text] what is being done, for the line that says how far it is
 * @property {string} [group]
 * @property {boolean} [quiet] no line is shown
 * @property {Element} [place] where the line is shown, if not where all are
 */
/** @typedef {{error?: string, stopped?: boolean} & Record<string, any>} Reply `stopped`: by a person, or by the next of its group */
/** @typedef {{id: string, key: string, stopped: boolean}} Job */

const STOPPED = { error: 'Stopped.', stopped: true },
  NO_ANSWER = { error: 'The server did not answer. Try again.' };

const newKey = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, '0')).join('');

export class Requests {
  /** @type {Map<string, Reply>} */
  #known = new Map();
  /** @type {Map<string, Promise<Reply>>} */
  #waiting = new Map();
  /** @type {Map<string, Job>} */
  #groups = new Map();

  /**
   * @param {import('./part.js').Server} server asked by its functions ask, progress and halt
   * @param {Element} place where it is said how far a question is
   * @param {{kept?: number, after_ms?: number, className?: string}} [how] `kept` replies are held and not asked for again
   */
  constructor(server, place, { kept = 48, after_ms = 500, className = 'fv-asking' } = {}) {
    this.server = server;
    this.place = place;
    this.kept = kept;
    this.after_ms = after_ms;
    this.className = className;
  }

  /**
   * The reply to a question, if it is held.
   * @param {object} question
   */
  known(question) {
    return this.#known.get(JSON.stringify(question));
  }

  /**
   * @param {object} question
   * @param {How} [how]
   * @returns {Promise<Reply>}
   */
  ask(question, how = {}) {
    const id = JSON.stringify(question),
      known = this.#known.get(id);
    return known ? Promise.resolve(known) : this.#waiting.get(id) || this.#begin(id, question, how);
  }

  /**
   * End what is asked for in a group.
   * @param {string} group
   */
  end(group) {
    const job = this.#groups.get(group);
    this.#groups.delete(group);
    if (!job || !this.#waiting.delete(job.id)) return;
    this.#halt(job);
  }

  endAll() {
    for (const group of [...this.#groups.keys()]) this.end(group);
  }

  /**
   * @param {string} id
   * @param {object} question
   * @param {How} how
   */
  #begin(id, question, how) {
    const job = { id, key: newKey(), stopped: false };
    if (how.group) {
      this.end(how.group);
      this.#groups.set(how.group, job);
    }
    const reply = this.#put(job, question, how).then((found) => {
      if (this.#waiting.get(id) === reply) this.#waiting.delete(id);
      if (!found.error) this.#keep(id, found);
      return found;
    });
    this.#waiting.set(id, reply);
    return reply;
  }

  /**
   * @param {Job} job
   * @param {object} question
   * @param {How} how
   * @returns {Promise<Reply>}
   */
  async #put(job, question, { text = 'Reading', quiet = false, place = this.place }) {
    /** @type {Element | null} */
    let row = null;
    const line = () => {
        row = progressLine(this.server, job.key, text, () => this.#halt(job), this.className);
        place.append(row);
      },
      later = quiet ? 0 : setTimeout(line, this.after_ms);
    try {
      const found = await this.server.ask({ ...question, key: job.key });
      return job.stopped ? STOPPED : found;
    } catch {
      return job.stopped ? STOPPED : NO_ANSWER;
    } finally {
      clearTimeout(later);
      /** @type {Element | null} */ (row)?.remove();
    }
  }

  /** @param {Job} job */
  #halt(job) {
    job.stopped = true;
    Promise.resolve(this.server.halt(job.key)).catch(() => {}); // it ends by itself
  }

  /**
   * @param {string} id
   * @param {Reply} found
   */
  #keep(id, found) {
    if (!this.kept) return;
    this.#known.set(id, found);
    const [oldest] = this.#known.keys();
    if (this.#known.size > this.kept) this.#known.delete(oldest);
  }
}
