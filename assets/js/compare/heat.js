// Heat of two answers for a chosen word, on one scale: a divider between them, and their difference. Words are chosen by clicking them.
const wordRow = (column, chosen, choose) => {
  const row = make('div', 'fv-versus-words'),
    box = make('div', 'fv-wchips'),
    all = [];
  box.setAttribute('role', 'listbox');
  box.setAttribute('aria-label', `Words of column ${column.letter}`);
  column.tokens.forEach(([text, p], k) => {
    const chip = make('button', 'fv-wchip', shown(text));
    chip.type = 'button';
    chip.style.setProperty('--p', Math.exp(p));
    chip.style.setProperty('--d', 0);
    chip.setAttribute('role', 'option');
    chip.addEventListener('click', () => choose(k));
    all.push(chip);
    box.append(chip);
    if (text.includes('\n')) box.append(make('span', 'fv-break'));
  });
  box.addEventListener('keydown', (e) => {
    const k = all.indexOf(e.target),
      to = { ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: all.length - 1 }[e.key];
    if (k >= 0 && all[to]) {
      roving(all, to);
      all[to].focus();
      e.preventDefault();
    }
  });
  const mark = (at) => {
    all.forEach((chip, k) => {
      chip.classList.toggle('on', k === at);
      chip.setAttribute('aria-selected', k === at);
    });
    roving(all, Math.max(0, at));
  };
  row.append(make('b', 'fv-letter', column.letter), box);
  mark(chosen);
  return { node: row, mark };
};
const heatPart = (value, pair) => {
  const columns = [pair.a, pair.b].map((i) => value.columns[i]),
    names = columns.map((column) => column.letter),
    place = make('div', 'fv-versus-heat'),
    busy = make('div', 'fv-busy'),
    trouble = make('div', 'fv-error');
  if (value.heat.why) return part('Heat of both', make('p', 'fv-quiet', value.heat.why));
  const ask = asker(busy),
    at = [-1, -1];
  let method = value.heat.method,
    divider = 0.5,
    opacity = 0.72,
    now = 0;
  const kept = value.heat.kept.filter((one) => one.pair[0] === pair.a && one.pair[1] === pair.b),
    shelf = make('div', 'fv-actions fv-versus-kept');
  const same = (text) => text.trim().toLowerCase(),
    others = (side, k) => {
      const word = same(columns[side].tokens[k][0]);
      return columns[1 - side].tokens.findIndex(([text]) => same(text) === word && word);
    };
  const rows = columns.map((column, side) =>
    wordRow(column, -1, (k) => {
      at[side] = k;
      const twin = others(side, k);
      if (twin >= 0) at[1 - side] = twin;
      rows.forEach((row, i) => row.mark(at[i]));
      look();
    }),
  );
  const measures = make('p', 'fv-quiet'),
    tell = () => {
      measures.textContent = value.heat.methods.find(([slug]) => slug === method)[2];
    };
  const choose = (one) => {
    method = one.method;
    picker.querySelector('select').value = method;
    tell();
    one.words.forEach((k, side) => {
      at[side] = k;
      rows[side].mark(k);
    });
    look();
  };
  const offerKept = () => {
    shelf.replaceChildren(
      ...(kept.length ? [make('span', 'fv-quiet', 'Made before:')] : []),
      ...kept.map((one) => button('fv-mini', one.text, 'Draw this map again', () => choose(one))),
    );
  };
  const picker = pick(
    'Method',
    value.heat.methods.map(([slug, title]) => [slug, title]),
    method,
    (v) => {
      method = v;
      tell();
      look();
    },
  );
  picker.querySelector('select').id = 'compare-method';
  const look = async () => {
    if (at.some((k) => k < 0)) {
      trouble.textContent = '';
      place.replaceChildren(make('p', 'fv-quiet', `Now choose a word of ${names[at[0] < 0 ? 0 : 1]}: it does not say that one.`));
      return;
    }
    const mine = (now += 1),
      got = await ask(
        { what: 'heat', runs: columns.map((column) => column.run), words: [[at[0]], [at[1]]], method },
        { text: 'Working out both maps', group: 'heat' },
      );
    if (mine !== now) return;
    trouble.textContent = got.error || '';
    if (got.error) return;
    draw(got);
    if (value.logged && !kept.some((one) => one.method === method && one.words.every((k, side) => k === at[side]))) {
      const title = value.heat.methods.find(([slug]) => slug === method)[1],
        text = `${title}: ${at.map((k, side) => columns[side].tokens[k][0].trim()).join(' | ')}`;
      const one = { pair: [pair.a, pair.b], method, words: [...at], text };
      kept.unshift(one);
      value.heat.kept.unshift(one);
      offerKept();
    }
  };
  const draw = (got) => {
    const [a, b] = got.scores.map(floats),
      both = scaleOf([a, b], 'linear', got.signed),
      minus = a.map((v, i) => v - b[i]),
      apart = scaleOf([minus], 'linear', true),
      reading = make('p', 'fv-preading', 'Hover or use the arrow keys to read patches.');
    const read = (cell) => {
      reading.textContent =
        cell < 0
          ? 'Hover or use the arrow keys to read patches.'
          : `${first.where(cell)}: ${names[0]} ${digits(a[cell])}, ${names[1]} ${digits(b[cell])}, ${names[0]} \u2212 ${names[1]} ${digits(minus[cell])} ${got.unit}`;
    };
    const first = heatmap(got.pictures, { label: `${names[0]} left of the divider, ${names[1]} right of it`, hover: read }),
      second = heatmap(got.pictures, { label: `${names[0]} minus ${names[1]}`, hover: read });
    const lines = first.spots.map((spot) => {
      const line = make('div', 'fv-versus-divider');
      spot.frame.append(line);
      return line;
    });
    const centre = first.cells.map((cell) => (cell.box[0] + cell.box[2]) / 2 / got.pictures[cell.picture].size[0]);
    const paintBoth = () => {
      const mixed = a.map((v, i) => (centre[i] <= divider ? v : b[i]));
      first.show({ scores: mixed, scale: both, signed: got.signed, unit: got.unit, opacity });
      second.show({ scores: minus, scale: apart, signed: true, unit: got.unit, opacity });
      for (const line of lines) line.style.left = `${100 * divider}%`;
    };
    const slider = make('input', 'fv-versus-slide');
    Object.assign(slider, { type: 'range', min: 0, max: 1, step: 0.01, value: divider });
    slider.id = 'compare-divider';
    slider.setAttribute('aria-label', `Divider: ${names[0]} on its left, ${names[1]} on its right`);
    slider.addEventListener('input', () => {
      divider = +slider.value;
      paintBoth();
    });
    const ends = make('div', 'fv-versus-ends');
    ends.append(make('b', 'fv-letter', names[0]), slider, make('b', 'fv-letter', names[1]));
    const left = make('figure', 'fv-third'),
      right = make('figure', 'fv-third');
    left.append(
      make('figcaption', '', `${names[0]} | ${names[1]}`),
      first.node,
      ends,
      colourBar({ scale: both, signed: got.signed, unit: got.unit }),
    );
    right.append(
      make('figcaption', '', `${names[0]} \u2212 ${names[1]}`),
      second.node,
      make('div'),
      colourBar({ scale: apart, signed: true, unit: got.unit }),
    );
    const pairBox = make('div', 'fv-three fv-versus-pair');
    pairBox.append(left, right);
    place.replaceChildren(pairBox, reading, make('p', 'fv-quiet', got.note));
    paintBoth();
    place.dataset.drawn = JSON.stringify([method, at]);
  };
  const tools = make('div', 'fv-actions');
  tools.append(
    picker,
    slide('Opacity', 0.2, 1, opacity, 0.02, (v) => {
      opacity = v;
      const s = place.querySelector('.fv-versus-slide');
      if (s) s.dispatchEvent(new Event('input'));
    }),
  );
  tell();
  offerKept();
  place.append(make('p', 'fv-quiet', 'Click a word. The other answer\u2019s same word is taken with it, where there is one.'));
  return part('Heat of both', ...rows.map((row) => row.node), tools, measures, shelf, busy, trouble, place);
};
