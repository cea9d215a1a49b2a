// What is on the bench: pictures, question, answer. Stays in view on every tab. Event: act {run, action}.
let at = 0;
const build = () => {
  const value = props.value, root = one('.fv-specimen');
  root.replaceChildren();
  if (!value || (!value.images.length && !value.question)) { root.append(make('p', 'fv-empty', 'Nothing on the bench yet. Ask something, or choose a scene.')); return; }
  at = Math.min(at, Math.max(0, value.images.length - 1));
  if (value.images.length) {
    const image = value.images[at];
    const figure = make('figure', 'fv-figure'), img = make('img');
    img.src = image.url; img.alt = image.alt || image.name || 'the picture asked about'; figure.append(img);
    const words = [image.name, image.size].filter(Boolean).join(', ');
    figure.append(make('figcaption', 'fv-quiet', value.images.length > 1 ? `${at + 1} of ${value.images.length}: ${words}` : words));
    root.append(figure);
    if (value.images.length > 1) {
      const strip = make('div', 'fv-strip');
      value.images.forEach((other, i) => {
        const pick = button('fv-thumb' + (i === at ? ' on' : ''), '', `Picture ${i + 1}`, () => { at = i; build(); });
        const small = make('img'); small.src = other.url; small.alt = ''; pick.append(small); strip.append(pick);
      });
      root.append(strip);
    }
  }
  const words = make('div', 'fv-words');
  words.append(make('div', 'fv-question', value.question));
  const answer = make('div', 'fv-answer', value.answer); if (value.status !== 'done') answer.classList.add('fv-quiet'); words.append(answer);
  if (value.truth) { const truth = make('div', 'fv-truth'); truth.append(make('b', '', 'Truth: '), document.createTextNode(value.truth)); words.append(truth); }
  root.append(words);
  const bar = make('div', 'fv-actions');
  if (value.run) for (const [action, text, title] of value.actions) bar.append(button('fv-mini', text, title, () => trigger('act', { run: value.run, action })));
  root.append(bar);
  if (value.note) root.append(make('p', 'fv-note', value.note));
};
watch('value', build); build();
// 'act'
