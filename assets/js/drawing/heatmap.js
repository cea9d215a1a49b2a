// Heat over pictures: numbers of patches drawn over the pictures they belong to. To draw asks the server nothing.
//
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
const RASTER = 512,
  SVG = 'http://www.w3.org/2000/svg';
const shape = (tag, values) => {
  const node = document.createElementNS(SVG, tag);
  for (const [k, v] of Object.entries(values)) node.setAttribute(k, v);
  return node;
};
const heatmap = (pictures, options = {}) => {
  const node = make('div', 'fv-heat' + (pictures.length > 1 ? ' many' : '')),
    side = options.raster || RASTER;
  node.style.setProperty('--across', Math.min(4, pictures.length));
  const cells = [],
    marks = {};
  let shownNow = null,
    cursor = -1,
    frames = [],
    drawing = false;
  const spots = pictures.map((picture, k) => {
    const starts = picture.views.map((view) => {
      const start = cells.length,
        [x0, y0, x1, y1] = view.box,
        cw = (x1 - x0) / view.cols,
        ch = (y1 - y0) / view.rows;
      for (let r = 0; r < view.rows; r++)
        for (let c = 0; c < view.cols; c++)
          cells.push({
            picture: k,
            view,
            start,
            row: r,
            col: c,
            box: [x0 + c * cw, y0 + r * ch, x0 + (c + 1) * cw, y0 + (r + 1) * ch],
          });
      return start;
    });
    const figure = make('figure', 'fv-heat-picture'),
      frame = make('div', 'fv-heat-frame'),
      img = make('img'),
      canvas = make('canvas'),
      plan = layout(picture, starts, side);
    img.src = picture.url;
    img.alt = '';
    img.draggable = false;
    canvas.width = plan.W;
    canvas.height = plan.H;
    frame.style.setProperty('--aspect', picture.size[0] / picture.size[1]);
    const svg = shape('svg', {
      viewBox: `0 0 ${picture.size[0]} ${picture.size[1]}`,
      preserveAspectRatio: 'none',
      'aria-hidden': 'true',
    });
    frame.append(img, canvas, svg);
    figure.append(frame);
    const frameOf = picture.time_s !== null,
      called = picture.label.replace(/^./, (c) => c.toUpperCase()),
      caption = frameOf || !picture.name ? called : `${called}: ${picture.name}`;
    if (pictures.length > 1 || frameOf) figure.append(make('figcaption', 'fv-quiet', caption));
    node.append(figure);
    return { picture, plan, figure, frame, canvas, svg, caption, context: canvas.getContext('2d') };
  });
  let alone = -1;
  const inView = () => spots.filter((_, k) => alone < 0 || k === alone);
  const repaint = (some) => some.map((spot) => (shownNow.colours ? tint : paint)(spot.context, spot.plan, shownNow));
  const when = frameStrip(pictures, {
    small: options.small,
    choose: (k) => {
      map.only(k);
      if (options.alone) options.alone(k);
    },
  });
  if (when) {
    when.node.hidden = true;
    node.prepend(when.node);
  }
  const rect = ([x0, y0, x1, y1], kind) => [
    shape('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: 'fv-halo' }),
    shape('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: 'fv-line ' + kind }),
  ];
  // The outer edge of some cells: no line between two of them.
  const edge = (chosen, k, [w, h], kind) => {
    const inside = new Set(chosen),
      path = [],
      x = (v) => Math.max(0, Math.min(w, v)),
      y = (v) => Math.max(0, Math.min(h, v));
    for (const i of inside) {
      const cell = cells[i];
      if (!cell || cell.picture !== k) continue;
      const {
          view,
          start,
          row,
          col,
          box: [x0, y0, x1, y1],
        } = cell,
        held = (r, c) => r >= 0 && c >= 0 && r < view.rows && c < view.cols && inside.has(start + r * view.cols + c);
      if (!held(row - 1, col)) path.push(`M${x(x0)} ${y(y0)}H${x(x1)}`);
      if (!held(row + 1, col)) path.push(`M${x(x0)} ${y(y1)}H${x(x1)}`);
      if (!held(row, col - 1)) path.push(`M${x(x0)} ${y(y0)}V${y(y1)}`);
      if (!held(row, col + 1)) path.push(`M${x(x1)} ${y(y0)}V${y(y1)}`);
    }
    return path.length ? ['fv-halo', 'fv-line ' + kind].map((name) => shape('path', { d: path.join(''), class: name })) : [];
  };
  const trim = ([x0, y0, x1, y1], [w, h]) => [Math.max(0, x0), Math.max(0, y0), Math.min(w, x1), Math.min(h, y1)];
  const lines = () =>
    spots.forEach(({ picture, svg }, k) => {
      const found = [];
      if (picture.views.length > 1) for (const view of picture.views) found.push(...rect(trim(view.box, picture.size), 'seam'));
      for (const frame of frames) if (frame.picture === k) found.push(...rect(frame.box, 'truth'));
      for (const [kind, chosen] of Object.entries(marks)) found.push(...edge(chosen, k, picture.size, kind));
      if (cursor >= 0 && cells[cursor].picture === k) found.push(...rect(trim(cells[cursor].box, picture.size), 'cursor'));
      svg.replaceChildren(...found);
    });
  const where = (cell) => {
    const { picture, view, row, col } = cells[cell],
      parts = [];
    if (pictures.length > 1) parts.push(pictures[picture].label);
    if (pictures[picture].views.length > 1) parts.push(view.name);
    return [...parts, `row ${row + 1}, column ${col + 1}`].join(', ');
  };
  const words = (cell) => {
    if (shownNow && shownNow.colours) return `${where(cell)}${shownNow.tell ? ': ' + shownNow.tell(cell) : ''}`;
    const v = shownNow ? shownNow.scores[cell] : NaN;
    return `${where(cell)}: ${Number.isFinite(v) ? `${digits(v)} ${shownNow.unit}` : 'no token looks here'}`;
  };
  const at = (k, x, y) => {
    // the smallest cell there: a tile before the whole picture
    let best = -1,
      least = Infinity;
    cells.forEach(({ picture, box: [x0, y0, x1, y1] }, i) => {
      const size = (x1 - x0) * (y1 - y0);
      if (picture === k && x >= x0 && x < x1 && y >= y0 && y < y1 && size < least) {
        best = i;
        least = size;
      }
    });
    return best;
  };
  const point = (spot, e) => {
    const box = spot.frame.getBoundingClientRect(),
      [w, h] = spot.picture.size;
    return [((e.clientX - box.left) / box.width) * w, ((e.clientY - box.top) / box.height) * h];
  };
  const move = (cell, keep) => {
    if (cell === cursor) return;
    cursor = cell;
    lines();
    if (options.hover) options.hover(cell, keep);
  };
  const setOut = () => (options.start ? options.start() : -1);
  spots.forEach((spot, k) => {
    let from = null,
      band = null;
    spot.frame.addEventListener('pointermove', (e) => {
      const [x, y] = point(spot, e);
      if (!from) {
        move(at(k, x, y));
        return;
      }
      if (e.pointerType === 'touch' && !drawing) return; // the page is being scrolled, or will be
      if (!band && Math.hypot(e.clientX - from.px, e.clientY - from.py) > 4) band = rect([0, 0, 0, 0], 'band');
      if (!band) return;
      spot.frame.setPointerCapture(e.pointerId);
      const box = { x: Math.min(x, from.x), y: Math.min(y, from.y), width: Math.abs(x - from.x), height: Math.abs(y - from.y) };
      for (const line of band) {
        for (const [name, v] of Object.entries(box)) line.setAttribute(name, v);
        spot.svg.append(line);
      }
    });
    spot.frame.addEventListener('pointerleave', () => {
      if (!from) move(-1);
    });
    spot.frame.addEventListener('pointerdown', (e) => {
      if (e.pointerType === 'touch') node.classList.add('touched');
      if (e.button !== 0 || !(options.region || options.pick)) return;
      const [x, y] = point(spot, e);
      from = { x, y, px: e.clientX, py: e.clientY };
      if (e.pointerType !== 'touch' && options.region) e.preventDefault();
      node.focus({ preventScroll: true });
    });
    const end = (e) => {
      if (!from) return;
      const [x, y] = point(spot, e),
        start = from,
        drawn = band;
      from = band = null;
      lines();
      if (!drawn || !options.region) {
        const cell = at(k, x, y);
        if (cell >= 0 && options.pick && e.type === 'pointerup') options.pick(cell, e);
        return;
      }
      const [x0, x1] = [Math.min(x, start.x), Math.max(x, start.x)],
        [y0, y1] = [Math.min(y, start.y), Math.max(y, start.y)];
      const inside = [];
      cells.forEach((cell, i) => {
        const cx = (cell.box[0] + cell.box[2]) / 2,
          cy = (cell.box[1] + cell.box[3]) / 2;
        if (cell.picture === k && cx >= x0 && cx <= x1 && cy >= y0 && cy <= y1) inside.push(i);
      });
      options.region(inside.length ? inside : [at(k, start.x, start.y)].filter((cell) => cell >= 0), e);
    };
    spot.frame.addEventListener('pointerup', end);
    spot.frame.addEventListener('pointercancel', (e) => {
      band = null;
      end(e);
    });
  });
  if (options.region) {
    const mode = button(
      'fv-mini fv-draw',
      'Draw a region',
      'A finger on the picture draws a region instead of scrolling the page',
      () => {
        drawing = !drawing;
        node.classList.toggle('drawing', drawing);
        mode.setAttribute('aria-pressed', drawing);
        mode.textContent = drawing ? 'End drawing' : 'Draw a region';
      },
    );
    mode.setAttribute('aria-pressed', false);
    node.append(mode);
  }
  node.tabIndex = 0;
  node.setAttribute('role', 'application');
  node.setAttribute('aria-roledescription', 'heat map');
  node.addEventListener('keydown', (e) => {
    if (e.target !== node) return;
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[e.key];
    if (step) {
      const known = cursor < 0 ? setOut() : cursor,
        now = known < 0 ? top() : known,
        { view, start, row, col } = cells[now];
      const [r, c] = known < 0 ? [row, col] : [row + step[0], col + step[1]];
      if (r >= 0 && r < view.rows && c >= 0 && c < view.cols) move(start + r * view.cols + c, { shift: e.shiftKey });
      e.preventDefault();
      e.stopPropagation();
    } else if (e.key === 'Enter' && cursor >= 0 && options.pick) {
      options.pick(cursor, e);
      e.preventDefault();
    }
  });
  node.addEventListener('blur', () => move(-1));
  const top = () => {
    const seen = (i) => alone < 0 || cells[i].picture === alone;
    let best = Math.max(
      0,
      cells.findIndex((_, i) => seen(i)),
    );
    if (shownNow && shownNow.scores)
      shownNow.scores.forEach((v, i) => {
        if (seen(i) && (v > shownNow.scores[best] || !Number.isFinite(shownNow.scores[best]))) best = i;
      });
    return best;
  };
  const map = {
    node,
    words,
    where,
    cells,
    show(values) {
      shownNow = { opacity: 0.7, smooth: false, signed: false, unit: '', fold: 'sum', ...values };
      repaint(inView());
      if (when) {
        when.node.hidden = !shownNow.scores || !shownNow.unit;
        if (!when.node.hidden) when.show(map.byPicture(), shownNow);
      }
      const highest = shownNow.colours ? '' : ` Highest: ${words(top())}.`;
      node.setAttribute('aria-label', `${options.label || 'Heat map'}.${highest} Arrow keys read single patches.`);
    },
    byPicture() {
      // what is shown comes to: its sum on each picture, or the highest where it does not add up
      const sum = shownNow.fold === 'sum',
        found = pictures.map(() => (sum ? 0 : -Infinity));
      shownNow.scores.forEach((v, i) => {
        const k = cells[i].picture;
        if (v === v) found[k] = sum ? found[k] + v : Math.max(found[k], v);
      });
      return found.map((v) => (Number.isFinite(v) ? v : 0));
    },
    only(k) {
      alone = k;
      node.classList.toggle('alone', k >= 0);
      spots.forEach((spot, i) => {
        spot.figure.hidden = k >= 0 && i !== k;
      });
      if (when) when.mark(k);
      if (shownNow) repaint(inView());
    },
    mark(kind, chosen) {
      marks[kind] = chosen;
      lines();
    },
    frame(boxes) {
      frames = boxes;
      lines();
    },
    spots,
    inView,
    when,
  };
  lines();
  return map;
};
