// What replies come to on the picture, by the map that is shown.

import { digits, floats, shown } from '../dom/format.js';
import { make } from '../dom/make.js';
import { HeatMap } from '../drawing/heatmap.js';
import { broughtView } from '../drawing/patching_table.js';
import { colourBar, scaleOf } from '../drawing/scales.js';
import { toCells } from './cells.js';

/** @typedef {import('./map_side.js').MapSide} MapSide */
/** @typedef {import('../dom/request.js').Reply} Reply */

/** @param {string} text */
const quoted = (text) => `\u201c${shown(text)}\u201d`;

/** @param {MapSide} side */
const titleNow = ({ answer: { s, data, where } }) => {
  const title = data.titles[s.map][0];
  if (['alike', 'seen', 'between'].includes(s.map)) return `${title}: ${where}`;
  if (s.map === 'used') return `${title}: ${quoted(data.words[s.word].t)}`;
  return s.map === 'like_word' ? `${title}: \u201c${s.typed}\u201d` : title;
};

/**
 * @param {MapSide} side
 * @param {ArrayLike<number>} values by token
 * @param {boolean} signed
 * @param {string} unit
 */
const paintScores = (side, values, signed, unit) => {
  const { heat, answer } = side,
    { opacity, smooth, cut } = answer.s,
    scores = toCells(values, answer.data, heat.cells.length),
    scale = scaleOf([scores], cut ? 'percentile' : 'linear', signed),
    fold = unit === 'cosine' ? 'highest' : 'sum',
    bar = colourBar({ scale, signed, unit, opacity });
  side.scores = scores;
  heat.show({ scores, scale, signed, unit, fold, opacity, smooth });
  side.marker = bar.at;
  side.scale.replaceChildren(bar.node);
  side.read();
  heat.now = { title: titleNow(side), scale, signed, unit };
  side.drawn = [heat];
  answer.keepSoon();
};

/**
 * @param {HeatMap} heat
 * @param {import('./cells.js').Geometry} from
 * @param {string} text colours by token, in base64
 * @param {number} opacity
 */
const paintColours = (heat, from, text, opacity) => {
  const colours = toCells(floats(text), from, heat.cells.length, 3);
  heat.show({ colours, opacity, tell: (cell) => [0, 1, 2].map((i) => digits(colours[3 * cell + i])).join(' ') });
};

/**
 * Attention on sinks counts as none, where that is wanted.
 * @param {MapSide} side
 * @param {Float32Array} values by token
 */
const setAside = ({ answer }, values) => {
  if (!answer.s.aside) return values;
  const found = values.slice();
  for (const t of answer.sinks) found[t] = 0;
  return found;
};

/**
 * @param {MapSide} side
 * @param {Reply} reply
 */
const paintOther = (side, reply) => {
  const other = new HeatMap(reply.other.pictures, { label: 'The other picture' }),
    frame = make('div', 'fv-pframe'),
    mixing = reply.other.mixing && floats(reply.other.mixing);
  frame.append(other.node);
  side.second.append(make('p', 'fv-quiet', 'The other picture'), frame);
  paintColours(other, { ...reply.other, mixing }, reply.other.colours, side.answer.s.opacity);
  other.now = { title: 'The other picture' };
  side.drawn = [side.heat, other];
};

/** @type {Record<string, (side: MapSide, reply: Reply) => void>} */
export const painters = {
  alike: (side, reply) => paintScores(side, side.answer.rowsOf(reply), true, 'cosine'),
  like_word: (side, reply) => {
    paintScores(side, side.answer.numbers(reply, 'row'), true, 'cosine');
    side.note(`Read as ${reply.pieces.map(quoted).join(' + ')}.`);
  },
  seen: (side, reply) => {
    const { answer } = side;
    paintScores(side, setAside(side, answer.rowsOf(reply, answer.s.way === 'from')), false, 'attention');
  },
  used: (side, reply) => {
    const { answer } = side,
      { s, data } = answer,
      T = data.cell.length,
      values = reply.matrix ? answer.numbers(reply, 'matrix').slice(s.word * T, (s.word + 1) * T) : answer.numbers(reply, 'row'),
      mass = values.reduce((a, b) => a + b, 0);
    paintScores(side, setAside(side, values), false, 'attention');
    side.note(
      `${quoted(data.words[s.word].t)}: ${digits(mass)} of its attention falls on the picture, ${digits(1 - mass)} on text.`,
    );
  },
  coloured: (side, reply) => {
    const { heat, answer } = side,
      joint = reply.other ? ' over both pictures together: one fit, so a colour means the same in both' : '';
    paintColours(heat, answer.data, reply.colours, answer.s.opacity);
    side.read();
    heat.now = { title: titleNow(side) };
    side.drawn = [heat];
    answer.keepSoon();
    side.second.classList.remove('stale');
    side.second.replaceChildren();
    side.scale.replaceChildren(
      make(
        'p',
        'fv-quiet',
        `Each component from its 1st to its 99th percentile${joint}. Outlying patches take no part in the fit.`,
      ),
    );
    if (reply.other) paintOther(side, reply);
  },
  between: (side, reply) => {
    const { answer } = side,
      T = answer.data.cell.length,
      at = Math.min(answer.s.depth, reply.depths.length - 1);
    paintScores(side, answer.numbers(reply, 'blocks').slice(at * T, (at + 1) * T), true, 'share');
    side.second.classList.remove('stale');
    side.second.replaceChildren(...broughtView(/** @type {any} */ (reply), answer.s.tokens.length > 1));
  },
};
