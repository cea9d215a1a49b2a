// One logged turn in full, its maps, and a replay of it beside the first answer. Event: map {kind, name}.
const section = (title, ...nodes) => {
  const box = make('section');
  box.append(make('h3', '', title), ...nodes);
  return box;
};
const replayed = (replay) => {
  const box = make('div', 'fv-replay'),
    strip = make('div', 'fv-diff');
  box.setAttribute('role', 'status');
  box.append(make('p', replay.same ? 'fv-good' : 'fv-error', replay.text));
  for (const [first, second, same] of replay.tokens) {
    const pair = make('span', 'fv-pair' + (same ? '' : ' off'));
    pair.append(make('bdi', '', shown(first)), make('bdi', '', shown(second)));
    if (!same) pair.title = 'Differs: above the first answer, below the replay';
    strip.append(pair);
  }
  if (replay.tokens.length)
    box.append(make('p', 'fv-quiet', 'Above the first answer, below the replay; what differs is underlined.'), strip);
  return box;
};
const build = () => {
  const value = props.value,
    root = one('.fv-detail');
  root.replaceChildren();
  if (!value) return;
  if (value.replay) root.append(replayed(value.replay));
  if (value.images.length) root.append(pictures(value.images));
  for (const note of value.notes) root.append(make('p', 'fv-note', note));
  root.append(section('Question', make('div', 'fv-text', value.question)));
  const answer = section(
    value.state === 'done' ? 'Answer' : `Answer (${value.state})`,
    make('div', 'fv-text', value.answer || '(empty)'),
  );
  root.append(answer);
  if (value.error) answer.append(make('div', 'fv-error', value.error));
  if (value.truth) {
    const truth = make('div', 'fv-truth');
    truth.append(make('b', '', 'Truth of the drawing: '), value.truth);
    answer.append(truth);
  }
  const line = make('div', 'fv-address'),
    link = make('a', '', turnAddress(value.run));
  link.href = link.textContent;
  line.append(
    button('fv-mini', 'Copy link', 'Copy the address of this turn', (e) => copy(link.href, e.currentTarget)),
    link,
  );
  root.append(line);
  if (value.maps && value.maps.length) {
    const maps = make('div', 'fv-maps');
    const where = { heat: 'Attention', patches: 'Patches' };
    for (const { kind, name, title, note } of value.maps)
      maps.append(
        button('fv-mini', title, `${note ? note + '. ' : ''}Opens in ${where[kind]}`, () => trigger('map', { kind, name })),
      );
    root.append(section(value.maps.length === 1 ? '1 map' : `${value.maps.length} maps`, maps));
  }
  const facts = make('dl', 'fv-facts'),
    more = make('details', 'fv-more');
  more.open = build.more === true;
  for (const [name, text] of value.facts) facts.append(make('dt', '', name), make('dd', '', text));
  more.addEventListener('toggle', () => {
    build.more = more.open;
  });
  more.append(make('summary', '', 'All that is logged'), facts);
  root.append(more);
};
watch('value', build);
build();
// 'map'
