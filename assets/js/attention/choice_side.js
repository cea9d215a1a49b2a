// Which method, layer and head, with the figure of all layers and heads; which row; attention sinks.

import { digits, floats } from '../dom/format.js';
import { choice, field, range, tick } from '../dom/fields.js';
import { make, option } from '../dom/make.js';
import { lensNote } from '../drawing/lens_health.js';
import { Overview } from '../drawing/overview.js';

const SHORT = 'fv-field';

/** @param {number} v */
const orAll = (v) => (v ? v - 1 : null);

export class ChoiceSide {
  #about = make('div', 'fv-about');
  #sinkText = make('p', 'fv-quiet');
  /** @type {string} what the figure shows, or is on its way to */
  #wanted = '';

  /** @param {import('./answer.js').Answer} answer */
  constructor(answer) {
    this.answer = answer;
    const { layers, heads } = answer.view;
    this.method = this.#methods();
    this.layer = this.#slider('layer', 'Layer', layers);
    this.head = this.#slider('head', 'Head', heads);
    this.target = this.#targets();
    this.overview = new Overview(layers, heads, (l, h) => this.#chooseHead(l, h));
    this.sinks = tick(
      'frame attention sinks',
      false,
      (on) => this.#frameSinks(on),
      'Patches that draw attention for what they are, not for what they show',
      'fv-tick',
    );
    this.remove = tick('set sinks aside', false, (on) => this.#setAside(on), 'Their scores count as zero', 'fv-tick');
    this.node = make('div', 'fv-look-right');
    this.node.append(
      field('Method', this.method, '', SHORT),
      this.#about,
      this.layer.node,
      this.head.node,
      make('h3', '', 'Layers and heads'),
      this.target,
      this.overview.node,
      this.#more(),
    );
  }

  /**
   * A method's name with what is known of it: which was measured best, which read a lens that is not known to be good.
   * @param {any} m
   */
  #name(m) {
    const { usable } = this.answer.view.lens,
      doubt = m.gated && !usable ? (usable === null ? ' (lens not measured)' : ' (lens not to be believed)') : '';
    return m.title + (m.best && !doubt ? ' (best measured)' : doubt);
  }

  #methods() {
    const { view, spec } = this.answer,
      node = make('select');
    node.id = 'attention-method';
    for (const [cost, title] of Object.entries(view.costs)) {
      const group = make('optgroup');
      group.label = String(title);
      for (const m of view.methods.filter((/** @type {any} */ one) => one.cost === cost)) {
        const item = option(m.slug, this.#name(m));
        item.disabled = !m.can;
        item.title = m.why || m.measures;
        group.append(item);
      }
      if (group.children.length) node.append(group);
    }
    node.addEventListener('change', () => {
      spec.method = node.value;
      this.answer.refresh();
    });
    return node;
  }

  /**
   * @param {'layer' | 'head'} key
   * @param {string} label
   * @param {number} many
   */
  #slider(key, label, many) {
    const input = range(0, many, 1, 0, (v) => {
        this.answer.spec[key] = orAll(v);
        this.answer.refresh();
      }),
      output = make('output'),
      node = field(label, input, '', SHORT);
    input.id = `attention-${key}`;
    node.append(output);
    return { node, input, output, many };
  }

  /** What the figure can show: image attention, or the share of it that falls on one of the drawn things. */
  #targets() {
    const { things, pictures } = this.answer.view,
      /** @type {Map<string, string>} */
      options = new Map([['[]', 'image attention']]),
      asked = things.flatMap((/** @type {any} */ t, /** @type {number} */ i) => (t.asked ? [i] : [])),
      offer = (/** @type {number[]} */ some, /** @type {string} */ text) => {
        const value = JSON.stringify(some);
        if (!options.has(value)) options.set(value, text);
      };
    const names = [...new Set(asked.map((/** @type {number} */ i) => things[i].name))];
    if (asked.length) offer(asked, `share on the ${names.join(', the ')}: asked about`);
    things.forEach((/** @type {any} */ t, /** @type {number} */ i) =>
      offer([i], `share on the ${t.name}${pictures.length > 1 ? `, ${pictures[t.picture].label}` : ''}`),
    );
    const target = choice([...options.entries()], '[]', (value) => {
      const chosen = JSON.parse(value);
      this.answer.maps.heat.frame(things.filter((/** @type {any} */ _, /** @type {number} */ i) => chosen.includes(i)));
      this.#overview();
    });
    target.hidden = options.size === 1;
    target.setAttribute('aria-label', 'What the figure of layers and heads shows');
    return target;
  }

  #more() {
    const { spec } = this.answer,
      more = make('details', 'fv-more');
    const pick = (/** @type {'rows' | 'reduce'} */ key, /** @type {import('../dom/fields.js').Option[]} */ options) =>
      choice(options, spec[key], (v) => {
        spec[key] = v;
        this.answer.refresh();
      });
    const rows = pick('rows', [
        ['predicting', 'the position that predicts the word'],
        ['reading', 'the word\u2019s own position'],
      ]),
      reduce = pick('reduce', [
        ['mean', 'mean over layers and heads'],
        ['max', 'largest of layers and heads'],
      ]);
    more.append(
      make('summary', '', 'More'),
      field('Row', rows, 'Whose attention is drawn', SHORT),
      field('Many', reduce, '', SHORT),
      this.sinks.node,
      this.remove.node,
      this.#sinkText,
    );
    return more;
  }

  /** What is chosen has changed. */
  refresh() {
    const { spec, layered } = this.answer;
    this.method.value = spec.method;
    for (const key of /** @type {const} */ (['layer', 'head'])) {
      const { input, output, many } = this[key],
        v = layered ? spec[key] : null;
      input.disabled = !layered;
      input.value = String(v === null ? 0 : v + 1);
      output.textContent = v === null ? `all ${many}` : `${v + 1} of ${many}`;
      input.setAttribute('aria-valuetext', output.textContent);
    }
    this.remove.input.checked = spec.without;
    this.about();
    this.#overview();
  }

  /** What the method measures, and how far to believe it. */
  about() {
    const { view, spec, changes } = this.answer,
      m = this.answer.method(spec.method),
      score = make('p', 'fv-quiet fv-score', m.score);
    score.title = view.scored;
    this.#about.replaceChildren(
      make('p', '', m.measures),
      make('p', 'fv-quiet', m.paper),
      score,
      ...(m.gated ? [lensNote(view.lens, () => changes.measureLens())] : []),
    );
  }

  /** The names of methods, after the lens was measured. */
  rename() {
    for (const m of this.answer.view.methods)
      for (const item of this.method.querySelectorAll(`option[value="${m.slug}"]`)) item.textContent = this.#name(m);
    this.about();
  }

  /**
   * @param {number} layer
   * @param {number} head
   */
  #chooseHead(layer, head) {
    const { spec, layered } = this.answer,
      same = spec.layer === layer && spec.head === head;
    if (!layered) spec.method = 'attention';
    spec.layer = same ? null : layer;
    spec.head = same ? null : head;
    this.answer.refresh();
  }

  async #overview() {
    const { answer, overview } = this,
      { spec, layered } = answer,
      things = JSON.parse(this.target.value),
      wanted = JSON.stringify([spec.words, spec.rows, things]);
    overview.choose(layered ? spec.layer : null, layered ? spec.head : null);
    if (this.#wanted === wanted) return;
    this.#wanted = wanted;
    const got = await answer.ask('overview', { things, layer: null, head: null, without: [] }, { text: 'Reading the answer' });
    if (this.#wanted !== wanted) return;
    if (got.error) {
      answer.trouble(got.error);
      return;
    }
    const mass = floats(got.mass);
    if (!got.inside) overview.show(mass, 'image attention', null);
    else {
      const share = floats(got.inside).map((v, i) => (mass[i] > 0 ? v / mass[i] : NaN));
      overview.show(share, 'share on the thing', { values: mass, what: 'image attention' });
    }
  }

  /** @param {boolean} on */
  async #frameSinks(on) {
    if (on && !(await this.answer.haveSinks())) this.sinks.input.checked = false;
    this.#showSinks();
  }

  /** @param {boolean} on */
  async #setAside(on) {
    const can = on && (await this.answer.haveSinks());
    this.answer.spec.without = can;
    if (can) this.sinks.input.checked = true;
    this.#showSinks();
    this.answer.refresh();
  }

  #showSinks() {
    const { sinks, maps } = this.answer,
      shown = this.sinks.input.checked ? sinks : null;
    maps.heat.mark('sink', shown?.cells ?? []);
    if (!shown) this.#sinkText.textContent = '';
    else if (!shown.tokens.length) this.#sinkText.textContent = 'No sinks among the picture tokens of this answer.';
    else {
      /** @type {[number, string][]} */
      const kinds = [
        [shown.tower, 'from the tower'],
        [shown.decoder, 'of the decoder'],
      ];
      const parts = kinds.flatMap(([n, text]) => (n ? [`${n} ${text}`] : [])).join(', ');
      this.#sinkText.textContent = `${shown.tokens.length} of the picture tokens (${parts}), framed in yellow. They take ${digits(100 * shown.share)} % of image attention.`;
    }
  }
}
