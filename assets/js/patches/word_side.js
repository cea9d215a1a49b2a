// What is said of the chosen patches beside the picture: words that used them, what hiding them does, what the lens says.

import { digits, floats, percent, shown } from '../dom/format.js';
import { counted, orNull, pick } from '../dom/fields.js';
import { button, make } from '../dom/make.js';
import { table } from '../dom/table.js';
import { lensNote } from '../drawing/lens_health.js';
import { WordsTable } from './words_table.js';

const LITTLE_NATS = 0.01;
const STOPPED = 'Stopped. What was measured is kept: the next measurement goes on there.';

/** @param {number} v */
const nats = (v) => `${digits(v)} ${Math.abs(v) === 1 ? 'nat' : 'nats'}`;

/**
 * What hiding does, in a sentence.
 * @param {{t: string}[]} words
 * @param {any} reply
 * @param {boolean} many patches are hidden
 */
const lossInWords = (words, reply, many) => {
  const before = floats(reply.before),
    after = floats(reply.after),
    gone = before.map((v, k) => v - after[k]);
  if (!gone.length) return 'The answer is empty.';
  const whole = gone.reduce((a, b) => a + b, 0),
    worst = gone.indexOf(Math.max(...gone)),
    it = many ? 'them' : 'it';
  if (gone.every((v) => Math.abs(v) < LITTLE_NATS)) return `Without ${it} no word becomes less or more likely by 0.01 nats.`;
  const first = `Without ${it} the answer is ${nats(Math.abs(whole))} ${whole < 0 ? 'more' : 'less'} likely`,
    name = `\u201c${shown(words[worst].t)}\u201d`,
    then = `${percent(Math.exp(before[worst]))} to ${percent(Math.exp(after[worst]))}`;
  if (words.length === 1) return `${first}: ${then}.`;
  return gone[worst] < LITTLE_NATS ? `${first}; no word loses 0.01 nats or more.` : `${first}; ${name} loses most, from ${then}.`;
};

/** @param {any} reply */
const lensTable = (reply) => {
  const { node, body } = table('What the lens says, by depth', [['Depth'], ['Likeliest words, with their probability']]),
    last = reply.rows.length - 1;
  for (const [depth, words] of [...reply.rows].reverse()) {
    const row = make('tr'),
      list = make('td', 'fv-plens');
    for (const [text, p] of words) {
      const item = make('span', 'fv-plens-w');
      item.style.setProperty('--p', p);
      item.append(make('bdi', 'fv-pmono', shown(text)), make('span', 'fv-quiet', percent(p)));
      list.append(item);
    }
    row.append(make('td', 'fv-pnum', depth === 0 ? '0, enters' : depth === last ? `${depth}, leaves` : depth), list);
    body.append(row);
  }
  return node;
};

export class WordSide {
  says = make('details', 'fv-psection');
  #used = make('div');
  #loss = make('p', 'fv-ploss');
  #again = make('div');
  #lens = make('div');
  #health = make('div');

  /** @param {import('./answer.js').Answer} answer */
  constructor(answer) {
    this.answer = answer;
    const { words, lens } = answer.data;
    this.table = new WordsTable(words, (k) => {
      answer.s.word = k;
      this.table.mark(k);
      answer.maps.to('used');
    });
    this.table.mark(answer.s.word);
    this.says.open = lens.usable === true;
    this.says.addEventListener('toggle', () => this.spoken());
    this.says.append(make('summary', '', 'What the lens says here'), this.#health, this.#lens);
    this.#showHealth();
    this.nodes = [this.#wordsSection(), this.says];
  }

  #wordsSection() {
    const { s, data } = this.answer,
      [layers, heads] = data.decoder,
      box = make('section', 'fv-psection'),
      acts = make('div', 'fv-pcontrols'),
      scroll = make('div', 'fv-pscroll');
    this.layer = pick('Attention, mean over', counted(layers, 'layer'), s.wordLayer, (v) => this.#over({ wordLayer: orNull(v) }));
    this.head = pick('and', counted(heads, 'head'), s.wordHead, (v) => this.#over({ wordHead: orNull(v) }));
    const how = pick(
      'Hidden by',
      [
        ['mean', 'the mean patch in its place'],
        ['cut', 'cutting text off from it'],
      ],
      s.how,
      (v) => {
        s.how = v;
        this.#used.classList.add('stale');
        this.lost();
      },
      'Replaced by the mean visual token of this prompt, or left in place with no text attending to it',
    );
    const why = 'Let the model answer the same question with these patches hidden';
    acts.append(this.layer.node, this.head.node, how.node);
    scroll.append(this.table.node);
    this.#loss.setAttribute('role', 'status');
    this.#used.append(
      acts,
      this.#loss,
      scroll,
      button('fv-mini', 'Answer again without it', why, () => this.#anew()),
      this.#again,
    );
    box.append(make('h3', '', 'Words that used it'), this.#used);
    return box;
  }

  /** @param {{wordLayer?: number | null, wordHead?: number | null}} change */
  #over(change) {
    Object.assign(this.answer.s, change);
    this.received();
    if (this.answer.s.map === 'used') this.answer.maps.draw();
  }

  /** Controls as things are chosen now. */
  showChosen() {
    const { word, wordLayer, wordHead } = this.answer.s;
    this.table.mark(word);
    if (this.layer) this.layer.select.value = String(wordLayer ?? '');
    if (this.head) this.head.select.value = String(wordHead ?? '');
  }

  /** What is said is of other patches. */
  stale() {
    this.#used.classList.add('stale');
    this.#lens.classList.toggle('stale', this.says.open);
  }

  /** Attention of each word on the chosen patches. */
  async received() {
    const { answer } = this,
      { data, s, sinks } = answer,
      { tokens } = s;
    if (!data.decoder[0] || !data.words.length) return;
    const reply = await answer.ask('received', { group: 'received' });
    if (tokens !== s.tokens || reply.error) return;
    const aside = new Set(s.aside ? sinks : []),
      kept = tokens.filter((t) => !aside.has(t)),
      T = data.cell.length;
    if (!reply.matrix) this.table.received([...answer.numbers(reply, 'row')]);
    else {
      const matrix = answer.numbers(reply, 'matrix');
      this.table.received(
        data.words.map((/** @type {any} */ _, /** @type {number} */ k) => kept.reduce((sum, t) => sum + matrix[k * T + t], 0)),
      );
    }
  }

  /** What hiding the chosen patches does to each word. */
  async lost() {
    const { data, s } = this.answer,
      { tokens, how } = s;
    this.#again.replaceChildren();
    if (!data.words.length) {
      this.#loss.textContent = 'The answer is empty.';
      this.#used.classList.remove('stale');
      return;
    }
    const reply = await this.answer.ask('hidden', { group: 'hidden' });
    if (tokens !== s.tokens || how !== s.how) return;
    this.#used.classList.remove('stale');
    this.table.lost(reply.error ? null : reply);
    this.#loss.textContent = reply.error || lossInWords(data.words, reply, tokens.length > 1);
  }

  /** What the lens says at the chosen patches, where that is open. */
  async spoken() {
    const { s } = this.answer,
      { tokens } = s;
    if (!this.says.open) return;
    const reply = await this.answer.ask('says', { group: 'says' });
    if (tokens !== s.tokens) return;
    this.#lens.classList.remove('stale');
    this.#lens.replaceChildren(reply.error ? make('p', 'fv-error', reply.error) : lensTable(reply));
    if (!reply.error) this.answer.keepIfStill('says', () => tokens === s.tokens && this.says.open);
  }

  /** Let the model answer again with the chosen patches hidden. */
  async #anew() {
    const { s } = this.answer,
      { tokens, how } = s,
      reply = await this.answer.ask('again', { text: 'Answering', group: 'again' });
    if (tokens !== s.tokens || how !== s.how) return;
    const done = how === 'mean' ? 'with the mean patch in their place' : 'with no text attending to them',
      line = make('p', reply.error ? 'fv-error' : 'fv-quiet', reply.error || `Answered again, greedily, ${done}: `);
    if (!reply.error) line.append(make('bdi', 'fv-pmono', (reply.text || '(nothing)') + (reply.ended ? '' : ' \u2026')));
    this.#again.replaceChildren(line);
  }

  /** Whether what the decoder says at patches can be believed is measured when asked for. */
  async #measureLens() {
    const { answer } = this,
      reply = await answer.ask('measure', { text: 'Measuring lens health', group: 'measure' });
    if (!answer.current) return;
    if (reply.error) {
      this.#health.append(make('p', 'fv-error', reply.error === 'Stopped.' ? STOPPED : reply.error));
      return;
    }
    const opened = answer.requests.known({ kind: 'open', run: answer.run });
    if (opened) opened.lens = reply.lens;
    answer.data.lens = reply.lens;
    this.#showHealth();
  }

  #showHealth() {
    this.#health.replaceChildren(lensNote(this.answer.data.lens, () => this.#measureLens()));
  }
}
