// What becomes of the answer when patches are hidden, knocked out, or patched from another picture.

import { digits, percent, shown } from '../dom/format.js';
import { choice, field } from '../dom/fields.js';
import { button, make, option } from '../dom/make.js';
import { broughtView } from '../drawing/patching_table.js';
import { STRONG_NATS } from '../drawing/words.js';

/** @type {Record<string, string>} */
const DOING = { mean: 'Hiding', cut: 'Knocking out', patch: 'Patching' };
const SAME_NATS = 0.001;
const NO_OTHER = 'There is no other picture yet. Ask about one in this session, or about a drawn scene.';
const OTHER_WAY =
  'The other way round: states of this picture put into a run on the other, and the share of this answer that comes back.';

export class Changes {
  /** @param {import('./answer.js').Answer} answer */
  constructor(answer) {
    this.answer = answer;
    this.node = make('div', 'fv-change');
    this.node.hidden = true;
    this.hide = button('fv-mini', 'Hide', 'Put the mean patch in their place and see what becomes of the answer', () =>
      this.#change('mean'),
    );
    this.knock = button('fv-mini', 'Knock out', 'Let the text attend to them no more and see what becomes of the answer', () =>
      this.#change('cut'),
    );
    this.other = button(
      'fv-mini',
      'Patch from\u2026',
      'Give them the states they have in another picture and see what becomes of the answer',
      () => this.#choosePartner(),
    );
    this.buttons = [this.hide, this.knock, this.other];
    this.partner = choice([['', 'Choose another picture']], '', (id) => {
      this.patchNow.disabled = !id;
    });
    this.depth = this.#depths();
    this.patchNow = button(
      'fv-mini fv-primary',
      'Patch',
      'Give the selected patches the states they have in the other picture, and see what becomes of the answer',
      () => this.#change('patch', { partner: this.partner.value, depth: Number(this.depth.value) }),
    );
    this.patchNow.disabled = true;
    this.row = make('div', 'fv-patching');
    this.row.hidden = true;
    this.row.append(
      field('From', this.partner, '', 'fv-field'),
      field('Depth', this.depth, '0 enters the first layer; the last one leaves the decoder', 'fv-field'),
      this.patchNow,
    );
  }

  #depths() {
    const { layers } = this.answer.view,
      words = (/** @type {number} */ d) => (d === 0 ? '0, what enters' : d === layers ? `${d}, what leaves` : d);
    return choice(
      Array.from({ length: layers + 1 }, (_, d) => /** @type {[number, string | number]} */ ([d, words(d)])),
      0,
      () => {},
    );
  }

  /** What can be done depends on what is chosen. */
  controls() {
    const { chosen, spec, layered } = this.answer,
      one = layered && (spec.layer !== null || spec.head !== null);
    for (const node of this.buttons) node.hidden = !chosen.length;
    if (!chosen.length) this.row.hidden = true;
    this.hide.textContent = chosen.length === 1 ? 'Hide the patch' : `Hide ${chosen.length} patches`;
    this.knock.textContent = one ? 'Knock out in the chosen layer and head' : 'Knock out';
  }

  /**
   * @param {string} how
   * @param {object} [more]
   */
  async #change(how, more = {}) {
    const { answer } = this,
      got = await answer.ask('change', { cells: answer.chosen, how, ...more }, { text: DOING[how], group: 'change' });
    answer.trouble(got.error);
    if (got.error) return;
    this.#show(got);
    this.node.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  }

  /** Which pictures there are is asked for once an answer. */
  async #choosePartner() {
    const { answer, row, partner } = this;
    row.hidden = !row.hidden;
    if (row.hidden || partner.length > 1) return;
    const got = await answer.ask('partners', {}, { text: 'Looking for other pictures' });
    if (!answer.current) return;
    if (got.error) answer.trouble(got.error);
    else if (!got.partners.length) {
      answer.trouble(NO_OTHER);
      row.hidden = true;
    } else if (partner.length === 1)
      partner.append(...got.partners.map((/** @type {[string, string]} */ [id, label]) => option(id, label)));
  }

  /** Whether what the decoder says at patches can be believed is measured when asked for. */
  async measureLens() {
    const { answer } = this,
      got = await answer.ask('measure', {}, { text: 'Measuring lens health', group: 'measure' });
    if (!answer.current) return;
    if (got.error) {
      answer.trouble(got.stopped ? 'Stopped. What was measured is kept: the next measurement goes on there.' : got.error);
      return;
    }
    answer.trouble('');
    answer.view.lens = got.lens;
    answer.choices.rename();
  }

  /** @param {any} change */
  #show(change) {
    const list = make('div', 'fv-change-words');
    change.before.forEach((/** @type {number} */ before, /** @type {number} */ k) =>
      list.append(this.#word(this.answer.view.tokens[k].t, before, change.after[k])),
    );
    const size = digits(Math.abs(change.lost)),
      moved =
        Math.abs(change.lost) < SAME_NATS
          ? 'stays as likely, to .001 nats'
          : `${change.lost < 0 ? 'gains' : 'loses'} ${size} nats`,
      many = !/^1 /.test(change.what);
    this.node.hidden = false;
    this.node.replaceChildren(
      make('p', '', `${change.what}: the answer ${moved}. Written anew, each token the likeliest, it is:`),
      make('div', 'fv-text', change.anew + (change.ended ? '' : ' \u2026')),
      list,
      make('p', 'fv-quiet', 'Each token of the answer with its probability before, and after. Tint: nats lost.'),
    );
    if (change.brought)
      this.node.append(make('p', '', OTHER_WAY), ...broughtView({ ...change.brought, picture: change.picture }, many));
  }

  /**
   * @param {string} text
   * @param {number} before log-probability
   * @param {number} after
   */
  #word(text, before, after) {
    const word = make('span', 'fv-change-word');
    word.append(
      make('bdi', '', shown(text)),
      make('span', '', percent(Math.exp(before))),
      make('span', '', percent(Math.exp(after))),
    );
    word.style.setProperty('--lost', String(Math.max(0, Math.min(1, (before - after) / STRONG_NATS))));
    word.title = `${digits(before - after)} nats lost`;
    return word;
  }
}
