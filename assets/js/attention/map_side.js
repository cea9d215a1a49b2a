// The map of an answer, or a kept one beside it with their difference; what can be done with it. Nothing here asks the server.

import { digits } from '../dom/format.js';
import { choice, field, range, tick } from '../dom/fields.js';
import { button, make } from '../dom/make.js';
import { exportMenu, saveMaps } from '../drawing/figure.js';
import { HeatMap } from '../drawing/heatmap.js';
import { colourBar, scaleOf } from '../drawing/scales.js';

/** @typedef {import('./answer.js').AttentionMap} AttentionMap */
/** @typedef {import('../drawing/scales.js').Scale} Scale */

const HINT = 'Hover or use the arrow keys to read patches. Drag to select some.',
  THREE = ['A', 'B', 'A \u2212 B'];

/**
 * Maps in different units are compared as shares of themselves.
 * @param {Float32Array} scores
 */
const asShare = (scores) => {
  const whole = scores.reduce((sum, v) => sum + (Number.isFinite(v) ? Math.abs(v) : 0), 0) || 1;
  return scores.map((v) => v / whole);
};

export class MapSide {
  #title = make('h3', 'fv-map-title');
  #note = make('p', 'fv-quiet fv-map-note');
  #scale = make('div');
  #readout = make('p', 'fv-quiet fv-readout');
  #main = make('div', 'fv-map');
  #pair = make('div', 'fv-three');
  /** @type {((v: number | null) => void) | null} moves the marker on the scale */
  #marker = null;

  /** @param {import('./answer.js').Answer} answer */
  constructor(answer) {
    this.answer = answer;
    const { pictures, geometry } = answer.view,
      alone = (/** @type {number} */ k) => {
        for (const heat of [this.heat, ...this.three.map((one) => one.heat)]) heat.only(k);
      };
    this.heat = new HeatMap(pictures, {
      label: 'Map',
      alone,
      region: (cells, e) => answer.select(e.shiftKey ? [...new Set([...answer.chosen, ...cells])] : cells),
      pick: (cell, e) => answer.select(this.#toggled(cell, e.shiftKey)),
      hover: (cell) => this.read(cell),
    });
    this.three = ['A', 'B', 'A minus B'].map((name) => this.#third(name, alone));
    this.#note.title = 'Image attention: the share of the word\u2019s attention that falls on the picture';
    this.#readout.setAttribute('role', 'status');
    this.#main.append(this.heat.node, this.#scale);
    this.#pair.hidden = true;
    if (pictures.length === 1) {
      const [w, h] = pictures[0].size;
      this.#main.style.setProperty('--aspect', String(w / h));
    }
    this.keep = button(
      'fv-mini',
      'Keep as A',
      'Keep this map as A; what is shown next is B, beside it and as a difference',
      () => {
        answer.kept = answer.kept ? null : answer.drawn;
        this.controls();
        answer.again();
      },
    );
    const known = geometry ? [make('p', 'fv-quiet', geometry)] : [];
    this.node = make('div', 'fv-look-left');
    this.node.append(this.#title, this.#note, this.#main, this.#pair, ...known, this.#readout, this.#tools(), this.#acts());
    this.node.append(
      answer.changes.row,
      exportMenu((kind) => this.#export(kind)),
    );
  }

  /**
   * @param {number} cell
   * @param {boolean} more
   */
  #toggled(cell, more) {
    const { chosen } = this.answer;
    if (more) return [...new Set([...chosen, cell])];
    return chosen.length === 1 && chosen[0] === cell ? [] : [cell];
  }

  /**
   * @param {string} name
   * @param {(k: number) => void} alone
   */
  #third(name, alone) {
    const box = make('figure', 'fv-third'),
      hover = (/** @type {number} */ cell) => this.#readThree(cell),
      heat = new HeatMap(this.answer.view.pictures, { label: name, raster: 320, alone, hover }),
      one = { title: make('figcaption'), note: make('p', 'fv-quiet'), heat, scale: make('div') };
    box.append(one.title, one.note, one.heat.node, one.scale);
    this.#pair.append(box);
    return one;
  }

  #tools() {
    const { look } = this.answer,
      tools = make('div', 'fv-look-tools'),
      set = (/** @type {object} */ change) => {
        Object.assign(look, change);
        this.answer.again();
      },
      short = 'fv-field';
    tools.append(
      field(
        'Opacity',
        range(0, 1, 0.02, look.opacity, (opacity) => set({ opacity })),
        '',
        short,
      ),
      field(
        'Scale',
        choice(
          [
            ['linear', 'linear'],
            ['percentile', 'percentile 1\u201399'],
          ],
          look.how,
          (how) => set({ how }),
        ),
        '',
        short,
      ),
      tick(
        'one for all words',
        look.shared,
        (shared) => set({ shared }),
        'The same scale for every word of the answer that has been drawn this way',
        'fv-tick',
      ).node,
      tick('smooth', look.smooth, (smooth) => set({ smooth }), '', 'fv-tick').node,
    );
    return tools;
  }

  #acts() {
    const { answer } = this,
      acts = make('div', 'fv-actions');
    this.clear = button('fv-mini', 'Clear', 'Select no patches', () => answer.select([]));
    acts.append(
      this.keep,
      button('fv-mini', 'Agreement', 'Every method\u2019s map of this word, and how far they agree', () =>
        answer.agreement.run(),
      ),
      ...answer.changes.buttons,
      this.clear,
    );
    return acts;
  }

  /** What can be done depends on what is chosen. */
  controls() {
    const { kept, chosen, changes } = this.answer;
    this.keep.textContent = kept ? 'End comparing' : 'Keep as A';
    if (this.clear) this.clear.hidden = !chosen.length;
    changes.controls();
  }

  /**
   * Say what a cell holds, or without one what is selected.
   * @param {number} cell
   */
  read(cell) {
    const { chosen, drawn } = this.answer,
      selected = `${chosen.length} ${chosen.length === 1 ? 'patch' : 'patches'} selected`;
    this.#readout.textContent = cell >= 0 ? this.heat.words(cell) : chosen.length ? selected : HINT;
    this.#marker?.(cell < 0 || !drawn ? null : drawn.scores[cell]);
  }

  /** @param {number} cell */
  #readThree(cell) {
    const each = () => this.three.map(({ heat }, i) => `${THREE[i]} ${heat.words(cell).split(': ').pop()}`);
    this.#readout.textContent = cell < 0 ? '' : `${this.heat.where(cell)}: ${each().join(' \u00b7 ')}`;
  }

  /**
   * @param {AttentionMap} map
   * @param {boolean} passing a preview
   */
  draw(map, passing) {
    const { kept, view } = this.answer,
      share = map.mass ?? map.words.reduce((sum, k) => sum + view.tokens[k].m / map.words.length, 0),
      mass = `image attention ${digits(share)}${map.mass === null ? ', mean over all layers and heads' : ''}`;
    this.#title.textContent = (passing ? 'Preview: ' : '') + this.answer.nameOf(map);
    this.#note.textContent = [map.note, mass].filter(Boolean).join(' \u00b7 ');
    if (kept && !passing) this.#drawPair(kept, map);
    else this.#drawOne(map);
  }

  /**
   * @param {AttentionMap} map
   * @returns {Scale}
   */
  #sharedScale(map) {
    const { look, raw, found } = this.answer,
      like = [...found.values()].filter((one) => one.method === map.method && one.choice === map.choice),
      all = !look.shared ? [] : map.method === 'attention' ? raw.held() : like;
    return scaleOf(all.length ? all.map((one) => one.scores) : [map.scores], look.how, map.signed);
  }

  /** @param {AttentionMap} map */
  #drawOne(map) {
    const scale = this.#sharedScale(map),
      { scores, signed, unit } = map,
      { opacity, smooth } = this.answer.look;
    this.#pair.hidden = true;
    this.#main.hidden = false;
    this.heat.show({ scores, scale, signed, unit, opacity, smooth });
    const bar = colourBar({ scale, signed, unit });
    this.#scale.replaceChildren(bar.node);
    this.#marker = bar.at;
    this.heat.now = { title: this.answer.nameOf(map), note: this.#note.textContent, scale, signed, unit };
  }

  /**
   * @param {AttentionMap} kept
   * @param {AttentionMap} map
   */
  #drawPair(kept, map) {
    const { how, opacity, smooth } = this.answer.look,
      same = kept.unit === map.unit && kept.signed === map.signed,
      [a, b] = [kept, map].map(({ scores }) => (same ? scores : asShare(scores))),
      minus = a.map((v, i) => v - b[i]),
      unit = same ? map.unit : 'share of the map',
      signed = kept.signed || map.signed,
      both = scaleOf([a, b], how, signed);
    this.#main.hidden = true;
    this.#pair.hidden = false;
    this.#title.textContent = 'Two maps and their difference';
    this.#note.textContent = same ? '' : `Their units differ (${kept.unit}, ${map.unit}), so each is shown as shares of itself.`;
    [
      { title: `A: ${this.answer.nameOf(kept)}`, note: kept.note, scores: a, scale: both, signed },
      { title: `B: ${this.answer.nameOf(map)}`, note: map.note, scores: b, scale: both, signed },
      { title: THREE[2], note: '', scores: minus, scale: scaleOf([minus], how, true), signed: true },
    ].forEach(({ scores, ...caption }, i) => {
      const third = this.three[i];
      third.title.textContent = caption.title;
      third.note.textContent = caption.note;
      third.heat.show({ ...caption, scores, unit, opacity, smooth });
      third.scale.replaceChildren(colourBar({ ...caption, unit }).node);
      third.heat.now = { ...caption, unit };
    });
  }

  /**
   * What is shown as a file.
   * @param {string} kind
   */
  async #export(kind) {
    const { answer } = this,
      { checkpoint, question, tokens } = answer.view,
      got = await answer.ask('export', {}, { text: 'Preparing the file', group: 'export' });
    if (got.error) {
      answer.trouble(got.error);
      return;
    }
    const heats = this.#pair.hidden ? [this.heat] : this.three.map(({ heat }) => heat),
      maps = () => heats.map((heat) => /** @type {[HeatMap, any]} */ ([heat, heat.now])),
      words = tokens.map((/** @type {any} */ one) => one.t);
    const file = { name: got.name, numbers: got.npz, page: got.page },
      wrong = await saveMaps(kind, file, { checkpoint, question, words, maps });
    if (wrong) answer.trouble(wrong);
  }
}
