// Loaded checkpoints as chips: choose, look at, unload. Events: choose {spec}, release {spec}, halt, look.

import { button, make } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { keyList, pageKey } from './keys.js';

const LOOK_MS = 400; // how often the page asks again while the program loads what it was started with

export class Header extends Part {
  /** The next look. */
  #timer = 0;
  /** When what is shown was told: answers may overtake one another. */
  #told = 0;
  /** Which chips stand there. */
  #chips = '';

  begin() {
    const list = keyList(),
      toggle = () => (list.open ? list.close() : list.showModal());
    this.elsewhere(list);
    this.one('.fv-keys').addEventListener('click', toggle);
    this.listen(document, 'keydown', (e) => pageKey(e, toggle));
  }

  /** @param {any} value */
  show(value) {
    const items = value?.items ?? [];
    if ((value?.told ?? 0) < this.#told) return;
    this.#told = value?.told ?? 0;
    clearTimeout(this.#timer);
    if (items.some((/** @type {any} */ item) => item.state === 'loading'))
      this.#timer = setTimeout(() => this.trigger('look'), LOOK_MS);
    this.#showChips(items, value?.shared);
    if (!value) return;
    const status = this.one('.fv-status'),
      wrong = [value.error, value.trouble, ...value.failed, ...value.left_out].filter(Boolean);
    status.classList.toggle('alert', wrong.length > 0);
    status.replaceChildren(
      ...wrong.map((text) => {
        const node = make('span', 'fv-error', text);
        node.setAttribute('role', 'alert');
        return node;
      }),
      ...(value.progress
        ? [this.#progress(value.progress, true)]
        : value.starting
          ? [this.#progress(value.starting, false)]
          : this.#facts(value)),
    );
  }

  /**
   * A chip that stays is changed where it stands: one that is replaced under a finger is never pressed.
   * @param {any[]} items
   * @param {boolean} shared
   */
  #showChips(items, shared) {
    const bar = this.one('.fv-chipbar'),
      nodes = items.map((item) => this.#chip(item, shared)),
      chips = JSON.stringify([shared, items.map(({ spec, name, state }) => [spec, name, state])]);
    if (chips !== this.#chips) bar.replaceChildren(...nodes);
    else
      nodes.forEach((node, i) => {
        const old = bar.children[i];
        old.className = node.className;
        [...node.children].forEach((part, j) => {
          const stays = /** @type {HTMLElement} */ (old.children[j]);
          for (const name of part.getAttributeNames()) stays.setAttribute(name, part.getAttribute(name) ?? '');
          stays.textContent = part.textContent;
        });
      });
    this.#chips = chips;
  }

  /**
   * @param {any} item
   * @param {boolean} shared what others use too, nobody unloads
   */
  #chip({ spec, name, details, memory, chosen, state }, shared) {
    const node = make('span', 'fv-ck' + (chosen ? ' on' : '')),
      choose = button('fv-ck-name', name, details, () => this.trigger('choose', { spec }));
    choose.setAttribute('aria-pressed', String(chosen));
    node.append(make('span', 'fv-dot ' + state), choose, make('span', 'fv-quiet', memory));
    if (state === 'ready' && !shared)
      node.append(button('fv-mini fv-x', '\u00d7', `Unload ${name} and free ${memory}`, () => this.trigger('release', { spec })));
    return node;
  }

  /**
   * @param {{text: string, share: number | null}} progress
   * @param {boolean} asked by this page, which may stop it
   */
  #progress({ text, share }, asked) {
    const box = make('span', 'fv-progress'),
      bar = make('progress');
    bar.max = 1;
    if (share !== null) bar.value = share;
    bar.setAttribute('aria-label', 'Loading');
    box.append(bar, make('span', '', text));
    if (asked) box.append(button('fv-mini', 'Stop', 'Stop loading', () => this.trigger('halt')));
    return box;
  }

  /** @param {any} value */
  #facts({ badges, place, limits }) {
    const nodes = badges.map((/** @type {any} */ { text, can, why }) => {
      const node = make('span', 'fv-badge' + (can ? '' : ' off'), text);
      node.title = why;
      return node;
    });
    if (place) nodes.push(make('span', 'fv-quiet', place));
    if (limits) {
      const node = make('span', 'fv-quiet fv-limits', limits);
      node.title = limits;
      nodes.push(node);
    }
    return nodes;
  }
}
