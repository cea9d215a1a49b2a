// Small helpers every component starts with. Text reaches the page through textContent only.
const one = (selector) => element.querySelector(selector);
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
};
const button = (className, text, title, act) => {
  const node = make('button', className, text);
  node.type = 'button';
  if (title) { node.title = title; node.setAttribute('aria-label', title); }
  node.addEventListener('click', act);
  return node;
};
const percent = (p) => p >= 0.9995 ? '100 %' : p >= 0.0995 ? (100 * p).toFixed(0) + ' %' : (100 * p).toPrecision(2) + ' %';
// Spaces and line breaks of a token, made visible; other control characters as their code.
const shown = (text) => text.replace(/\n/g, '\u21b5').replace(/\t/g, '\u21e5').replace(/^ | $/g, '\u00b7')
  .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0')) || '\u2205';
const scrollBox = () => element.closest('.fv-scroll');
const nearEnd = (box) => !box || box.scrollHeight - box.scrollTop - box.clientHeight < 160;
const toEnd = (box) => { if (box) box.scrollTop = box.scrollHeight; };
const pictures = (images) => {
  const row = make('div', 'fv-pictures');
  for (const image of images) {
    const link = make('a', 'fv-picture');
    link.href = image.url; link.target = '_blank'; link.rel = 'noopener';
    const img = make('img'); img.src = image.url; img.alt = image.name || 'attached picture'; img.loading = 'lazy';
    link.append(img); row.append(link);
  }
  return row;
};
