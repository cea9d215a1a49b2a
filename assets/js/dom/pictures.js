// Attached pictures in a row, each a link to itself in full.

import { make } from './make.js';
import { nearEnd, scrollBox, toEnd } from './scroll.js';

/** @typedef {{url: string, name: string, size?: string, frame?: boolean}} Picture as `image_views` gives it */

/** @param {Picture[]} images */
export const pictures = (images) => {
  const row = make('div', 'fv-pictures');
  for (const image of images) {
    const link = make('a', 'fv-picture'),
      img = make('img');
    link.href = image.url;
    link.target = '_blank';
    link.rel = 'noopener';
    img.src = image.url;
    img.alt = image.name || 'attached picture';
    img.loading = 'lazy';
    img.addEventListener('load', () => {
      const box = scrollBox(img);
      if (nearEnd(box)) toEnd(box);
    });
    link.append(img);
    if (image.frame) link.append(make('span', 'fv-quiet', image.name));
    row.append(link);
  }
  return row;
};

/**
 * The true answer of a drawing.
 * @param {string} heading
 * @param {string} text
 */
export const truthLine = (heading, text) => {
  const truth = make('div', 'fv-truth');
  truth.append(make('b', '', heading), text);
  return truth;
};
