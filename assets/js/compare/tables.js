// A question set with the questions that differ first, and what the votes say.

import { pick, tick } from '../dom/fields.js';
import { button, make } from '../dom/make.js';
import { saveFile } from '../dom/share.js';
import { figureTable, part } from './parts.js';

/** @typedef {[text: string, numeric?: boolean, title?: string]} Head */

/**
 * Which votes, and all of them as a file.
 * @param {any} value
 * @param {(given: {kind: string, blind: boolean}) => void} choose
 */
const votesHead = (value, choose) => {
  const head = make('div', 'fv-actions'),
    { kind, kinds, blind, blinds, votes, mine, csv, json } = value,
    many = votes === 1 ? '1 vote' : `${votes} votes`;
  if (kinds.length > 1 || kind) {
    const all = kinds.map((/** @type {[string, number]} */ [name, n]) => [name, `${name} (${n})`]),
      box = pick('Kind of question', [['', 'all'], ...all], kind, (chosen) => choose({ kind: chosen, blind }));
    box.select.id = 'compare-kind';
    head.append(box.node);
  }
  head.append(
    tick('Blind votes only', blind, (only) => choose({ kind, blind: only })).node,
    make('span', 'fv-quiet', `${many}, ${blinds} blind${mine ? ', of this session' : ''}`),
  );
  if (votes)
    head.append(
      button('fv-mini', 'CSV', 'All these votes as a table', () => saveFile(csv, 'text/csv', 'votes.csv')),
      button('fv-mini', 'JSON', 'All these votes as a list of objects', () => saveFile(json, 'application/json', 'votes.json')),
    );
  return head;
};

/**
 * @param {any} value
 * @param {(given: {kind: string, blind: boolean}) => void} choose
 */
export const votesView = (value, choose) => {
  /** @type {HTMLElement[]} */
  const nodes = [votesHead(value, choose)],
    { names, note, why, pairs, reasons, latest } = value;
  if (!value.votes) return [...nodes, make('p', 'fv-empty', 'No votes yet. Compare two columns and say which is better.')];
  const strengths = names.some((/** @type {any[]} */ row) => row[5]),
    /** @type {Head[]} */
    figures = [
      ['won', true],
      ['lost', true],
      ['tied', true],
      ['win rate, 95 %', true],
    ],
    /** @type {Head[]} */
    heads = [['column'], ...figures, ...(strengths ? [/** @type {Head} */ (['strength, 95 %', true])] : [])],
    rows = names.map((/** @type {any[]} */ row) => row.slice(0, heads.length));
  nodes.push(part('Columns', figureTable(heads, rows), make('p', 'fv-quiet', note)));
  if (why) nodes.push(make('p', 'fv-note', why));
  if (pairs.length > 1) nodes.push(part('Pairs', figureTable([['column'], ['against'], ...figures], pairs)));
  if (reasons.length) {
    const told = reasons.map((/** @type {[string, number]} */ [reason, n]) => `${reason} ${n}`).join(', ');
    nodes.push(part('Reasons', make('p', 'fv-quiet', told)));
  }
  nodes.push(part('Latest votes', figureTable([['question'], ['preferred'], ['how']], latest)));
  return nodes;
};

/** @param {{share: number, stage: string}} value */
const setProgress = ({ share, stage }) => {
  const line = make('div', 'fv-progress'),
    bar = make('progress');
  bar.max = 1;
  bar.value = share;
  bar.setAttribute('aria-label', 'Questions asked');
  line.append(bar, make('span', '', stage));
  return line;
};

/** @param {{right: boolean | null, text: string, error?: string}} answer */
const answerCell = ({ right, text, error }) => {
  const [className, mark] = right === true ? ['good', '\u2713 '] : right === false ? ['bad', '\u2717 '] : ['', ''],
    cell = make('span', className, mark + text);
  if (error) cell.title = error;
  return cell;
};

/** @param {any} value */
export const setView = (value) => {
  const nodes = [],
    { columns, tests, kinds, rows, letters, notes, meaning, heading, more } = value;
  if (value.running) nodes.push(setProgress(value));
  for (const note of notes) nodes.push(make('p', 'fv-note', note));
  if (columns.length)
    nodes.push(
      part('Right answers', figureTable([['column'], ['right', true], ['share, 95 %', true], ['failed', true]], columns)),
    );
  if (tests.length) {
    /** @type {Head[]} */
    const heads = [
      ['pair'],
      ['both right', true],
      ['first only', true],
      ['second only', true],
      ['neither', true],
      ['p', true, 'Exact McNemar, two-sided'],
    ];
    nodes.push(part('Is the difference real?', figureTable(heads, tests), make('p', 'fv-quiet', meaning)));
  }
  if (kinds.length) {
    const heads = letters.map((/** @type {string} */ letter) => [letter, true]);
    nodes.push(part('By kind of question', figureTable([['kind'], ['n', true], ...heads], kinds)));
  }
  if (!rows.length) return nodes;
  const heads = letters.map((/** @type {string} */ letter) => [letter]),
    asked = rows.map((/** @type {any} */ row) => [row.index, row.question, row.truth, ...row.answers.map(answerCell)]);
  nodes.push(part(heading, figureTable([['#', true], ['question'], ['truth'], ...heads], asked)));
  if (more) nodes.push(make('p', 'fv-quiet', more));
  return nodes;
};
