// Questions to start with, as chips. Event: ask {text}.

import { button } from '../dom/make.js';
import { Part } from '../dom/part.js';

export class Questions extends Part {
  /** @param {{items: string[]} | null} value */
  show(value) {
    const items = value?.items ?? [];
    this.replaceChildren(...items.map((text) => button('fv-chipq', text, 'Ask this', () => this.trigger('ask', { text }))));
  }
}
