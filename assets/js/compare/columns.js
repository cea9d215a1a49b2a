// Answers side by side: text as it comes, then what each took; and strips of length and probability on one scale.
const letterOf = (column) => make('b', 'fv-letter', column.letter);
// Rows are [name, value, why]; why is shown on hover.
const factList = (rows, className = '') => {
  const list = make('dl', `fv-versus-facts ${className}`.trim());
  for (const [name, value, why] of rows) {
    const dt = make('dt', '', name);
    dt.title = why;
    list.append(dt, make('dd', '', value));
  }
  return list;
};
const columnBox = (column, running, stop) => {
  const box = make('article', 'fv-versus-col'),
    head = make('div', 'fv-versus-head'),
    text = make('div', 'fv-text'),
    stage = make('div', 'fv-stage'),
    trouble = make('div', 'fv-error'),
    more = make('div');
  head.append(letterOf(column), make('bdi', 'fv-versus-name'));
  box.append(head, text, stage, trouble, more);
  let ended = null;
  const end = button('fv-mini fv-x', '\u00d7', `Stop column ${column.letter} alone`, () => stop(column.letter));
  head.append(end);
  const show = (now, going) => {
    head.querySelector('bdi').textContent = now.name || 'hidden until the vote';
    head.querySelector('bdi').classList.toggle('fv-quiet', !now.name);
    const same = text.textContent === now.text;
    if (!same) text.textContent = now.text;
    if (!going && !now.text && !now.error) text.replaceChildren(make('span', 'fv-quiet', '(an empty answer)'));
    stage.textContent = now.stage;
    trouble.textContent = now.error;
    trouble.hidden = !now.error;
    end.hidden = !going || now.done || !now.name;
    if (now.facts.length && ended !== JSON.stringify(now.facts)) {
      ended = JSON.stringify(now.facts);
      more.replaceChildren(factList(now.facts));
    }
    box.setAttribute('aria-label', `Column ${now.letter}: ${now.name || 'name hidden'}`);
    box.classList.toggle('off', Boolean(now.error));
  };
  show(column, running);
  return { node: box, show };
};
// Every token a cell: its width is the same in all columns, its height the probability. Hovering reads it.
const strips = (columns) => {
  const box = make('div', 'fv-versus-strips'),
    most = Math.max(1, ...columns.map((column) => column.tokens.length)),
    line = make('p', 'fv-quiet', 'Each bar is a token, its height the probability, 0 to 100 %. Hover one to read it.');
  for (const column of columns) {
    const row = make('div', 'fv-versus-strip'),
      cells = make('div', 'fv-versus-cells'),
      mean = column.tokens.length ? column.tokens.reduce((sum, [, p]) => sum + Math.exp(p), 0) / column.tokens.length : NaN;
    cells.style.setProperty('--many', most);
    cells.setAttribute('role', 'img');
    cells.setAttribute(
      'aria-label',
      `Column ${column.letter}: ${column.tokens.length} tokens, mean probability ${percent(mean)}`,
    );
    column.tokens.forEach(([text, p], k) => {
      const cell = make('span');
      cell.style.setProperty('--p', Math.exp(p));
      cell.dataset.k = k;
      cell.title = `${shown(text)}  ${percent(Math.exp(p))}`;
      cells.append(cell);
    });
    cells.addEventListener('pointerover', (e) => {
      const k = e.target.dataset.k;
      if (k !== undefined)
        line.textContent = `${column.letter}, token ${+k + 1}: \u201c${shown(column.tokens[k][0])}\u201d, probability ${percent(Math.exp(column.tokens[k][1]))}`;
    });
    row.append(
      letterOf(column),
      cells,
      make(
        'span',
        'fv-quiet',
        `${column.tokens.length} ${column.tokens.length === 1 ? 'token' : 'tokens'}${column.tokens.length ? `, mean ${percent(mean)}` : ''}`,
      ),
    );
    box.append(row);
  }
  box.append(line);
  return box;
};
