// The controls of the map that is shown, by the names MAPS gives them.

import { counted, field, orNull, pick, slide } from '../dom/fields.js';
import { button, make } from '../dom/make.js';
import { MAPS } from './questions.js';

/** @typedef {import('./answer.js').Answer} Answer */

/** @type {Record<string, string>} */
const STAGE = { tower: 'Vision tower', connector: 'Connector', decoder: 'Decoder' };
const TYPED_MS = 250;

/** @type {Record<string, (answer: Answer) => Node | null>} null where there is nothing to choose */
const CONTROLS = {
  stage: ({ s, data, maps }) => {
    const stages = /** @type {[string, {why: string}][]} */ (Object.entries(data.stages)),
      why = stages.flatMap(([, stage]) => stage.why || []).join(' ');
    return pick(
      'Features of',
      stages.map(([key, stage]) => [key, STAGE[key], stage.why]),
      s.stage,
      (stage) => maps.set({ stage }, true),
      why,
    ).node;
  },
  layer: ({ s, data, maps, layer }) => {
    const count = data.stages[s.stage].layers,
      tower = s.stage === 'tower',
      words = (/** @type {number} */ v) => (tower ? `${v + 1} of ${count}` : v === 0 ? '0, what enters' : `${v} of ${count - 1}`);
    if (count < 2) return null;
    return slide(
      tower ? 'Layer' : 'Depth',
      [0, count - 1, 1],
      layer,
      (v) => maps.set({ layer: { ...s.layer, [s.stage]: v } }),
      words,
    );
  },
  word: ({ s, maps }) => {
    const input = make('input');
    let later = 0;
    Object.assign(input, { type: 'text', maxLength: 100, value: s.typed, placeholder: 'red' });
    input.addEventListener('input', () => {
      clearTimeout(later);
      later = setTimeout(() => maps.set({ typed: input.value.trim() }), TYPED_MS);
    });
    return field('Word', input);
  },
  way: ({ s, maps }) =>
    pick(
      'Attention',
      [
        ['to', 'from the chosen patches'],
        ['from', 'to the chosen patches'],
      ],
      s.way,
      (way) => maps.set({ way }),
    ).node,
  tower: ({ s, data, maps }) => {
    const count = data.stages.tower.layers;
    return slide(
      'Layer',
      [0, count - 1, 1],
      s.tower,
      (tower) => maps.set({ tower }),
      (v) => `${v + 1} of ${count}`,
    );
  },
  head: ({ s, data, maps }) =>
    pick('Head', [[null, 'mean of all'], ...counted(data.heads, 'head').slice(1)], s.head, (v) => maps.set({ head: orNull(v) }))
      .node,
  partner: ({ s, partners, maps }) =>
    pick('Other picture', [['', s.map === 'between' ? 'choose one' : 'none'], ...(partners || [])], s.partner, (partner) =>
      maps.set({ partner, depths: null }, true),
    ).node,
  patch: ({ maps }) =>
    button('fv-mini fv-primary', 'Patch', 'Run the other picture once for every block of patches and every depth', () =>
      maps.patchNow(),
    ),
  depth: ({ s, maps }) => {
    const { depths } = s;
    if (!depths) return null;
    const last = depths.length - 1;
    return slide(
      'Depth',
      [0, last, 1],
      Math.min(s.depth, last),
      (depth) => maps.set({ depth }),
      (v) => (depths[v] === 0 ? '0, what enters' : depths[v]),
    );
  },
};

/** @param {Answer} answer */
export const controlsOf = (answer) => MAPS[answer.s.map].flatMap((name) => CONTROLS[name](answer) ?? []);
