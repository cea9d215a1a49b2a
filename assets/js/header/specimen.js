// What is on the bench: pictures, question, answer. Stays in view on every tab. Event: act {run, action}.
let at = 0,
  run = null;
const gallery = (images) => {
  const image = images[at],
    figure = make('figure', 'fv-figure'),
    img = make('img'),
    words = [image.name, image.size].filter(Boolean).join(', ');
  img.src = image.url;
  img.alt = image.name || 'the picture asked about';
  figure.append(img, make('figcaption', 'fv-quiet', images.length > 1 ? `${at + 1} of ${images.length}: ${words}` : words));
  if (images.length === 1) return [figure];
  const strip = make('div', 'fv-strip');
  strip.setAttribute('role', 'group');
  strip.setAttribute('aria-label', 'Pictures of this conversation');
  images.forEach((other, i) => {
    const pick = button('fv-thumb' + (i === at ? ' on' : ''), '', other.frame ? other.name : `Picture ${i + 1}`, () => {
      at = i;
      build();
      element.querySelectorAll('.fv-thumb')[i].focus();
    });
    const small = make('img');
    small.src = other.url;
    small.alt = '';
    pick.setAttribute('aria-pressed', i === at);
    pick.append(small);
    strip.append(pick);
  });
  return [figure, strip];
};
const build = () => {
  const value = props.value,
    root = one('.fv-specimen');
  root.replaceChildren();
  if (!value) {
    root.append(make('p', 'fv-empty', 'Nothing on the bench yet. Ask something, or choose a scene.'));
    run = null;
    return;
  }
  if (value.run !== run) {
    at = value.images.length - 1;
    run = value.run;
  }
  at = Math.max(0, Math.min(at, value.images.length - 1));
  if (value.images.length) root.append(...gallery(value.images));
  const words = make('div', 'fv-words'),
    answer = make('div', 'fv-answer', value.answer);
  answer.classList.toggle('fv-quiet', value.status !== 'done');
  words.append(make('div', 'fv-question', value.question), answer);
  if (value.truth) {
    const truth = make('div', 'fv-truth');
    truth.append(make('b', '', 'Truth: '), value.truth);
    words.append(truth);
  }
  const bar = make('div', 'fv-actions');
  for (const [action, text, title] of value.actions)
    bar.append(button('fv-mini', text, title, () => trigger('act', { run: value.run, action })));
  root.append(words, bar);
  if (value.note) root.append(make('p', 'fv-note', value.note));
};
watch('value', build);
build();
// 'act'
