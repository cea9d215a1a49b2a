// Whether the lens of this checkpoint can be believed, and a button that measures it.

import { button, make } from '../dom/make.js';

/** @typedef {{usable: boolean | null, text: string, scenes: number}} LensHealth `usable` is null where it was not measured */

/**
 * @param {LensHealth} lens
 * @param {() => void} measure
 */
export const lensNote = (lens, measure) => {
  const box = make('div', 'fv-lens-health');
  box.append(make('p', lens.usable ? 'fv-quiet' : 'fv-note', lens.text));
  if (lens.usable === null)
    box.append(
      button(
        'fv-mini',
        'Measure lens health',
        `Hold the lens and TAM against masks on ${lens.scenes} drawn scenes. It can be stopped, and goes on where it was.`,
        measure,
      ),
    );
  return box;
};
