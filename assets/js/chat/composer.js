// What is to be known above the question box: a question being edited, notes on attached pictures. Events: cancel, attached {count}.
const attached = () => document.querySelectorAll('#ask .thumbnail-item').length;
const build = () => {
  const value = props.value,
    root = one('.fv-composer');
  root.replaceChildren();
  if (!value) return;
  if (value.editing) {
    const line = make('div', 'fv-editing');
    line.append(
      make('span', '', value.editing),
      button('fv-mini', 'Cancel', 'Leave the question as it was', () => trigger('cancel', {})),
    );
    root.append(line);
    requestAnimationFrame(() => document.querySelector('#ask textarea')?.focus());
  }
  if (!attached()) return; // an answer about pictures that were sent meanwhile
  for (const note of value.notes) root.append(make('p', 'fv-note', note));
};
let count = 0,
  later = 0;
const look = () => {
  document.querySelector('#ask input[type=file]')?.setAttribute('accept', 'image/*'); // a hint to the chooser; the server looks for itself
  const now = attached();
  if (now !== count) {
    count = now;
    clearTimeout(later);
    later = setTimeout(() => {
      if (count || one('.fv-note')) trigger('attached', { count });
    }, 150);
  }
};
const begin = (tries) => {
  const box = document.querySelector('#ask');
  if (box) look();
  if (box) new MutationObserver(look).observe(box, { childList: true, subtree: true });
  else if (tries) setTimeout(() => begin(tries - 1), 100);
};
watch('value', build);
build();
begin(50);
// 'cancel' 'attached'
