// What two answers share and where they part: words, agreement, boxes on one picture.
const BOX_COLOURS = ['#56b4e9', '#e69f00', '#009e73', '#cc79a7'],
  TRUTH = '#ffffff';
const boxColour = (column, i) => (column.letter === 'truth' ? TRUTH : BOX_COLOURS[i]);
const part = (title, ...nodes) => {
  const box = make('section', 'fv-versus-part');
  box.append(make('h3', '', title), ...nodes);
  return box;
};
const wordDiff = (pair, names) => {
  const box = make('div', 'fv-versus-diff');
  for (const side of ['a', 'b']) {
    const row = make('div', 'fv-versus-diffrow'),
      text = make('div', 'fv-text');
    for (const [kind, a, b] of pair.diff) {
      const words = side === 'a' ? a : b;
      if (!words) continue;
      const node = make(kind === 'same' ? 'span' : 'mark', kind === 'same' ? '' : 'fv-versus-other', words);
      if (kind !== 'same') node.title = 'Only, or otherwise, in this answer';
      text.append(node, ' ');
    }
    if (!text.childNodes.length) text.append(make('span', 'fv-quiet', '(an empty answer)'));
    row.append(make('b', 'fv-letter', names[side === 'a' ? pair.a : pair.b]), text);
    box.append(row);
  }
  return box;
};
const boxesFigure = (boxes) => {
  const figure = make('figure', 'fv-versus-boxes'),
    frame = make('div', 'fv-frame'),
    img = make('img'),
    [w, h] = boxes.size,
    all = [];
  const svg = shape('svg', { viewBox: `0 0 ${w} ${h}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  img.src = boxes.url;
  img.alt = 'The picture with the boxes of all columns';
  img.style.aspectRatio = w / h;
  const corners = [],
    cornerAt = (x, y, end) => {
      // names of boxes that begin close by stand in one row above them, inside the picture
      let home = corners.find((one) => Math.abs(one.x - x) < 0.1 * w && Math.abs(one.y - y) < 0.07 * h);
      if (!home) {
        home = { x, y, end, node: make('div', 'fv-versus-boxnames') };
        corners.push(home);
        frame.append(home.node);
      }
      home.x = Math.min(home.x, x);
      home.y = Math.min(home.y, y);
      home.end = Math.max(home.end, end);
      const late = home.x > 0.7 * w;
      home.node.style.left = late ? 'auto' : `${(100 * home.x) / w}%`;
      home.node.style.right = late ? `${100 * Math.max(0, 1 - home.end / w)}%` : 'auto';
      home.node.style.top = `${(100 * home.y) / h}%`;
      return home.node;
    };
  boxes.columns.forEach(({ boxes: found }, i) =>
    found.forEach(({ box: [x0, y0, x1, y1] }) => {
      const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
      const lines = [shape('rect', { ...place, class: 'fv-halo' }), shape('rect', { ...place, class: 'fv-line' })];
      lines[1].style.stroke = boxColour(boxes.columns[i], i);
      if (i % 2) lines[1].style.strokeDasharray = '7 4';
      svg.append(...lines);
      all.push(lines);
      const at = make('span', 'fv-versus-boxname', boxes.columns[i].letter);
      at.style.background = boxColour(boxes.columns[i], i);
      cornerAt(x0, y0, x1).append(at);
    }),
  );
  frame.prepend(img);
  frame.append(svg);
  figure.append(frame);
  return figure;
};
const boxesPart = (boxes) => {
  const rows = boxes.rows.map((row) => [row.of, row.what, row.a, row.b, row.iou]),
    side = make('div', 'fv-versus-boxside');
  side.append(
    figureTable([['of'], ['what'], ['first', true], ['second', true], ['IoU', true]], rows),
    make('p', 'fv-quiet', boxes.note),
  );
  const box = make('div', 'fv-versus-boxrow');
  box.append(boxesFigure(boxes), side);
  return part('Boxes on one picture', box);
};
