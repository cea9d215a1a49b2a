// One sentence, or nothing.

import { Part } from '../dom/part.js';

export class Message extends Part {
  /** @param {string | null} value */
  show(value) {
    this.one('.fv-error, .fv-note').textContent = value || '';
  }
}
