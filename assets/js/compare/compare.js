// The answers of a comparison with all that is under them; a question set; the votes. One of the three shows, as the setup says.
// Events: vote {outcome, reasons, waited_ms}, reveal, again, stopone {letter}, kind {kind, blind}. server.ask: {what: 'heat', runs, words, method}.
const root = one('.fv-versus'),
  views = {};
let mode = 'one',
  boxes = [],
  built = '',
  chosenPair = 0;
const single = (value) => {
  const going = value.running;
  if (going && built === value.key && boxes.length === value.columns.length) {
    value.columns.forEach((column, i) => boxes[i].show(column, true));
    root.querySelector('.fv-versus-stage').textContent = value.stage;
    return;
  }
  const head = make('div', 'fv-versus-asked'),
    grid = make('div', 'fv-versus-grid');
  built = going ? value.key : '';
  grid.style.setProperty('--columns', value.columns.length);
  if (value.images.length) head.append(pictures(value.images));
  const words = make('div');
  words.append(make('div', 'fv-question', value.question));
  head.append(words);
  if (value.truth) {
    const truth = make('div', 'fv-truth');
    truth.append(make('b', '', 'Truth: '), value.truth);
    words.append(truth);
  }
  boxes = value.columns.map((column) => columnBox(column, going, (letter) => trigger('stopone', { letter })));
  grid.append(...boxes.map((box) => box.node));
  const nodes = [head];
  for (const note of value.notes) nodes.push(make('p', 'fv-note', note));
  const stage = make('div', 'fv-versus-stage fv-stage', value.stage);
  stage.setAttribute('role', 'status');
  nodes.push(grid, stage);
  if (!going) nodes.push(...under(value));
  root.replaceChildren(...nodes);
  root.dataset.key = value.key;
  root.dataset.state = going ? 'running' : value.sealed ? 'sealed' : 'done';
};
const under = (value) => {
  const nodes = [
    votePart(
      value,
      (given) => trigger('vote', given),
      (given) => trigger('reveal', given),
    ),
  ];
  if (value.sealed) return nodes;
  const bar = make('div', 'fv-actions');
  bar.append(
    button('fv-mini', 'Ask again', 'The same question to the same columns, and whether each says the same', () =>
      trigger('again', {}),
    ),
  );
  if (value.logged)
    bar.append(
      button('fv-mini', 'Link', 'Copy the address of this comparison', (e) => {
        const address = new URL(location.href);
        address.search = '';
        address.hash = '';
        address.searchParams.set('compare', value.key);
        copy(address.href, e.currentTarget);
      }),
    );
  nodes.push(bar);
  const said = value.columns.filter((column) => column.tokens.length);
  if (said.length) nodes.push(part('Length and certainty', strips(said)));
  if (!value.pairs.length) return nodes;
  const place = make('div'),
    names = value.columns.map(({ letter }) => letter);
  const draw = () => {
    const pair = value.pairs[Math.min(chosenPair, value.pairs.length - 1)],
      box = part('Words', wordDiff(pair, names), factList(pair.agreement, 'wide'));
    if (value.pairs.length > 1)
      box.insertBefore(
        pick(
          'Of',
          value.pairs.map((one, i) => [i, `${names[one.a]} and ${names[one.b]}`]),
          Math.min(chosenPair, value.pairs.length - 1),
          (v) => {
            chosenPair = +v;
            draw();
          },
        ),
        box.children[1],
      );
    place.replaceChildren(box, heatPart(value, pair));
  };
  draw();
  if (value.boxes) nodes.push(boxesPart(value.boxes));
  nodes.push(place);
  return nodes;
};
const render = () => {
  const value = views[mode];
  if (mode !== 'one') built = '';
  if (!value) {
    root.replaceChildren(
      make(
        'p',
        'fv-empty',
        mode === 'one'
          ? 'Two to four columns get the same question, side by side.'
          : mode === 'set'
            ? 'A set of questions shows where the columns part, the questions they differ on first.'
            : 'Reading the votes',
      ),
    );
    root.dataset.state = 'empty';
    return;
  }
  if (mode === 'one') single(value);
  else if (mode === 'set') root.replaceChildren(...setView(value));
  else root.replaceChildren(...votesView(value, (given) => trigger('kind', given)));
  if (mode !== 'one') root.dataset.state = value.running ? 'running' : mode;
};
const build = () => {
  const value = props.value;
  if (!value) return;
  views[value.view] = value;
  if (value.view === mode) render();
};
document.addEventListener('fv-compare-mode', (e) => {
  mode = e.detail;
  render();
});
render();
watch('value', build);
build();
// 'vote' 'reveal' 'again' 'stopone' 'kind'
