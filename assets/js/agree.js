// Every method's map of one word, small, and how their ranks correlate.
const agreeView = (pictures) => {
  const node = make('div', 'fv-agree'), grid = make('div', 'fv-agree-maps'), table = make('div', 'fv-agree-table'), missing = make('p', 'fv-quiet');
  const drawn = new Map();
  const tile = (slug, one, look) => {
    const box = make('figure', 'fv-agree-map'), map = heatmap(pictures, { raster: 160, label: one.title }), scores = floats(one.scores);
    const caption = make('figcaption', 'fv-quiet', one.title);
    map.show({ scores, signed: one.signed, unit: one.unit, scale: scaleOf([scores], look.how, one.signed), opacity: look.opacity, smooth: look.smooth });
    box.title = one.note; box.append(map.node, caption); grid.append(box); drawn.set(slug, box);
  };
  const matrix = (names, values) => {
    const figure = make('table'), head = make('tr'); head.append(make('th', '', 'rank correlation'));
    names.forEach((name, i) => { const cell = make('th', '', i + 1); cell.title = name; head.append(cell); }); figure.append(head);
    values.forEach((row, i) => {
      const line = make('tr'); line.append(make('th', '', `${i + 1} ${names[i]}`));
      row.forEach((v, j) => {
        const cell = make('td', '', v.toFixed(2).replace(/^(-?)0\./, '$1.').replace('-', '\u2212')), at = Math.round(255 * (v + 1) / 2);
        cell.style.background = `rgb(${RAMPS[1][at]})`; cell.style.color = Math.abs(v) > 0.75 ? '#fff' : '#111'; cell.title = `${names[i]} and ${names[j]}: ${v.toFixed(3)}`; line.append(cell);
      });
      figure.append(line);
    });
    return figure;
  };
  node.append(grid, table, missing);
  return {
    node,
    show({ maps, matrix: values, failed }, look) {
      for (const [slug, one] of Object.entries(maps)) if (!drawn.has(slug)) tile(slug, one, look);
      const names = Object.values(maps).map((one) => one.title);
      if (names.length > 1) table.replaceChildren(make('p', 'fv-quiet', 'Spearman\u2019s correlation of the patches\u2019 ranks, \u22121 to 1. Agreement is no proof: methods that read the same attention agree.'), matrix(names, values));
      missing.textContent = Object.entries(failed).map(([slug, why]) => `${slug}: ${why}`).join(' ');
    },
  };
};
