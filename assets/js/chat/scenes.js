// Thumbnails to choose from. Events: pick {index}, film {}.

import { button, make } from '../dom/make.js';
import { Part } from '../dom/part.js';

export class Scenes extends Part {
  /** @param {{items: {url: string, title: string, film: boolean}[]} | null} value */
  show(value) {
    const items = value?.items ?? [];
    this.replaceChildren(
      ...items.map(({ url, title, film }, index) => {
        const pick = button('fv-thumb', '', title, () => (film ? this.trigger('film') : this.trigger('pick', { index }))),
          img = make('img');
        img.src = url;
        img.alt = '';
        img.loading = 'lazy';
        pick.append(img);
        if (film) pick.append(make('span', 'fv-thumb-film', 'film'));
        return pick;
      }),
    );
  }
}
