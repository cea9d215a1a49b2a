// The picture: which map it shows, the controls of that map, its scale, and what stands under the pointer.

import { make } from '../dom/make.js';
import { button, press } from '../dom/make.js';
import { slide, tick } from '../dom/fields.js';
import { exportMenu } from '../drawing/figure.js';
import { HeatMap } from '../drawing/heatmap.js';
import { controlsOf } from './controls.js';
import { painters } from './painters.js';
import { MAPS, questionOf } from './questions.js';
import { exported } from './saved.js';

/** @typedef {import('../dom/request.js').Reply} Reply */

const HINT = 'Click a patch, drag a region; arrows move, Shift and arrows widen.';
const NEEDS_PARTNER = (/** @type {string} */ kind) => MAPS[kind].includes('partner');

export class MapSide {
  second = make('div', 'fv-psecond');
  scale = make('div');
  /** @type {HeatMap[]} the maps on the page, for a file */
  drawn = [];
  /** @type {Float32Array | null} by cell */
  scores = null;
  /** @type {((v: number | null) => void) | null} moves the marker on the scale */
  marker = null;
  #buttons = make('div', 'fv-pmaps');
  #about = make('p', 'fv-quiet');
  #controls = make('div', 'fv-pcontrols');
  #reading = make('p', 'fv-preading', HINT);
  #note = make('p', 'fv-quiet');
  #error = make('p', 'fv-error');
  #over = -1;
  #turn = 0;
  /** @type {HTMLInputElement | null} */
  #aside = null;

  /** @param {import('./answer.js').Answer} answer */
  constructor(answer) {
    this.answer = answer;
    const { data, sinks } = answer,
      frame = make('div', 'fv-pframe');
    this.heat = new HeatMap(data.pictures, {
      label: 'Patches',
      start: () => answer.s.cells[0] ?? -1,
      pick: (cell) => answer.choose([cell]),
      region: (cells) => answer.choose(cells),
      hover: (cell, keys) => this.#hover(cell, keys),
    });
    this.heat.mark(
      'sink',
      sinks.map((t) => data.cell[t]).filter((cell) => cell >= 0),
    );
    frame.append(this.heat.node);
    this.#mapButtons();
    this.#error.setAttribute('role', 'alert');
    this.node = make('div', 'fv-pleft');
    this.node.append(
      ...[this.#buttons, this.#about, this.#controls, frame, this.#reading, this.scale, this.#note, this.#error],
      this.#look(),
      make('p', 'fv-quiet', this.#sinkWords()),
    );
    if (data.geometry) this.node.append(make('p', 'fv-quiet', data.geometry));
    this.node.append(exportMenu(async (kind) => this.failed(await exported(answer, kind))));
  }

  #mapButtons() {
    const { data } = this.answer,
      { tower } = data.stages;
    /** @type {Record<string, string>} why a map cannot be shown of this answer */
    const impossible = {
      seen: tower.why || (data.heads ? '' : 'The tower\u2019s attention cannot be heard.'),
      used: data.decoder[0] && data.words.length ? '' : 'There is no word whose attention is known.',
    };
    this.#buttons.setAttribute('role', 'group');
    this.#buttons.setAttribute('aria-label', 'What the picture shows');
    for (const kind of Object.keys(MAPS)) {
      const [title, words] = data.titles[kind],
        node = button('fv-mini', title, impossible[kind] || words, () => this.to(kind));
      node.dataset.map = kind;
      node.disabled = Boolean(impossible[kind]);
      this.#buttons.append(node);
    }
  }

  /** How maps are drawn. */
  #look() {
    const { s, words, sinks } = this.answer,
      look = make('div', 'fv-pcontrols');
    look.append(
      slide('Opacity', [0.1, 1, 0.05], s.opacity, (opacity) => this.set({ opacity })),
      tick('Smooth', s.smooth, (smooth) => this.set({ smooth }), 'Interpolate between patches; the numbers stay').node,
      tick(
        'Cut at percentiles',
        s.cut,
        (cut) => this.set({ cut }),
        'The colours end at the 1st and 99th percentile instead of the extremes',
      ).node,
    );
    if (!sinks.length) return look;
    const { node, input } = tick(
      'Set sinks aside',
      s.aside,
      (aside) => {
        this.set({ aside });
        words.received();
      },
      'Attention on sinks counts as none',
    );
    this.#aside = input;
    look.append(node);
    return look;
  }

  #sinkWords() {
    const { sinks, dimensions } = this.answer.data,
      parts = [];
    if (sinks.tower.length) parts.push(`${sinks.tower.length} of outlying norm in the tower`);
    if (sinks.decoder.length)
      parts.push(`${sinks.decoder.length} with a massive activation in the decoder (dimension ${dimensions.join(', ')})`);
    if (!parts.length) return 'No attention sinks were found among these patches.';
    return `Attention sinks, dashed: ${parts.join('; ')}. They draw attention for what they are, not for what they show.`;
  }

  /** @param {string} [text] */
  note(text) {
    this.#note.textContent = text || '';
  }

  /** @param {string} [text] */
  failed(text) {
    this.#error.textContent = text || '';
  }

  /** What is said of the map beside its scale. */
  caption() {
    return [this.answer.data.titles[this.answer.s.map][1], this.#note.textContent].filter(Boolean).join(' ');
  }

  /**
   * @param {Partial<import('./answer.js').Chosen>} change
   * @param {boolean} [rebuild] other controls are needed
   */
  set(change, rebuild) {
    Object.assign(this.answer.s, change);
    if (rebuild) this.controls();
    this.draw();
  }

  /** What stands under the pointer, also when the map under it changes. */
  read() {
    const cell = this.#over;
    this.#reading.textContent = cell < 0 ? HINT : this.heat.words(cell);
    this.marker?.(cell < 0 || !this.scores ? null : this.scores[cell]);
  }

  /**
   * @param {number} cell
   * @param {{shift: boolean}} [keys]
   */
  #hover(cell, keys) {
    this.#over = cell;
    this.read();
    if (keys && cell >= 0) this.answer.choose(keys.shift ? this.#rectangle(this.answer.s.cells[0], cell) : [cell]);
  }

  /**
   * The cells between two corners, the first of them first.
   * @param {number} a
   * @param {number} b
   */
  #rectangle(a, b) {
    const { start, view, row, col } = this.heat.cells[a],
      other = this.heat.cells[b],
      found = [];
    if (other.start !== start) return [b];
    for (let r = Math.min(row, other.row); r <= Math.max(row, other.row); r++)
      for (let c = Math.min(col, other.col); c <= Math.max(col, other.col); c++) found.push(start + r * view.cols + c);
    return [a, ...found.filter((cell) => cell !== a)];
  }

  /** The controls of the map that is shown. */
  controls() {
    const { s, data } = this.answer;
    for (const node of /** @type {Iterable<HTMLElement>} */ (this.#buttons.children)) press(node, node.dataset.map === s.map);
    [, this.#about.textContent] = data.titles[s.map];
    this.#controls.replaceChildren(...controlsOf(this.answer));
    this.#controls.hidden = !this.#controls.childNodes.length;
  }

  /**
   * Show another map.
   * @param {string} kind
   */
  to(kind) {
    this.answer.s.map = kind;
    this.controls();
    this.draw();
    this.#askPartners();
  }

  /** Controls as things are chosen now. */
  showChosen() {
    if (this.#aside) this.#aside.checked = this.answer.s.aside;
    this.controls();
    this.#askPartners();
  }

  async #askPartners() {
    const { answer } = this;
    if (!NEEDS_PARTNER(answer.s.map) || answer.partners) return;
    const reply = await answer.ask('partners');
    if (!answer.current || reply.error) return;
    answer.partners = reply.partners;
    this.controls();
  }

  /** Nothing on the picture. */
  blank() {
    this.drawn = [];
    this.answer.keepNothing();
    const scores = new Float32Array(this.heat.cells.length);
    this.heat.show({ scores, scale: { low: 0, high: 1, text: '' }, opacity: 0, unit: '' });
    this.scale.replaceChildren();
  }

  /** Draw the chosen map, asking for what is not held. */
  async draw() {
    const mine = ++this.#turn,
      { answer } = this,
      kind = answer.s.map;
    this.note('');
    this.failed('');
    this.scores = null;
    if (!NEEDS_PARTNER(kind)) this.second.replaceChildren();
    if (kind === 'like_word' && !answer.s.typed) {
      this.note('Type a word to compare the patches with.');
      this.blank();
      return;
    }
    const held = answer.requests.known(questionOf(kind, answer));
    if (kind === 'between') {
      if (held) this.#patched(held, answer.s.partner, answer.s.tokens);
      else this.#waitForPatch();
      return;
    }
    const reply = held || (await answer.ask(kind, { group: 'map' }));
    if (mine !== this.#turn) return;
    if (reply.error) {
      this.failed(reply.error);
      this.blank();
    } else painters[kind](this, reply);
  }

  /**
   * @param {Reply} reply
   * @param {string} partner
   * @param {number[]} tokens
   */
  #patched(reply, partner, tokens) {
    Object.assign(this.answer.s, { last: { reply, partner, tokens }, depths: reply.depths });
    this.controls();
    painters.between(this, reply);
  }

  /** Patching takes long, so it begins with a button; until then the last one stays. */
  #waitForPatch() {
    const { last, partner } = this.answer.s;
    if (last && last.partner === partner) {
      painters.between(this, last.reply);
      this.second.classList.add('stale');
      this.note('The table is of the patches chosen before; Patch runs it for these.');
      return;
    }
    this.note(partner ? 'Patch runs the other picture once for every block and depth.' : 'Choose another picture, then patch.');
    this.second.replaceChildren();
    this.blank();
  }

  async patchNow() {
    const { partner, tokens } = this.answer.s;
    if (!partner) {
      this.note('Choose another picture first.');
      return;
    }
    const mine = ++this.#turn,
      reply = await this.answer.ask('between', { text: 'Patching', group: 'map' });
    if (mine !== this.#turn) return;
    this.failed(reply.error);
    if (reply.error) return;
    this.note('');
    this.#patched(reply, partner, tokens);
  }

  /**
   * Patch as a kept map was, and show it at its depth.
   * @param {number} depth
   */
  async patchAgain(depth) {
    await this.patchNow();
    const { depths } = this.answer.s;
    if (depths) this.set({ depth: Math.max(0, depths.indexOf(depth)) }, true);
  }
}
