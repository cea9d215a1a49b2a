// The turn being answered. Updated about ten times a second; nothing else on the page is touched.
let gone = null; // the turn last taken away: what was still on its way from the server does not bring it back
const build = () => {
  const value = props.value,
    root = one('.fv-live'),
    box = scrollBox(),
    end = nearEnd(box);
  let turn = root.querySelector('.fv-turn');
  if (!value) {
    if (turn) gone = turn.dataset.key;
    root.replaceChildren();
    return;
  }
  if (value.key === gone) return;
  if (!turn || turn.dataset.key !== value.key) {
    turn = make('article', 'fv-turn');
    turn.dataset.key = value.key;
    const asked = make('div', 'fv-asked'),
      answered = make('div', 'fv-answered');
    if (value.images.length) asked.append(pictures(value.images));
    asked.append(make('div', 'fv-text', value.question));
    answered.append(make('div', 'fv-who', value.checkpoint), make('div', 'fv-text fv-growing', ''), make('div', 'fv-stage', ''));
    turn.append(asked, answered);
    root.replaceChildren(turn);
    requestAnimationFrame(() => toEnd(box));
  }
  turn.querySelector('.fv-growing').textContent = value.answer;
  turn.querySelector('.fv-stage').textContent = value.stage;
  if (end) requestAnimationFrame(() => toEnd(box));
};
watch('value', build);
build();
