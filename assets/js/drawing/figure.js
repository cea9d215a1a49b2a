// Maps as a file: what is on the page, drawn once more as SVG with picture and map inside it; PNG is that, rasterised.
//   figureOf(text, maps)            -> SVG; maps are [[heat, {title, note, scale, signed, unit}], ...], without a scale for colours
//   saveMaps(kind, {name, numbers, page}, {checkpoint, question, words, maps})   -> a promise of '' or of what went wrong;
//                                   kind is 'npz', 'md', 'svg' or 'png'; `numbers` is base64, `page` Markdown; `maps()` as above
//   exportMenu(act)                 -> node; act(kind) is called with 'png', 'svg', 'npz' or 'md'
const svgNode = (tag, values, text) => {
  const node = shape(tag, values);
  if (text !== undefined) node.textContent = text;
  return node;
};
const asData = (source, width, height) => {
  // a picture or a canvas as a data address, so that the file needs nothing else
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext('2d');
  pen.imageSmoothingEnabled = source.tagName !== 'CANVAS';
  pen.drawImage(source, 0, 0, width, height);
  return canvas.toDataURL('image/png');
};
const FIGURE_WIDTH = 640,
  MARGIN = 16,
  LINE = 18;
const wrapped = (text, most = 92) => {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.pop();
    if (last && last.length + word.length > most) lines.push(last, word);
    else lines.push(last ? `${last} ${word}` : word);
  }
  return lines;
};
const byFrame = (heat) =>
  heat.spots
    .map(({ picture }, k) => (picture.time_s === null ? '' : heat.when.words(k)))
    .filter(Boolean)
    .join('; ') + '.';
// One map with its heading, colour bar and notes, from y on: [nodes, the y below it].
const drawnMap = (heat, { title, note, scale, signed, unit }, top) => {
  const nodes = [],
    write = (text, size, weight = 400) => {
      top += LINE;
      nodes.push(svgNode('text', { x: MARGIN, y: top - 4, 'font-size': size, 'font-weight': weight, fill: '#1e293b' }, text));
    };
  write(title, 15, 600);
  for (const line of wrapped(note)) if (line) write(line, 12);
  const named = heat.spots.length > 1 || heat.when,
    shownSpots = heat.inView(),
    columns = shownSpots.length > 3 ? 3 : shownSpots.length > 1 ? 2 : 1;
  const whole = FIGURE_WIDTH - 2 * MARGIN,
    width = (whole - 12 * (columns - 1)) / columns;
  let row = 0;
  if (heat.when && scale) {
    const [bars, tall] = heat.when.drawn(whole),
      group = svgNode('g', { transform: `translate(${MARGIN} ${top + 8})` });
    group.append(...bars);
    nodes.push(group);
    top += tall + 4;
    for (const line of wrapped(`Above: ${heat.when.node.getAttribute('aria-label').toLowerCase()}: ${byFrame(heat)}`))
      write(line, 12);
  }
  shownSpots.forEach((spot, i) => {
    const [w, h] = spot.picture.size,
      height = (width * h) / w,
      times = width / w,
      left = MARGIN + (i % columns) * (width + 12),
      name = named ? LINE : 0;
    if (name) nodes.push(svgNode('text', { x: left, y: top + LINE - 2, 'font-size': 12, fill: '#1e293b' }, spot.caption));
    const group = svgNode('g', { transform: `translate(${left} ${top + 4 + name})` }),
      place = { x: 0, y: 0, width, height, preserveAspectRatio: 'none' };
    const picture = asData(spot.frame.querySelector('img'), Math.min(w, 1024), Math.round((Math.min(w, 1024) * h) / w)),
      drawn = asData(spot.canvas, spot.canvas.width, spot.canvas.height);
    group.append(
      svgNode('image', { ...place, href: picture }),
      svgNode('image', { ...place, href: drawn, style: 'image-rendering: pixelated' }),
    );
    const inner = svgNode('g', { transform: `scale(${times})`, fill: 'none', 'stroke-width': 1.5 / times, stroke: '#fff' });
    for (const line of spot.svg.querySelectorAll('.fv-line:not(.cursor):not(.band)')) {
      const copy = line.cloneNode();
      copy.removeAttribute('class');
      copy.setAttribute('stroke', getComputedStyle(line).stroke);
      inner.append(copy);
    }
    group.append(inner);
    nodes.push(group);
    row = Math.max(row, height + 12 + name);
    if (i % columns === columns - 1 || i === shownSpots.length - 1) {
      top += row;
      row = 0;
    }
  });
  if (!scale) return [nodes, top];
  const stops = svgNode('linearGradient', { id: `ramp-${signed ? 'two' : 'one'}` });
  RAMPS[signed ? 1 : 0].forEach((c, i) => {
    if (i % 15 === 0) stops.append(svgNode('stop', { offset: i / 255, 'stop-color': `rgb(${c})` }));
  });
  nodes.push(
    stops,
    svgNode('rect', { x: MARGIN, y: top, width: FIGURE_WIDTH - 2 * MARGIN, height: 10, fill: `url(#${stops.id})` }),
  );
  top += 10;
  const ends = { y: top + 15, 'font-size': 12, fill: '#1e293b' };
  top += LINE;
  const texts = [
    [MARGIN, 'start', digits(scale.low)],
    [FIGURE_WIDTH / 2, 'middle', `${unit}, ${scale.text}`],
    [FIGURE_WIDTH - MARGIN, 'end', digits(scale.high)],
  ];
  nodes.push(...texts.map(([x, anchor, text]) => svgNode('text', { ...ends, x, 'text-anchor': anchor }, text)));
  return [nodes, top + 8];
};
const figureOf = (about, maps) => {
  const svg = shape('svg', { xmlns: SVG, 'font-family': 'system-ui, sans-serif', width: FIGURE_WIDTH });
  let top = 8;
  svg.append(svgNode('rect', { width: '100%', height: '100%', fill: '#fff' }));
  for (const line of wrapped(about)) {
    top += LINE;
    svg.append(svgNode('text', { x: MARGIN, y: top - 4, 'font-size': 12, fill: '#566070' }, line));
  }
  for (const [heat, now] of maps) {
    const [nodes, below] = drawnMap(heat, now, top + 4);
    svg.append(...nodes);
    top = below;
  }
  svg.setAttribute('height', Math.ceil(top + 8));
  svg.setAttribute('viewBox', `0 0 ${FIGURE_WIDTH} ${Math.ceil(top + 8)}`);
  return svg;
};
const rastered = (text, width, height) =>
  new Promise((done, failed) => {
    const img = new Image(),
      canvas = document.createElement('canvas');
    canvas.width = 2 * width;
    canvas.height = 2 * height;
    img.onload = () => {
      canvas.getContext('2d').drawImage(img, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error('no picture'))), 'image/png');
    };
    img.onerror = () => failed(new Error('no picture'));
    img.src = URL.createObjectURL(new Blob([text], { type: 'image/svg+xml' }));
  });
const saveFigure = async (kind, svg, name) => {
  const text = new XMLSerializer().serializeToString(svg);
  if (kind === 'svg') saveFile(text, 'image/svg+xml', `${name}.svg`);
  else saveFile(await rastered(text, FIGURE_WIDTH, +svg.getAttribute('height')), 'image/png', `${name}.png`);
};
const saveNumbers = (text, name) =>
  saveFile(
    Uint8Array.from(atob(text), (c) => c.charCodeAt(0)),
    'application/octet-stream',
    `${name}.npz`,
  );
const saveMaps = async (kind, { name, numbers, page }, { checkpoint, question, words, maps }) => {
  if (kind === 'npz') saveNumbers(numbers, name);
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
const exportMenu = (act) => {
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
