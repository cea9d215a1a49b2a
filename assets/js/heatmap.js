// Heat over pictures: numbers of patches drawn over the pictures they belong to. To draw asks the server nothing.
//
//   floats(base64)                              -> Float32Array, as `_overlay.py` packs it
//   scaleOf([scores, ...], how, signed)         -> {low, high, text}; how is 'linear' or 'percentile'; several maps share one scale
//   heatmap(pictures, {label, raster, pick, region, hover, small, alone}) -> map; put `map.node` into the page. `pictures` is what
//       `_overlay.pictures_view` gives: [{url, name, label, time_s, size: [w, h], views: [{box, rows, cols, name}]}]. Cells are numbered
//       through all views of all pictures, row by row. `pick(cell)` is a click or Enter, `region(cells)` a drag,
//       `hover(cell or -1, keys?)` where pointer or keyboard cursor is; `keys` says whether Shift was held, undefined for a pointer.
//       `start()` is the cell that arrow keys set out from; without it, the highest. A finger scrolls the page as everywhere;
//       where one can be used, a button under the pictures makes it draw regions instead. Over frames of a video stands
//       what the map comes to on each (frames.js); choosing one shows it alone and tells `alone(k)`, -1 for all.
//   map.only(k)                                 shows the k-th picture alone, -1 all
//   map.show({scores, scale, signed, unit, opacity, smooth, fold})  paints scores [cells]; NaN where no token looks
//   map.show({colours, tell, opacity})           paints colours [cells * 3], 0 to 1; `tell(cell)` says what one is
//   map.mark(kind, cells)                       frames cells; kinds: 'sink', 'chosen'
//   map.frame(boxes)                            draws [{picture, box, name}] in source pixels
//   map.words(cell)                             -> "row 3, column 5: .0123 attention"
//   colourBar({scale, signed, unit, opacity})   -> node; node.at(value) moves its marker, null hides it
const VIRIDIS = ['440154', '472d7b', '3b528b', '2c728e', '21918c', '28ae80', '5ec962', 'addc30', 'fde725'];
const DIVERGING = ['0b4f8a', '2f7fbf', '7fb3dc', 'c9dff0', 'f4f4f2', 'fbdcb8', 'f2a65a', 'd9731a', '9a4300'];
const RASTER = 512, SVG = 'http://www.w3.org/2000/svg';
const shape = (tag, values) => { const node = document.createElementNS(SVG, tag); for (const [k, v] of Object.entries(values)) node.setAttribute(k, v); return node; };
const ramp = (stops) => Array.from({ length: 256 }, (_, i) => {
  const at = i / 255 * (stops.length - 1), k = Math.min(stops.length - 2, Math.floor(at)), part = at - k;
  return [0, 2, 4].map((c) => Math.round(parseInt(stops[k].slice(c, c + 2), 16) * (1 - part) + parseInt(stops[k + 1].slice(c, c + 2), 16) * part));
});
const RAMPS = [ramp(VIRIDIS), ramp(DIVERGING)];
const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
// A number as it is read: three digits, no noise.
const digits = (v) => {
  if (!Number.isFinite(v)) return '\u2013';
  const size = Math.abs(v);
  const text = size === 0 ? '0' : size >= 1000 || size < 0.0001 ? v.toExponential(1) : size >= 100 ? v.toFixed(0) : v.toPrecision(size >= 0.001 ? 3 : 2);
  return text.replace(/^(-?)0\./, '$1.').replace('-', '\u2212');
};
const scaleOf = (maps, how, signed) => {
  const all = []; for (const map of maps) for (const v of map) if (Number.isFinite(v)) all.push(v);
  if (!all.length) return { low: 0, high: 1, text: 'nothing to show' };
  const many = maps.length > 1 ? `, one scale for ${maps.length} maps` : '';
  if (signed) {
    const sizes = all.map(Math.abs).sort((a, b) => a - b), top = how === 'percentile' ? sizes[Math.floor(0.99 * (sizes.length - 1))] : sizes[sizes.length - 1];
    return { low: -(top || 1), high: top || 1, text: (how === 'percentile' ? 'linear about 0, cut at the 99th percentile' : 'linear about 0') + many };
  }
  all.sort((a, b) => a - b);
  if (how !== 'percentile') return { low: Math.min(0, all[0]), high: all[all.length - 1] || 1, text: 'linear from 0' + many };
  const at = (share) => all[Math.round(share * (all.length - 1))], low = at(0.01), high = at(0.99);
  return { low, high: high > low ? high : low + (Math.abs(low) || 1), text: 'linear, 1st to 99th percentile' + many };
};
// What is drawn on one picture: for every pixel of the raster which cells it shows, by view.
const layout = (picture, starts, side) => {
  const [w, h] = picture.size, times = Math.min(1, side / Math.max(w, h)), W = Math.max(1, Math.round(w * times)), H = Math.max(1, Math.round(h * times));
  const span = (from, to, count, size, many) => {
    const first = Math.max(0, Math.ceil(from * many / size - 0.5 - 1e-9)), last = Math.min(many, Math.ceil(to * many / size - 0.5 - 1e-9));
    const place = Float32Array.from({ length: Math.max(0, last - first) }, (_, i) => ((first + i + 0.5) * size / many - from) / (to - from) * count);
    return { first, place, cell: Int32Array.from(place, (p) => Math.max(0, Math.min(count - 1, Math.floor(p)))) };
  };
  const views = picture.views.map((view, i) => {
    const [x0, y0, x1, y1] = view.box;
    return { ...view, start: starts[i], xs: span(x0, x1, view.cols, w, W), ys: span(y0, y1, view.rows, h, H) };
  });
  return { W, H, views };
};
// Little is drawn thinly, so that the picture is seen where nothing was found: a fifth of the opacity at zero, all of it at the ends.
const alphaOf = (signed, at, opacity) => Math.round(255 * opacity * (0.2 + 0.8 * (signed ? Math.abs(at - 127.5) / 127.5 : at / 255)));
const NOTHING = [0x8c9a9a9a, 0xe0404040]; // hatched: no token looks there
const hatch = (x, y) => NOTHING[(x + y) % 9 < 2 ? 1 : 0];
const tableOf = (signed, opacity) => Uint32Array.from(RAMPS[signed ? 1 : 0], ([r, g, b], i) => (alphaOf(signed, i, opacity) << 24 | b << 16 | g << 8 | r) >>> 0);
// What nothing was drawn on is hatched. No colour of the ramps is 0, however clear it is.
const finished = (context, image, pixels, W) => {
  let unseen = false; for (let p = 0; p < pixels.length; p++) if (!pixels[p]) { pixels[p] = hatch(p % W, Math.floor(p / W)); unseen = true; }
  context.putImageData(image, 0, 0); return unseen;
};
// One view, its cells as they are: each row of cells is painted once and copied down. About a millisecond.
const paintCells = (context, { W, H, views: [{ start, cols, xs, ys }] }, { scores, scale, signed, opacity }) => {
  const image = context.createImageData(W, H), pixels = new Uint32Array(image.data.buffer), table = tableOf(signed, opacity), times = 255 / (scale.high - scale.low);
  for (let j = 0; j < ys.cell.length; j++) {
    const line = (ys.first + j) * W + xs.first, first = start + ys.cell[j] * cols;
    if (j && ys.cell[j] === ys.cell[j - 1]) { pixels.copyWithin(line, line - W, line - W + xs.cell.length); continue; }
    for (let i = 0; i < xs.cell.length; i++) {
      const v = scores[first + xs.cell[i]], at = Math.round((v - scale.low) * times); if (v === v) pixels[line + i] = table[at < 0 ? 0 : at > 255 ? 255 : at];
    }
  }
  return finished(context, image, pixels, W);
};
const paint = (context, plan, values) => {
  const { scores, scale, signed, opacity, smooth } = values; if (plan.views.length === 1 && !smooth) return paintCells(context, plan, values);
  const { W, H, views } = plan, sum = new Float32Array(W * H), count = new Uint8Array(W * H);
  for (const { start, cols, rows, xs, ys } of views) {
    for (let j = 0; j < ys.cell.length; j++) {
      const line = (ys.first + j) * W + xs.first, r = ys.cell[j], py = Math.max(0, Math.min(rows - 1, ys.place[j] - 0.5)), r0 = Math.floor(py), r1 = Math.min(rows - 1, r0 + 1), fy = py - r0;
      for (let i = 0; i < xs.cell.length; i++) {
        let v = scores[start + r * cols + xs.cell[i]];
        if (v !== v) continue;
        if (smooth) {
          const px = Math.max(0, Math.min(cols - 1, xs.place[i] - 0.5)), c0 = Math.floor(px), c1 = Math.min(cols - 1, c0 + 1), fx = px - c0;
          const mixed = (scores[start + r0 * cols + c0] * (1 - fx) + scores[start + r0 * cols + c1] * fx) * (1 - fy)
            + (scores[start + r1 * cols + c0] * (1 - fx) + scores[start + r1 * cols + c1] * fx) * fy;
          if (mixed === mixed) v = mixed;
        }
        sum[line + i] += v; count[line + i]++;
      }
    }
  }
  const image = context.createImageData(W, H), pixels = new Uint32Array(image.data.buffer); // [H, W]
  const table = tableOf(signed, opacity), times = 255 / (scale.high - scale.low);
  for (let p = 0; p < pixels.length; p++) if (count[p]) { const at = Math.round((sum[p] / count[p] - scale.low) * times); pixels[p] = table[at < 0 ? 0 : at > 255 ? 255 : at]; }
  return finished(context, image, pixels, W);
};
// Colours of cells instead of scores: no scale, no smoothing. A smaller cell is drawn over a larger one.
const tint = (context, { W, H, views }, { colours, opacity }) => {
  const image = context.createImageData(W, H), pixels = new Uint32Array(image.data.buffer), alpha = Math.round(255 * opacity) << 24;
  const size = (view) => (view.box[2] - view.box[0]) * (view.box[3] - view.box[1]) / view.rows / view.cols;
  for (const { start, cols, xs, ys } of [...views].sort((a, b) => size(b) - size(a))) {
    for (let j = 0; j < ys.cell.length; j++) {
      for (let i = 0; i < xs.cell.length; i++) {
        const at = 3 * (start + ys.cell[j] * cols + xs.cell[i]); if (!Number.isFinite(colours[at])) continue;
        const [r, g, b] = [0, 1, 2].map((c) => Math.round(255 * colours[at + c]));
        pixels[(ys.first + j) * W + xs.first + i] = (alpha | b << 16 | g << 8 | r) >>> 0;
      }
    }
  }
  return finished(context, image, pixels, W);
};
const colourBar = ({ scale, signed, unit, opacity = 1 }) => {
  const node = make('div', 'fv-scale'), strip = make('canvas', 'fv-scale-strip'), marker = make('span', 'fv-scale-at'), ends = make('div', 'fv-scale-ends');
  strip.width = 256; strip.height = 1; strip.style.opacity = opacity; marker.hidden = true;
  const pen = strip.getContext('2d'), image = pen.createImageData(256, 1);
  RAMPS[signed ? 1 : 0].forEach((colour, i) => image.data.set([...colour, 255], 4 * i)); pen.putImageData(image, 0, 0);
  ends.append(make('span', '', digits(scale.low)), make('span', 'fv-scale-unit', unit), make('span', '', digits(scale.high)));
  const box = make('div', 'fv-scale-box'); box.append(strip, marker); node.append(box, ends, make('div', 'fv-scale-how', scale.text));
  node.setAttribute('role', 'img'); node.setAttribute('aria-label', `Colours from ${digits(scale.low)} to ${digits(scale.high)} ${unit}, ${scale.text}`);
  node.at = (v) => {
    marker.hidden = v === null || !Number.isFinite(v);
    if (!marker.hidden) marker.style.left = 100 * Math.max(0, Math.min(1, (v - scale.low) / (scale.high - scale.low))) + '%';
  };
  return node;
};
const heatmap = (pictures, options = {}) => {
  const node = make('div', 'fv-heat' + (pictures.length > 1 ? ' many' : '')), side = options.raster || RASTER; node.style.setProperty('--across', Math.min(4, pictures.length));
  const cells = [], marks = {}; let shownNow = null, cursor = -1, frames = [], drawing = false;
  const spots = pictures.map((picture, k) => {
    const starts = picture.views.map((view) => {
      const start = cells.length, [x0, y0, x1, y1] = view.box, cw = (x1 - x0) / view.cols, ch = (y1 - y0) / view.rows;
      for (let r = 0; r < view.rows; r++) for (let c = 0; c < view.cols; c++) cells.push({ picture: k, view, start, row: r, col: c, box: [x0 + c * cw, y0 + r * ch, x0 + (c + 1) * cw, y0 + (r + 1) * ch] });
      return start;
    });
    const figure = make('figure', 'fv-heat-picture'), frame = make('div', 'fv-heat-frame'), img = make('img'), canvas = make('canvas'), plan = layout(picture, starts, side);
    img.src = picture.url; img.alt = ''; img.draggable = false; canvas.width = plan.W; canvas.height = plan.H; frame.style.setProperty('--aspect', picture.size[0] / picture.size[1]);
    const svg = shape('svg', { viewBox: `0 0 ${picture.size[0]} ${picture.size[1]}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    frame.append(img, canvas, svg); figure.append(frame);
    const frameOf = picture.time_s !== null, called = picture.label.replace(/^./, (c) => c.toUpperCase()), caption = frameOf || !picture.name ? called : `${called}: ${picture.name}`;
    if (pictures.length > 1 || frameOf) figure.append(make('figcaption', 'fv-quiet', caption));
    node.append(figure);
    return { picture, plan, figure, frame, canvas, svg, caption, context: canvas.getContext('2d') };
  });
  let alone = -1;
  const inView = () => spots.filter((_, k) => alone < 0 || k === alone);
  const repaint = (some) => some.map((spot) => (shownNow.colours ? tint : paint)(spot.context, spot.plan, shownNow));
  const when = frameStrip(pictures, { small: options.small, choose: (k) => { map.only(k); if (options.alone) options.alone(k); } });
  if (when) { when.node.hidden = true; node.prepend(when.node); }
  const rect = ([x0, y0, x1, y1], kind) => [shape('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: 'fv-halo' }), shape('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: 'fv-line ' + kind })];
  // The outer edge of some cells: no line between two of them.
  const edge = (chosen, k, [w, h], kind) => {
    const inside = new Set(chosen), path = [], x = (v) => Math.max(0, Math.min(w, v)), y = (v) => Math.max(0, Math.min(h, v));
    for (const i of inside) {
      const cell = cells[i]; if (!cell || cell.picture !== k) continue;
      const { view, start, row, col, box: [x0, y0, x1, y1] } = cell, held = (r, c) => r >= 0 && c >= 0 && r < view.rows && c < view.cols && inside.has(start + r * view.cols + c);
      if (!held(row - 1, col)) path.push(`M${x(x0)} ${y(y0)}H${x(x1)}`);
      if (!held(row + 1, col)) path.push(`M${x(x0)} ${y(y1)}H${x(x1)}`);
      if (!held(row, col - 1)) path.push(`M${x(x0)} ${y(y0)}V${y(y1)}`);
      if (!held(row, col + 1)) path.push(`M${x(x1)} ${y(y0)}V${y(y1)}`);
    }
    return path.length ? ['fv-halo', 'fv-line ' + kind].map((name) => shape('path', { d: path.join(''), class: name })) : [];
  };
  const trim = ([x0, y0, x1, y1], [w, h]) => [Math.max(0, x0), Math.max(0, y0), Math.min(w, x1), Math.min(h, y1)];
  const lines = () => spots.forEach(({ picture, svg }, k) => {
    const found = [];
    if (picture.views.length > 1) for (const view of picture.views) found.push(...rect(trim(view.box, picture.size), 'seam'));
    for (const frame of frames) if (frame.picture === k) found.push(...rect(frame.box, 'truth'));
    for (const [kind, chosen] of Object.entries(marks)) found.push(...edge(chosen, k, picture.size, kind));
    if (cursor >= 0 && cells[cursor].picture === k) found.push(...rect(trim(cells[cursor].box, picture.size), 'cursor'));
    svg.replaceChildren(...found);
  });
  const where = (cell) => {
    const { picture, view, row, col } = cells[cell], parts = [];
    if (pictures.length > 1) parts.push(pictures[picture].label);
    if (pictures[picture].views.length > 1) parts.push(view.name);
    return [...parts, `row ${row + 1}, column ${col + 1}`].join(', ');
  };
  const words = (cell) => {
    if (shownNow && shownNow.colours) return `${where(cell)}${shownNow.tell ? ': ' + shownNow.tell(cell) : ''}`;
    const v = shownNow ? shownNow.scores[cell] : NaN;
    return `${where(cell)}: ${Number.isFinite(v) ? `${digits(v)} ${shownNow.unit}` : 'no token looks here'}`;
  };
  const at = (k, x, y) => { // the smallest cell there: a tile before the whole picture
    let best = -1, least = Infinity;
    cells.forEach(({ picture, box: [x0, y0, x1, y1] }, i) => { const size = (x1 - x0) * (y1 - y0); if (picture === k && x >= x0 && x < x1 && y >= y0 && y < y1 && size < least) { best = i; least = size; } });
    return best;
  };
  const point = (spot, e) => { const box = spot.frame.getBoundingClientRect(), [w, h] = spot.picture.size; return [(e.clientX - box.left) / box.width * w, (e.clientY - box.top) / box.height * h]; };
  const move = (cell, keep) => { if (cell === cursor) return; cursor = cell; lines(); if (options.hover) options.hover(cell, keep); };
  const setOut = () => (options.start ? options.start() : -1);
  spots.forEach((spot, k) => {
    let from = null, band = null;
    spot.frame.addEventListener('pointermove', (e) => {
      const [x, y] = point(spot, e); if (!from) { move(at(k, x, y)); return; }
      if (e.pointerType === 'touch' && !drawing) return; // the page is being scrolled, or will be
      if (!band && Math.hypot(e.clientX - from.px, e.clientY - from.py) > 4) band = rect([0, 0, 0, 0], 'band');
      if (!band) return;
      spot.frame.setPointerCapture(e.pointerId);
      const box = { x: Math.min(x, from.x), y: Math.min(y, from.y), width: Math.abs(x - from.x), height: Math.abs(y - from.y) };
      for (const line of band) { for (const [name, v] of Object.entries(box)) line.setAttribute(name, v); spot.svg.append(line); }
    });
    spot.frame.addEventListener('pointerleave', () => { if (!from) move(-1); });
    spot.frame.addEventListener('pointerdown', (e) => {
      if (e.pointerType === 'touch') node.classList.add('touched');
      if (e.button !== 0 || !(options.region || options.pick)) return;
      const [x, y] = point(spot, e); from = { x, y, px: e.clientX, py: e.clientY }; if (e.pointerType !== 'touch' && options.region) e.preventDefault();
      node.focus({ preventScroll: true });
    });
    const end = (e) => {
      if (!from) return;
      const [x, y] = point(spot, e), start = from, drawn = band; from = band = null; lines();
      if (!drawn || !options.region) { const cell = at(k, x, y); if (cell >= 0 && options.pick && e.type === 'pointerup') options.pick(cell, e); return; }
      const [x0, x1] = [Math.min(x, start.x), Math.max(x, start.x)], [y0, y1] = [Math.min(y, start.y), Math.max(y, start.y)];
      const inside = []; cells.forEach((cell, i) => { const cx = (cell.box[0] + cell.box[2]) / 2, cy = (cell.box[1] + cell.box[3]) / 2; if (cell.picture === k && cx >= x0 && cx <= x1 && cy >= y0 && cy <= y1) inside.push(i); });
      options.region(inside.length ? inside : [at(k, start.x, start.y)].filter((cell) => cell >= 0), e);
    };
    spot.frame.addEventListener('pointerup', end); spot.frame.addEventListener('pointercancel', (e) => { band = null; end(e); });
  });
  if (options.region) {
    const mode = button('fv-mini fv-draw', 'Draw a region', 'A finger on the picture draws a region instead of scrolling the page', () => {
      drawing = !drawing; node.classList.toggle('drawing', drawing); mode.setAttribute('aria-pressed', drawing); mode.textContent = drawing ? 'End drawing' : 'Draw a region';
    });
    mode.setAttribute('aria-pressed', false); node.append(mode);
  }
  node.tabIndex = 0; node.setAttribute('role', 'application'); node.setAttribute('aria-roledescription', 'heat map');
  node.addEventListener('keydown', (e) => {
    if (e.target !== node) return;
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[e.key];
    if (step) {
      const known = cursor < 0 ? setOut() : cursor, now = known < 0 ? top() : known, { view, start, row, col } = cells[now];
      const [r, c] = known < 0 ? [row, col] : [row + step[0], col + step[1]];
      if (r >= 0 && r < view.rows && c >= 0 && c < view.cols) move(start + r * view.cols + c, { shift: e.shiftKey }); e.preventDefault(); e.stopPropagation();
    } else if (e.key === 'Enter' && cursor >= 0 && options.pick) { options.pick(cursor, e); e.preventDefault(); }
  });
  node.addEventListener('blur', () => move(-1));
  const top = () => { const seen = (i) => alone < 0 || cells[i].picture === alone; let best = Math.max(0, cells.findIndex((_, i) => seen(i)));
    if (shownNow && shownNow.scores) shownNow.scores.forEach((v, i) => { if (seen(i) && (v > shownNow.scores[best] || !Number.isFinite(shownNow.scores[best]))) best = i; });
    return best;
  };
  const map = {
    node, words, where, cells,
    show(values) {
      shownNow = { opacity: 0.7, smooth: false, signed: false, unit: '', fold: 'sum', ...values };
      repaint(inView());
      if (when) { when.node.hidden = !shownNow.scores || !shownNow.unit; if (!when.node.hidden) when.show(map.byPicture(), shownNow); }
      const highest = shownNow.colours ? '' : ` Highest: ${words(top())}.`;
      node.setAttribute('aria-label', `${options.label || 'Heat map'}.${highest} Arrow keys read single patches.`);
    },
    byPicture() { // what is shown comes to: its sum on each picture, or the highest where it does not add up
      const sum = shownNow.fold === 'sum', found = pictures.map(() => sum ? 0 : -Infinity);
      shownNow.scores.forEach((v, i) => { const k = cells[i].picture; if (v === v) found[k] = sum ? found[k] + v : Math.max(found[k], v); });
      return found.map((v) => Number.isFinite(v) ? v : 0);
    },
    only(k) {
      alone = k; node.classList.toggle('alone', k >= 0); spots.forEach((spot, i) => { spot.figure.hidden = k >= 0 && i !== k; });
      if (when) when.mark(k); if (shownNow) repaint(inView());
    },
    mark(kind, chosen) { marks[kind] = chosen; lines(); },
    frame(boxes) { frames = boxes; lines(); },
    spots, inView, when,
  };
  lines(); return map;
};
