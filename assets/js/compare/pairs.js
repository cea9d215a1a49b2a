// What two answers share and where they part: words, and boxes on one picture.

import { make, shape } from '../dom/make.js';
import { figureTable, letterOf, part } from './parts.js';

/** @typedef {{letter: string, boxes: {box: [number, number, number, number]}[]}} BoxColumn */
/** @typedef {{x: number, y: number, end: number, node: HTMLElement}} Corner names of boxes that begin close by */

const BOX_COLOURS = ['#56b4e9', '#e69f00', '#009e73', '#cc79a7'],
  TRUTH = '#ffffff';

/**
 * @param {{diff: [string, string, string][], a: number, b: number}} pair
 * @param {string[]} names
 */
export const wordDiff = (pair, names) => {
  const box = make('div', 'fv-versus-diff');
  for (const side of /** @type {const} */ (['a', 'b'])) {
    const row = make('div', 'fv-versus-diffrow'),
      text = make('div', 'fv-text');
    for (const [kind, a, b] of pair.diff) {
      const words = side === 'a' ? a : b;
      if (!words) continue;
      const node = kind === 'same' ? make('span', '', words) : make('mark', 'fv-versus-other', words);
      if (kind !== 'same') node.title = 'Only, or otherwise, in this answer';
      text.append(node, ' ');
    }
    if (!text.childNodes.length) text.append(make('span', 'fv-quiet', '(an empty answer)'));
    row.append(letterOf(names[pair[side]]), text);
    box.append(row);
  }
  return box;
};

/** Names of boxes that begin close by stand in one row above them, inside the picture. */
class Corners {
  /** @type {Corner[]} */
  #all = [];

  /**
   * @param {HTMLElement} frame
   * @param {[number, number]} size of the picture
   */
  constructor(frame, [w, h]) {
    this.frame = frame;
    this.w = w;
    this.h = h;
  }

  /**
   * Where the name of a box stands.
   * @param {[number, number, number, number]} box
   */
  of([x, y, end]) {
    const { w, h } = this,
      home = this.#all.find((one) => Math.abs(one.x - x) < 0.1 * w && Math.abs(one.y - y) < 0.07 * h) || this.#more(x, y, end);
    home.x = Math.min(home.x, x);
    home.y = Math.min(home.y, y);
    home.end = Math.max(home.end, end);
    const late = home.x > 0.7 * w;
    home.node.style.left = late ? 'auto' : `${(100 * home.x) / w}%`;
    home.node.style.right = late ? `${100 * Math.max(0, 1 - home.end / w)}%` : 'auto';
    home.node.style.top = `${(100 * home.y) / h}%`;
    return home.node;
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} end
   */
  #more(x, y, end) {
    const home = { x, y, end, node: make('div', 'fv-versus-boxnames') };
    this.#all.push(home);
    this.frame.append(home.node);
    return home;
  }
}

/** @param {{url: string, size: [number, number], columns: BoxColumn[]}} boxes */
const boxesFigure = ({ url, size, columns }) => {
  const figure = make('figure', 'fv-versus-boxes'),
    frame = make('div', 'fv-frame'),
    img = make('img'),
    [w, h] = size,
    svg = shape('svg', { viewBox: `0 0 ${w} ${h}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }),
    corners = new Corners(frame, size);
  img.src = url;
  img.alt = 'The picture with the boxes of all columns';
  img.style.aspectRatio = String(w / h);
  columns.forEach(({ letter, boxes }, i) => {
    const colour = letter === 'truth' ? TRUTH : BOX_COLOURS[i];
    for (const { box } of boxes) {
      const [x0, y0, x1, y1] = box,
        place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 },
        line = shape('rect', { ...place, class: 'fv-line' }),
        name = make('span', 'fv-versus-boxname', letter);
      line.style.stroke = colour;
      if (i % 2) line.style.strokeDasharray = '7 4';
      svg.append(shape('rect', { ...place, class: 'fv-halo' }), line);
      name.style.background = colour;
      corners.of(box).append(name);
    }
  });
  frame.prepend(img);
  frame.append(svg);
  figure.append(frame);
  return figure;
};

/** @param {any} boxes */
export const boxesPart = (boxes) => {
  const rows = boxes.rows.map((/** @type {any} */ row) => [row.of, row.what, row.a, row.b, row.iou]),
    side = make('div', 'fv-versus-boxside'),
    box = make('div', 'fv-versus-boxrow');
  side.append(
    figureTable([['of'], ['what'], ['first', true], ['second', true], ['IoU', true]], rows),
    make('p', 'fv-quiet', boxes.note),
  );
  box.append(boxesFigure(boxes), side);
  return part('Boxes on one picture', box);
};
