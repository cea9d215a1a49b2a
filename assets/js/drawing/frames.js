// When a map fell: what it comes to on each frame of a video, as bars along time. Choosing one shows its map alone; again, all.
//   frameStrip(pictures, {choose, small}) -> null where there are no frames; else {node, show(values, {unit, signed, fold}), mark(k or -1), drawn(width)}
//       `values` are by picture; `fold` is 'sum', or 'highest' for what does not add up.
//       `choose(k)` is a click, Enter or an arrow key; `small` leaves the words out. `drawn` is what stands there, as nodes of a figure.
// A film ends where time goes back or a picture that is no frame stands between: each has a line of its own, all of one height.
const filmsOf = (pictures) => {
  const films = [];
  let last = null;
  pictures.forEach((picture, k) => {
    const now = picture.time_s ?? null;
    if (now === null) {
      last = null;
      return;
    }
    if (last === null || now <= last) films.push([]);
    films[films.length - 1].push(k);
    last = now;
  });
  return films;
};
// Where frames lie on a line from 0 to 1 by their times, the span of it that is nearest to each, and how wide a bar may be.
const alongTime = (times) => {
  const n = times.length,
    whole = times[n - 1] - times[0] || 1,
    at = times.map((t) => (0.5 + ((n - 1) * (t - times[0])) / whole) / n);
  const ends = [0, ...at.slice(1).map((x, i) => (x + at[i]) / 2), 1],
    gap = Math.min(1 / n, ...at.slice(1).map((x, i) => x - at[i]));
  return at.map((x, i) => ({ x, from: ends[i], to: ends[i + 1], wide: 0.7 * gap }));
};
const FEW_TIMES = 8;
const frameStrip = (pictures, { choose, small = false }) => {
  const films = filmsOf(pictures);
  if (!films.length) return null;
  const node = make('div', 'fv-when' + (small ? ' small' : '')),
    line = make('p', 'fv-quiet fv-when-line'),
    bars = new Map(),
    zeros = [],
    all = films.flat();
  node.setAttribute('role', 'group');
  let now = null,
    marked = -1,
    over = -1;
  const bottom = (k) => {
    const { sums, low, high } = now,
      v = sums[k];
    return { base: (Math.min(v, 0) - low) / (high - low), tall: Math.abs(v) / (high - low) };
  };
  const words = (k) => {
    const { sums, unit, signed, fold, whole } = now,
      share = signed || fold !== 'sum' || !(whole > 0) ? '' : `, ${percent(sums[k] / whole)} of the map`;
    return `${pictures[k].label}: ${digits(sums[k])} ${unit}${share}`;
  };
  const heading = () => (now.fold === 'sum' ? 'Sum of the map on each frame' : 'Highest value on each frame');
  const tell = () => {
    if (!now) return;
    const size = (k) => (now.fold === 'sum' ? Math.abs(now.sums[k]) : now.sums[k]),
      best = all.reduce((a, k) => (size(k) > size(a) ? k : a), all[0]);
    const at = over >= 0 ? over : marked;
    line.textContent = at >= 0 ? words(at).replace(/^./, (c) => c.toUpperCase()) : `${heading()}. Most on the ${words(best)}`;
    whole.hidden = marked < 0;
  };
  const whole = button('fv-mini', 'All frames', 'Show the maps of all frames', () => choose(-1));
  whole.hidden = true;
  for (const film of films) {
    const track = make('div', 'fv-when-film'),
      zero = make('span', 'fv-when-zero'),
      places = alongTime(film.map((k) => pictures[k].time_s)),
      every = Math.ceil(film.length / FEW_TIMES);
    film.forEach((k, i) => {
      const { x, from, to, wide } = places[i],
        hit = button('fv-when-frame', '', '', () => choose(marked === k ? -1 : k)),
        bar = make('span', 'fv-when-bar');
      hit.style.left = `${100 * from}%`;
      hit.style.width = `${100 * (to - from)}%`;
      bar.style.left = `${(100 * (x - from)) / (to - from)}%`;
      bar.style.width = `${(100 * wide) / (to - from)}%`;
      hit.append(bar);
      if (!small && i % every === 0) {
        const text = make(
          'span',
          'fv-when-time' + (i === 0 || i === film.length - 1 ? ' end' : ''),
          pictures[k].label.match(/[-\d.]+ s/)[0],
        );
        text.style.left = bar.style.left;
        hit.append(text);
      }
      const on = (event, which) =>
        hit.addEventListener(event, () => {
          over = which;
          tell();
        });
      for (const event of ['pointerenter', 'focus']) on(event, k);
      for (const event of ['pointerleave', 'blur']) on(event, -1);
      hit.addEventListener('keydown', (e) => {
        const to = { ArrowRight: 1, ArrowLeft: -1 }[e.key],
          next = to && all[all.indexOf(k) + to];
        if (!to) return;
        e.preventDefault();
        e.stopPropagation();
        if (next !== undefined) {
          bars.get(next).hit.focus();
          choose(next);
        }
      });
      bars.set(k, { hit, bar, place: places[i] });
      track.append(hit);
    });
    track.append(zero);
    zeros.push(zero);
    node.append(track);
  }
  roving(
    all.map((k) => bars.get(k).hit),
    0,
  );
  if (!small) {
    const row = make('div', 'fv-when-row');
    row.append(line, whole);
    node.append(row);
  }
  return {
    node,
    words,
    show(sums, { unit, signed, fold }) {
      const low = Math.min(0, ...all.map((k) => sums[k])),
        high = Math.max(0, ...all.map((k) => sums[k]));
      node.classList.toggle('signed', Boolean(signed));
      now = { sums, unit, signed, fold, low, high: high > low ? high : low + 1, whole: sums.reduce((a, b) => a + b, 0) };
      node.setAttribute('aria-label', `${heading()}, along time`);
      for (const zero of zeros) zero.style.setProperty('--at', -low / (now.high - low));
      for (const [k, { hit, bar }] of bars) {
        const { base, tall } = bottom(k);
        bar.style.bottom = `${100 * base}%`;
        bar.style.height = `max(1px, ${100 * tall}%)`;
        bar.classList.toggle('less', sums[k] < 0);
        hit.setAttribute('aria-label', words(k));
        hit.title = words(k);
      }
      tell();
    },
    mark(k) {
      marked = k;
      node.classList.toggle('one', k >= 0);
      for (const [i, { hit }] of bars) {
        hit.classList.toggle('on', i === k);
        hit.setAttribute('aria-pressed', i === k);
      }
      roving(
        all.map((i) => bars.get(i).hit),
        Math.max(0, all.indexOf(k)),
      );
      tell();
    },
    drawn(width, tall = 48) {
      // [nodes of each film in a box of this width, the height of all]
      if (!now) return [[], 0];
      const nodes = [];
      let top = 0;
      for (const film of films) {
        for (const k of film) {
          const { base, tall: height } = bottom(k),
            { x, wide } = bars.get(k).place,
            thick = Math.min(28, width * wide);
          const fill = now.sums[k] < 0 ? '#2f7fbf' : now.signed ? '#d9731a' : '#0072b2';
          nodes.push(
            shape('rect', {
              x: x * width - thick / 2,
              y: top + tall * (1 - base - height),
              width: thick,
              height: Math.max(0.5, tall * height),
              fill,
            }),
          );
        }
        const zero = top + tall * (1 + now.low / (now.high - now.low));
        nodes.push(shape('line', { x1: 0, x2: width, y1: zero, y2: zero, stroke: '#94a3b8', 'stroke-width': 1 }));
        top += tall + 8;
      }
      return [nodes, top];
    },
  };
};
