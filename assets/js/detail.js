// One logged turn in full, and a replay of it beside the first answer.
const section = (title, node) => { const box = make('section'); box.append(make('h4', '', title), node); return box; };
const build = () => {
  const value = props.value, root = one('.fv-detail'); root.replaceChildren(); if (!value) return;
  if (value.images.length) root.append(pictures(value.images));
  root.append(section('Question', make('div', 'fv-text', value.question)));
  root.append(section('Answer', make('div', 'fv-text', value.answer || '(empty)')));
  if (value.error) root.append(make('div', 'fv-error', value.error));
  const facts = make('dl', 'fv-facts');
  for (const [name, text] of value.facts) { facts.append(make('dt', '', name), make('dd', '', text)); }
  root.append(facts);
  if (value.replay) {
    const box = make('div', 'fv-replay'); box.append(make('p', value.replay.same ? 'fv-good' : 'fv-error', value.replay.text));
    const strip = make('div', 'fv-diff');
    for (const [first, second, same] of value.replay.tokens) {
      const pair = make('span', 'fv-pair' + (same ? '' : ' off')); pair.append(make('span', '', shown(first)), make('span', '', shown(second))); strip.append(pair);
    }
    box.append(strip); root.append(box);
  }
};
watch('value', build); build();
