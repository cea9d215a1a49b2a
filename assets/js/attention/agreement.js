// Every method's map of one word, small, and how their ranks correlate.

import { digits, floats } from '../dom/format.js';
import { make } from '../dom/make.js';
import { HeatMap } from '../drawing/heatmap.js';
import { rampOf, scaleOf } from '../drawing/scales.js';

const WHAT_IT_MEANS =
  'Spearman\u2019s correlation of the patches\u2019 ranks, \u22121 to 1. Agreement is no proof: methods that read the same attention agree. Each map above has a scale of its own.';

/**
 * Relative luminance, 0 to 1.
 * @param {number[]} colour
 */
const light = (colour) => colour.map((c) => (c / 255) ** 2.2).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);

/**
 * @param {number} v
 * @param {string} title
 */
const matrixCell = (v, title) => {
  const text = v
      .toFixed(2)
      .replace(/^(-?)0\./, '$1.')
      .replace('-', '\u2212'),
    cell = make('td', '', text),
    colour = rampOf(true)[Math.round((255 * (v + 1)) / 2)];
  cell.title = title;
  cell.style.background = `rgb(${colour})`;
  cell.style.color = light(colour) < 0.18 ? '#fff' : '#000';
  return cell;
};

/**
 * @param {string[]} names
 * @param {number[][]} values
 */
const matrix = (names, values) => {
  const figure = make('table'),
    head = make('tr');
  head.append(make('td'));
  figure.append(head);
  names.forEach((name, i) => {
    const cell = make('th', '', i + 1);
    cell.title = name;
    cell.scope = 'col';
    cell.setAttribute('aria-label', name);
    head.append(cell);
  });
  values.forEach((row, i) => {
    const line = make('tr'),
      name = make('th', '', `${i + 1} ${names[i]}`);
    name.scope = 'row';
    line.append(name, ...row.map((v, j) => matrixCell(v, `${names[i]} and ${names[j]}`)));
    figure.append(line);
  });
  return figure;
};

export class Agreement {
  /** @param {import('./answer.js').Answer} answer */
  constructor(answer) {
    this.answer = answer;
    this.node = make('div');
    this.node.hidden = true;
  }

  /** Ask every method for the chosen words, one after another, then for their ranks. */
  async run() {
    const { answer } = this,
      { view } = answer,
      doubted = (/** @type {any} */ m) => m.gated && !view.lens.usable,
      able = view.methods.filter((/** @type {any} */ m) => m.can && !doubted(m)),
      why =
        view.lens.usable === null
          ? 'the lens of this checkpoint was not measured'
          : 'the lens of this checkpoint is not to be believed',
      failed = view.methods.filter(doubted).map((/** @type {any} */ m) => `${m.title} is left out: ${why}.`),
      asked = { ...answer.question('heat'), layer: null, head: null },
      done = [],
      { grid, table, busy } = this.#shown();
    for (const [i, m] of able.entries()) {
      const text = `${i + 1} of ${able.length} methods: ${m.title}`,
        got = await answer.ask('heat', { ...asked, method: m.slug }, { text, group: 'agree', place: busy });
      if (got.stopped) break;
      if (got.error) failed.push(`${m.title}: ${got.error}`);
      else {
        done.push(m);
        grid.append(this.#small(m, { ...got.map, scores: floats(got.map.scores) }));
      }
    }
    if (done.length < 2) return;
    const methods = done.map((m) => m.slug),
      got = await answer.ask('agree', { ...asked, what: 'agree', methods }, { text: 'Comparing ranks', place: busy });
    if (got.matrix)
      table.replaceChildren(
        make('p', 'fv-quiet', WHAT_IT_MEANS),
        matrix(
          done.map((m) => m.title),
          got.matrix,
        ),
        ...failed.map((/** @type {string} */ text) => make('p', 'fv-quiet', text)),
      );
  }

  #shown() {
    const box = make('section', 'fv-agree'),
      grid = make('div', 'fv-agree-maps'),
      table = make('div', 'fv-agree-table'),
      busy = make('div', 'fv-busy');
    box.append(make('h3', '', 'Agreement of methods'), busy, grid, table);
    this.node.hidden = false;
    this.node.replaceChildren(box);
    box.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
    return { grid, table, busy };
  }

  /**
   * @param {any} m the method
   * @param {any} map
   */
  #small(m, { scores, signed, unit, note }) {
    const { view, look } = this.answer,
      box = make('figure', 'fv-agree-map'),
      heat = new HeatMap(view.pictures, { label: m.title, raster: 160, small: true }),
      scale = scaleOf([scores], look.how, signed),
      range = make('p', 'fv-quiet', `${digits(scale.low)} to ${digits(scale.high)} ${unit}`);
    heat.show({ scores, signed, unit, scale, opacity: look.opacity, smooth: look.smooth });
    box.title = `${m.measures} ${note}`;
    box.append(heat.node, make('figcaption', '', m.title), range);
    return box;
  }
}
