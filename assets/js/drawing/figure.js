// Maps as a file: what is on the page, drawn once more as SVG with picture and map inside it; PNG is that, rasterised.

import { bytes, digits } from '../dom/format.js';
import { button, make, shape, SVG } from '../dom/make.js';
import { saveFile } from '../dom/share.js';
import { rampOf } from './scales.js';

/** @typedef {import('./heatmap.js').HeatMap} HeatMap */
/** @typedef {{title: string, note?: string, scale?: import('./scales.js').Scale, signed?: boolean, unit?: string}} Caption no scale: colours */
/** @typedef {[SVGElement[], number]} Drawn nodes, and where they end */

const WIDTH = 640,
  MARGIN = 16,
  INNER = WIDTH - 2 * MARGIN,
  GAP = 12,
  LINE = 18,
  MOST_LETTERS = 92,
  MOST_PX = 1024,
  INK = '#1e293b';

/**
 * A picture or a canvas as a data address, so that the file needs nothing else.
 * @param {HTMLImageElement | HTMLCanvasElement} source
 * @param {number} width
 * @param {number} height
 */
const asData = (source, width, height) => {
  const canvas = make('canvas');
  canvas.width = width;
  canvas.height = height;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  pen.imageSmoothingEnabled = source instanceof HTMLImageElement;
  pen.drawImage(source, 0, 0, width, height);
  return canvas.toDataURL('image/png');
};

/** @param {string} text */
const wrapped = (text) => {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.pop();
    if (last && last.length + word.length > MOST_LETTERS) lines.push(last, word);
    else lines.push(last ? `${last} ${word}` : word);
  }
  return lines;
};

/**
 * Text in lines below `top`.
 * @param {string} text
 * @param {number} top
 * @param {Record<string, string | number>} look
 * @returns {Drawn}
 */
const written = (text, top, look) => {
  const lines = wrapped(text).filter(Boolean);
  return [
    lines.map((line, i) => shape('text', { x: MARGIN, y: top + LINE * (i + 1) - 4, fill: INK, ...look }, line)),
    top + LINE * lines.length,
  ];
};

/**
 * What the map comes to on each frame of a video.
 * @param {HeatMap} heat
 * @param {number} top
 * @returns {Drawn}
 */
const drawnFrames = (heat, top) => {
  const { when } = heat;
  if (!when) return [[], top];
  const [bars, tall] = when.drawn(INNER),
    group = shape('g', { transform: `translate(${MARGIN} ${top + 8})` }),
    each = heat.spots.flatMap(({ picture }, k) => (picture.time_s === null ? [] : [when.words(k)])).join('; '),
    heading = (when.node.getAttribute('aria-label') || '').toLowerCase();
  group.append(...bars);
  const [lines, below] = written(`Above: ${heading}: ${each}.`, top + tall + 4, { 'font-size': 12 });
  return [[group, ...lines], below];
};

/**
 * One picture with its map and lines, `width` wide.
 * @param {import('./heatmap.js').Spot} spot
 * @param {number} width
 * @param {number} left
 * @param {number} top
 */
const drawnSpot = (spot, width, left, top) => {
  const [w, h] = spot.picture.size,
    height = (width * h) / w,
    times = width / w,
    group = shape('g', { transform: `translate(${left} ${top})` }),
    place = { x: 0, y: 0, width, height, preserveAspectRatio: 'none' },
    most = Math.min(w, MOST_PX);
  const picture = asData(spot.img, most, Math.round((most * h) / w)),
    drawn = asData(spot.canvas, spot.canvas.width, spot.canvas.height),
    inner = shape('g', { transform: `scale(${times})`, fill: 'none', 'stroke-width': 1.5 / times, stroke: '#fff' });
  for (const line of spot.svg.querySelectorAll('.fv-line:not(.cursor):not(.band)')) {
    const copy = /** @type {SVGElement} */ (line.cloneNode());
    copy.removeAttribute('class');
    copy.setAttribute('stroke', getComputedStyle(line).stroke);
    inner.append(copy);
  }
  group.append(
    shape('image', { ...place, href: picture }),
    shape('image', { ...place, href: drawn, style: 'image-rendering: pixelated' }),
    inner,
  );
  return group;
};

/**
 * The pictures in view, one to three in a row.
 * @param {HeatMap} heat
 * @param {number} top
 * @returns {Drawn}
 */
const drawnSpots = (heat, top) => {
  const nodes = [],
    spots = heat.inView(),
    named = heat.spots.length > 1 || heat.when ? LINE : 0,
    columns = spots.length > 3 ? 3 : spots.length > 1 ? 2 : 1,
    width = (INNER - GAP * (columns - 1)) / columns;
  let row = 0;
  for (const [i, spot] of spots.entries()) {
    const [w, h] = spot.picture.size,
      left = MARGIN + (i % columns) * (width + GAP);
    if (named) nodes.push(shape('text', { x: left, y: top + LINE - 2, 'font-size': 12, fill: INK }, spot.caption));
    nodes.push(drawnSpot(spot, width, left, top + 4 + named));
    row = Math.max(row, (width * h) / w + 12 + named);
    if (i % columns === columns - 1 || i === spots.length - 1) {
      top += row;
      row = 0;
    }
  }
  return [nodes, top];
};

/**
 * @param {Caption} caption
 * @param {number} top
 * @returns {Drawn}
 */
const drawnScale = ({ scale, signed, unit }, top) => {
  if (!scale) return [[], top];
  const stops = shape('linearGradient', { id: `ramp-${signed ? 'two' : 'one'}` });
  rampOf(signed).forEach((c, i) => {
    if (i % 15 === 0) stops.append(shape('stop', { offset: i / 255, 'stop-color': `rgb(${c})` }));
  });
  const ends = { y: top + 25, 'font-size': 12, fill: INK };
  return [
    [
      stops,
      shape('rect', { x: MARGIN, y: top, width: INNER, height: 10, fill: `url(#${stops.id})` }),
      shape('text', { ...ends, x: MARGIN, 'text-anchor': 'start' }, digits(scale.low)),
      shape('text', { ...ends, x: WIDTH / 2, 'text-anchor': 'middle' }, `${unit}, ${scale.text}`),
      shape('text', { ...ends, x: WIDTH - MARGIN, 'text-anchor': 'end' }, digits(scale.high)),
    ],
    top + 10 + LINE + 8,
  ];
};

/**
 * One map with its heading, notes and scale.
 * @param {HeatMap} heat
 * @param {Caption} caption
 * @param {number} top
 * @returns {Drawn}
 */
const drawnMap = (heat, caption, top) => {
  const nodes = [];
  for (const part of [
    (/** @type {number} */ at) => written(caption.title, at, { 'font-size': 15, 'font-weight': 600 }),
    (/** @type {number} */ at) => written(caption.note || '', at, { 'font-size': 12, 'font-weight': 400 }),
    (/** @type {number} */ at) => (caption.scale ? drawnFrames(heat, at) : /** @type {Drawn} */ ([[], at])),
    (/** @type {number} */ at) => drawnSpots(heat, at),
    (/** @type {number} */ at) => drawnScale(caption, at),
  ]) {
    const [some, below] = part(top);
    nodes.push(...some);
    top = below;
  }
  return [nodes, top];
};

/**
 * @param {string} about
 * @param {[HeatMap, Caption][]} maps
 */
const figureOf = (about, maps) => {
  const svg = shape('svg', { xmlns: SVG, 'font-family': 'system-ui, sans-serif', width: WIDTH }),
    [lines, below] = written(about, 8, { 'font-size': 12, fill: '#566070' });
  let top = below;
  svg.append(shape('rect', { width: '100%', height: '100%', fill: '#fff' }), ...lines);
  for (const [heat, caption] of maps) {
    const [nodes, end] = drawnMap(heat, caption, top + 4);
    svg.append(...nodes);
    top = end;
  }
  svg.setAttribute('height', String(Math.ceil(top + 8)));
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${Math.ceil(top + 8)}`);
  return svg;
};

/**
 * @param {string} text
 * @param {number} width
 * @param {number} height
 * @returns {Promise<Blob>}
 */
const rastered = (text, width, height) =>
  new Promise((done, failed) => {
    const img = new Image(),
      canvas = make('canvas');
    canvas.width = 2 * width;
    canvas.height = 2 * height;
    img.onload = () => {
      canvas.getContext('2d')?.drawImage(img, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error('no picture'))), 'image/png');
    };
    img.onerror = () => failed(new Error('no picture'));
    img.src = URL.createObjectURL(new Blob([text], { type: 'image/svg+xml' }));
  });

/**
 * @param {string} kind
 * @param {SVGSVGElement} svg
 * @param {string} name
 */
const saveFigure = async (kind, svg, name) => {
  const text = new XMLSerializer().serializeToString(svg);
  if (kind === 'svg') saveFile(text, 'image/svg+xml', `${name}.svg`);
  else saveFile(await rastered(text, WIDTH, Number(svg.getAttribute('height'))), 'image/png', `${name}.png`);
};

/**
 * Offer what is shown as a file of a kind: 'npz', 'md', 'svg' or 'png'.
 * @param {string} kind
 * @param {{name: string, numbers?: string, page?: string}} file `numbers` in base64, `page` as Markdown
 * @param {{checkpoint: string, question: string, words: string[], maps: () => [HeatMap, Caption][]}} about
 * @returns {Promise<string>} what went wrong; empty where nothing did
 */
export const saveMaps = async (kind, { name, numbers = '', page = '' }, { checkpoint, question, words, maps }) => {
  if (kind === 'npz') saveFile(bytes(numbers), 'application/octet-stream', `${name}.npz`);
  else if (kind === 'md') saveFile(page, 'text/markdown', `${name}.md`);
  else {
    const about = `${checkpoint}. ${question.slice(0, 200)} \u2192 ${words.join('').trim().slice(0, 200)}`;
    try {
      await saveFigure(kind, figureOf(about, maps()), name);
    } catch {
      return 'The picture could not be made here. Take the SVG.';
    }
  }
  return '';
};

/** @param {(kind: string) => void} act */
export const exportMenu = (act) => {
  const box = make('details', 'fv-export'),
    bar = make('div', 'fv-actions');
  box.append(make('summary', '', 'Export'), bar);
  const kinds = [
    ['png', 'PNG', 'The figure as a picture'],
    ['svg', 'SVG', 'The figure with its text as text'],
    ['npz', 'NPZ', 'Raw values, where each lies, and all parameters'],
    ['md', 'Markdown', 'A page on this map, for the PNG beside it'],
  ];
  for (const [kind, text, title] of kinds) bar.append(button('fv-mini', text, title, () => act(kind)));
  return box;
};
