// Small helpers every component starts with. Text reaches the page through textContent only.
const one = (selector) => element.querySelector(selector);
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
};
// A button is named by its text, or by its title where the text is a sign.
const button = (className, text, title, act) => {
  const node = make('button', className, text);
  node.type = 'button';
  if (title) {
    node.title = title;
    if (!/\p{L}/u.test(text || '')) node.setAttribute('aria-label', title);
  }
  node.addEventListener('click', act);
  return node;
};
const percent = (p) =>
  p >= 0.9995
    ? '100 %'
    : p >= 0.0995
      ? (100 * p).toFixed(0) + ' %'
      : p >= 0.00001
        ? (100 * p).toPrecision(2) + ' %'
        : '< 0.001 %';
// Spaces and line breaks of a token made visible, other control characters as their code.
const shown = (text) =>
  text
    .replace(/\n/g, '\u21b5')
    .replace(/\t/g, '\u21e5')
    .replace(/^ | $/g, '\u00b7')
    .replace(
      /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
      (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'),
    ) || '\u2205';
// Offers a text or a Blob as a file.
const saveFile = (data, type, name) => {
  const link = make('a'),
    url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};
const scrollBox = () => element.closest('.fv-scroll');
const nearEnd = (box) => !box || box.scrollHeight - box.scrollTop - box.clientHeight < 160;
const toEnd = (box) => {
  if (box) box.scrollTop = box.scrollHeight;
};
const pictures = (images) => {
  const row = make('div', 'fv-pictures');
  for (const image of images) {
    const link = make('a', 'fv-picture');
    link.href = image.url;
    link.target = '_blank';
    link.rel = 'noopener';
    const img = make('img');
    img.src = image.url;
    img.alt = image.name || 'attached picture';
    img.loading = 'lazy';
    img.addEventListener('load', () => {
      const box = scrollBox();
      if (nearEnd(box)) toEnd(box);
    });
    link.append(img);
    if (image.frame) link.append(make('span', 'fv-quiet', image.name));
    row.append(link);
  }
  return row;
};
const turnAddress = (run) => {
  const address = new URL(location.href);
  address.search = '';
  address.searchParams.set('run', run);
  address.hash = '';
  return address.href;
};
// Copies also where the page is not served over https and the browser has no clipboard for it.
const copy = async (text, node) => {
  const before = node.textContent;
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else {
      const area = make('textarea');
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    node.textContent = 'Copied';
  } catch {
    node.textContent = 'Not allowed here';
  }
  setTimeout(() => {
    node.textContent = before;
  }, 1500);
};
// One of a group of buttons can be reached by Tab; arrow keys move among them.
const roving = (all, at) =>
  all.forEach((node, i) => {
    node.tabIndex = i === at ? 0 : -1;
  });
