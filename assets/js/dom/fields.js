// Small form fields with their label beside them. `change` is called with the new value.
const field = (label, control, title) => {
  const box = make('label', 'fv-pfield'),
    name = make('span', '', label);
  box.append(name, control);
  if (title) box.title = title;
  box.name_ = name;
  return box;
};
// options: [[value, text, why it cannot be chosen]]; the value null is chosen as null again.
const pick = (label, options, value, change, title) => {
  const select = make('select');
  for (const [key, text, why] of options) {
    const item = make('option', '', text);
    item.value = key ?? '';
    item.disabled = Boolean(why);
    if (why) item.title = why;
    select.append(item);
  }
  select.value = value ?? '';
  select.addEventListener('change', () => change(select.value));
  const box = field(label, select, title);
  box.select = select;
  return box;
};
// words(value) stands behind the label.
const slide = (label, low, high, value, step, change, words) => {
  const input = make('input'),
    box = field('', input),
    say = () => {
      box.name_.textContent = words ? `${label} ${words(+input.value)}` : label;
    };
  Object.assign(input, { type: 'range', min: low, max: high, step, value });
  input.setAttribute('aria-label', label);
  say();
  input.addEventListener('input', () => {
    say();
    change(+input.value);
  });
  return box;
};
const tick = (label, value, change, title) => {
  const box = make('label', 'fv-ptick'),
    input = make('input');
  input.type = 'checkbox';
  input.checked = value;
  box.append(input, make('span', '', label));
  if (title) box.title = title;
  input.addEventListener('change', () => change(input.checked));
  box.input = input;
  return box;
};
// [[null, "all layers"], [0, "layer 1"], ...]
const counted = (n, name) => [[null, `all ${name}s`], ...Array.from({ length: n }, (_, i) => [i, `${name} ${i + 1}`])];
const orNull = (text) => (text === '' ? null : +text);
