// Loaded checkpoints as chips: choose, look at, unload. Events: choose {spec}, release {spec}, halt, look.

import { button, make } from '../dom/make.js';
import { Part } from '../dom/part.js';
import { keyList, pageKey } from './keys.js';

const LOOK_MS = 400; // how often the page asks again while the program loads what it was started with

export class Header extends Part {
  /** The next look. */
  #timer = 0;

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
    clearTimeout(this.#timer);
    if (items.some((/** @type {any} */ item) => item.state === 'loading'))
      this.#timer = setTimeout(() => this.trigger('look'), LOOK_MS);
    this.one('.fv-chipbar').replaceChildren(...items.map((/** @type {any} */ item) => this.#chip(item, value.shared)));
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
