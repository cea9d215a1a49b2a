// Every method's map of one word, small, and how their ranks correlate.
const agreeView = (pictures) => {
  const node = make('section', 'fv-agree'),
    grid = make('div', 'fv-agree-maps'),
    table = make('div', 'fv-agree-table'),
    busy = make('div', 'fv-busy');
  node.append(make('h3', '', 'Agreement of methods'), busy, grid, table);
  const add = (m, map, look) => {
    const box = make('figure', 'fv-agree-map'),
      heat = heatmap(pictures, { label: m.title, raster: 160, small: true }),
      scale = scaleOf([map.scores], look.how, map.signed);
    heat.show({ scores: map.scores, signed: map.signed, unit: map.unit, scale, opacity: look.opacity, smooth: look.smooth });
    const range = make('p', 'fv-quiet', `${digits(scale.low)} to ${digits(scale.high)} ${map.unit}`);
    box.title = `${m.measures} ${map.note}`;
    box.append(heat.node, make('figcaption', '', m.title), range);
    grid.append(box);
  };
  const light = (colour) => colour.map((c) => (c / 255) ** 2.2).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const matrix = (names, values) => {
    const figure = make('table'),
      head = make('tr');
    head.append(make('td'));
    figure.append(head);
    names.forEach((name, i) => {
      const cell = make('th', '', i + 1);
      cell.title = name;
      cell.scope = 'col';
      cell.setAttribute('aria-label', name);
      head.append(cell);
    });
    values.forEach((row, i) => {
      const line = make('tr'),
        name = make('th', '', `${i + 1} ${names[i]}`);
      name.scope = 'row';
      line.append(name);
      figure.append(line);
      row.forEach((v, j) => {
        const cell = make(
          'td',
          '',
          v
            .toFixed(2)
            .replace(/^(-?)0\./, '$1.')
            .replace('-', '\u2212'),
        );
        line.append(cell);
        const colour = RAMPS[1][Math.round((255 * (v + 1)) / 2)],
          dark = light(colour) < 0.18;
        cell.title = `${names[i]} and ${names[j]}`;
        cell.style.background = `rgb(${colour})`;
        cell.style.color = dark ? '#fff' : '#000';
      });
    });
    return figure;
  };
  const end = (names, values, failed) => {
    const text =
      'Spearman\u2019s correlation of the patches\u2019 ranks, \u22121 to 1. Agreement is no proof: methods that read the same attention agree. Each map above has a scale of its own.';
    table.replaceChildren(make('p', 'fv-quiet', text), matrix(names, values), ...failed.map((why) => make('p', 'fv-quiet', why)));
  };
  return { node, busy, add, end };
};
