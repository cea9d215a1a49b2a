// Tables of the compare tab: a question set with the questions that differ first, and what the votes say.
const figureTable = (heads, rows) => {
  // heads: [text, numeric?, title?]; rows: [[text or node]]
  const table = make('table', `fv-versus-table${heads.filter(([, numeric]) => numeric).length > 1 ? ' figures' : ''}`),
    head = make('tr'),
    wrap = make('div', 'fv-versus-wide');
  heads.forEach(([text, numeric, title]) => {
    const th = make('th', numeric ? 'num' : '', text);
    th.scope = 'col';
    if (title) th.title = title;
    head.append(th);
  });
  table.append(head);
  for (const row of rows) {
    const tr = make('tr');
    row.forEach((cell, i) => {
      const td = make('td', heads[i] && heads[i][1] ? 'num' : '');
      if (cell instanceof Node) td.append(cell);
      else td.textContent = cell;
      tr.append(td);
    });
    table.append(tr);
  }
  wrap.append(table);
  return wrap;
};
const votesView = (value, choose) => {
  const head = make('div', 'fv-actions'),
    nodes = [head],
    many = value.votes === 1 ? '1 vote' : `${value.votes} votes`;
  if (value.kinds.length > 1 || value.kind) {
    const box = pick(
      'Kind of question',
      [['', 'all'], ...value.kinds.map(([kind, n]) => [kind, `${kind} (${n})`])],
      value.kind,
      (kind) => choose({ kind, blind: value.blind }),
    );
    box.querySelector('select').id = 'compare-kind';
    head.append(box);
  }
  head.append(
    tick('Blind votes only', value.blind, (blind) => choose({ kind: value.kind, blind })),
    make('span', 'fv-quiet', `${many}, ${value.blinds} blind${value.mine ? ', of this session' : ''}`),
  );
  if (!value.votes) {
    nodes.push(make('p', 'fv-empty', 'No votes yet. Compare two columns and say which is better.'));
    return nodes;
  }
  head.append(
    button('fv-mini', 'CSV', 'All these votes as a table', () => saveFile(value.csv, 'text/csv', 'votes.csv')),
    button('fv-mini', 'JSON', 'All these votes as a list of objects', () =>
      saveFile(value.json, 'application/json', 'votes.json'),
    ),
  );
  const strengths = value.names.some((row) => row[5]),
    heads = [['column'], ['won', true], ['lost', true], ['tied', true], ['win rate, 95 %', true]];
  if (strengths) heads.push(['strength, 95 %', true]);
  nodes.push(
    part(
      'Columns',
      figureTable(
        heads,
        value.names.map((row) => (strengths ? row : row.slice(0, 5))),
      ),
      make('p', 'fv-quiet', value.note),
    ),
  );
  if (value.why) nodes.push(make('p', 'fv-note', value.why));
  if (value.pairs.length > 1)
    nodes.push(
      part(
        'Pairs',
        figureTable(
          [['column'], ['against'], ['won', true], ['lost', true], ['tied', true], ['win rate, 95 %', true]],
          value.pairs,
        ),
      ),
    );
  if (value.reasons.length)
    nodes.push(part('Reasons', make('p', 'fv-quiet', value.reasons.map(([reason, n]) => `${reason} ${n}`).join(', '))));
  nodes.push(part('Latest votes', figureTable([['question'], ['preferred'], ['how']], value.latest)));
  return nodes;
};
const setView = (value) => {
  const nodes = [],
    bar = make('progress');
  if (value.running) {
    const line = make('div', 'fv-progress');
    bar.max = 1;
    bar.value = value.share;
    bar.setAttribute('aria-label', 'Questions asked');
    line.append(bar, make('span', '', value.stage));
    nodes.push(line);
  }
  for (const note of value.notes) nodes.push(make('p', 'fv-note', note));
  if (value.columns.length)
    nodes.push(
      part('Right answers', figureTable([['column'], ['right', true], ['share, 95 %', true], ['failed', true]], value.columns)),
    );
  if (value.tests.length)
    nodes.push(
      part(
        'Is the difference real?',
        figureTable(
          [
            ['pair'],
            ['both right', true],
            ['first only', true],
            ['second only', true],
            ['neither', true],
            ['p', true, 'Exact McNemar, two-sided'],
          ],
          value.tests,
        ),
        make('p', 'fv-quiet', value.meaning),
      ),
    );
  if (value.kinds.length)
    nodes.push(
      part(
        'By kind of question',
        figureTable([['kind'], ['n', true], ...value.letters.map((letter) => [letter, true])], value.kinds),
      ),
    );
  if (value.rows.length) {
    const rows = value.rows.map((row) => [
      String(row.index),
      row.question,
      row.truth,
      ...row.answers.map((answer) => {
        const cell = make(
          'span',
          answer.right === true ? 'good' : answer.right === false ? 'bad' : '',
          `${answer.right === true ? '\u2713 ' : answer.right === false ? '\u2717 ' : ''}${answer.text}`,
        );
        if (answer.error) cell.title = answer.error;
        return cell;
      }),
    ]);
    nodes.push(
      part(value.heading, figureTable([['#', true], ['question'], ['truth'], ...value.letters.map((letter) => [letter])], rows)),
    );
    if (value.more) nodes.push(make('p', 'fv-quiet', value.more));
  }
  return nodes;
};
