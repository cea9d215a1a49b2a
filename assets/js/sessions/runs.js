// The list of logged turns under their sessions. Event: open {run}. Arrow keys move, Enter opens.

import { hit, roving, walk } from '../dom/keys.js';
import { button, make } from '../dom/make.js';
import { Part } from '../dom/part.js';

export class Runs extends Part {
  begin() {
    this.addEventListener('focusin', (e) => {
      const node = hit(e, '.fv-run');
      if (node) roving(this.#all(), this.#all().indexOf(node));
    });
    this.addEventListener('keydown', (e) => {
      const node = hit(e, '.fv-run'),
        all = this.#all();
      if (!node) return;
      const at = all.indexOf(node);
      walk(all, { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[e.key], e);
    });
  }

  #all() {
    return /** @type {HTMLElement[]} */ ([...this.querySelectorAll('.fv-run')]);
  }

  /** @param {any} value */
  show(value) {
    if (!value) return;
    const { rows, chosen, empty, caption } = value,
      stay = this.querySelector('.fv-list')?.scrollTop ?? 0,
      active = document.activeElement,
      focused = active instanceof HTMLElement && this.contains(active) ? active.dataset.run : null;
    if (!rows.length) {
      this.replaceChildren(make('p', 'fv-empty', empty));
      return;
    }
    const list = make('div', 'fv-list');
    list.setAttribute('role', 'group');
    list.setAttribute('aria-label', 'Turns. Up and down move, Enter opens.');
    for (const item of rows) {
      if (item.heading) list.append(make('h3', 'fv-run-s', item.heading));
      list.append(this.#line(item, item.run === chosen));
    }
    this.replaceChildren(make('p', 'fv-quiet', caption), list);
    list.scrollTop = stay;
    const all = this.#all();
    roving(
      all,
      Math.max(
        0,
        all.findIndex((node) => node.dataset.run === (focused || chosen)),
      ),
    );
    if (focused) all.find((node) => node.dataset.run === focused)?.focus({ preventScroll: true });
  }

  /**
   * @param {any} item
   * @param {boolean} chosen
   */
  #line(item, chosen) {
    const node = button('fv-run' + (chosen ? ' on' : ''), '', '', () => {
        this.#mark(item.run);
        this.trigger('open', { run: item.run });
      }),
      head = make('span', 'fv-run-q', item.question),
      facts = make('span', 'fv-run-f');
    node.dataset.run = item.run;
    node.setAttribute('aria-current', String(chosen));
    node.append(head);
    if (item.state) head.append(make('span', 'fv-state', item.state));
    if (item.answer) node.append(make('span', 'fv-run-a', item.answer));
    if (item.trouble) node.append(make('span', 'fv-run-a fv-error', item.trouble));
    for (const fact of item.facts) facts.append(make('bdi', '', fact));
    node.append(facts);
    return node;
  }

  /** @param {string} run */
  #mark(run) {
    for (const node of this.#all()) {
      node.classList.toggle('on', node.dataset.run === run);
      node.setAttribute('aria-current', String(node.dataset.run === run));
    }
  }
}
