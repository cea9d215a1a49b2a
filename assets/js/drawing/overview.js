// Layers by heads in one figure: image attention, or the share of it that falls on a thing. A click chooses layer and head.
const overviewFigure = (layers, heads, choose) => {
  const node = make('div', 'fv-overview'),
    canvas = make('canvas'),
    line = make('div', 'fv-quiet fv-overview-line'),
    scale = make('div');
  const side = Math.max(7, Math.min(26, Math.floor(260 / heads), Math.floor(220 / Math.min(layers, 12)))),
    gap = side > 10 ? 2 : 1;
  const W = heads * side,
    H = layers * side,
    times = 2,
    pen = canvas.getContext('2d');
  canvas.width = W * times;
  canvas.height = H * times;
  canvas.style.width = W + 'px';
  canvas.style.height = H + 'px';
  canvas.tabIndex = 0;
  canvas.setAttribute('role', 'application');
  canvas.setAttribute('aria-roledescription', 'layers by heads');
  let values = null,
    what = '',
    chosen = [null, null],
    at = null,
    others = null;
  const words = ([l, h]) =>
    `layer ${l + 1}, head ${h + 1}: ${what} ${digits(values[l * heads + h])}${others ? `, ${others.what} ${digits(others.values[l * heads + h])}` : ''}`;
  const draw = () => {
    pen.setTransform(times, 0, 0, times, 0, 0);
    pen.clearRect(0, 0, W, H);
    if (!values) return;
    const high = Math.max(...values) || 1;
    for (let l = 0; l < layers; l++)
      for (let h = 0; h < heads; h++) {
        const v = values[l * heads + h];
        pen.fillStyle = Number.isFinite(v)
          ? `rgb(${RAMPS[0][Math.max(0, Math.min(255, Math.round((255 * v) / high)))]})`
          : '#888';
        pen.fillRect(h * side, l * side, side - gap, side - gap);
      }
    const frame = (l, h, rows, cols, width) => {
      pen.lineWidth = width + 2;
      pen.strokeStyle = '#000';
      pen.strokeRect(h * side + 1, l * side + 1, cols * side - gap - 2, rows * side - gap - 2);
      pen.lineWidth = width;
      pen.strokeStyle = '#fff';
      pen.strokeRect(h * side + 1, l * side + 1, cols * side - gap - 2, rows * side - gap - 2);
    };
    const [l, h] = chosen;
    if (l !== null || h !== null) frame(l ?? 0, h ?? 0, l === null ? layers : 1, h === null ? heads : 1, 1.5);
    if (at) frame(at[0], at[1], 1, 1, 1);
    scale.replaceChildren(colourBar({ scale: { low: 0, high, text: 'linear from 0' }, unit: what }));
    best();
  };
  const best = () => {
    let top = 0;
    values.forEach((v, i) => {
      if (v > values[top] || !Number.isFinite(values[top])) top = i;
    });
    const said = `highest: ${words([Math.floor(top / heads), top % heads])}`;
    line.textContent = at ? words(at) : said;
    canvas.setAttribute('aria-label', `${what} by layer (down) and head (across), ${said}. Arrow keys move, Enter chooses.`);
  };
  const within = (at, many) => Math.max(0, Math.min(many - 1, Math.floor(at)));
  const cellOf = (e) => {
    const box = canvas.getBoundingClientRect();
    return [
      within(((e.clientY - box.top) / box.height) * layers, layers),
      within(((e.clientX - box.left) / box.width) * heads, heads),
    ];
  };
  canvas.addEventListener('pointermove', (e) => {
    at = cellOf(e);
    draw();
  });
  canvas.addEventListener('pointerleave', () => {
    at = null;
    draw();
  });
  canvas.addEventListener('click', (e) => choose(...cellOf(e)));
  canvas.addEventListener('blur', () => {
    at = null;
    draw();
  });
  canvas.addEventListener('keydown', (e) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[e.key];
    if (step) {
      at = at ? [within(at[0] + step[0], layers), within(at[1] + step[1], heads)] : [chosen[0] ?? 0, chosen[1] ?? 0];
      draw();
      e.preventDefault();
    }
    if (e.key === 'Enter' && at) {
      choose(...at);
      e.preventDefault();
    }
  });
  const axes = make('div', 'fv-overview-axes');
  axes.append(make('span', 'fv-overview-down', 'layer'), canvas, make('span', 'fv-overview-across', 'head'));
  node.append(axes, scale, line);
  return {
    node,
    canvas,
    show(now, name, more) {
      values = now;
      what = name;
      others = more;
      draw();
    },
    choose(l, h) {
      chosen = [l, h];
      draw();
    },
  };
};
