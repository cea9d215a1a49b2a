// Nodes. Text reaches the page through textContent only.

/**
 * A node with a class and a text.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} [className]
 * @param {string | number | null} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
export const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
};

/**
 * A button. It is named by its text, or by its title where the text is a sign.
 * @param {string} className
 * @param {string} text
 * @param {string} title
 * @param {(event: MouseEvent) => void} act
 */
export const button = (className, text, title, act) => {
  const node = make('button', className, text);
  node.type = 'button';
  if (title) {
    node.title = title;
    if (!/\p{L}/u.test(text || '')) node.setAttribute('aria-label', title);
  }
  node.addEventListener('click', act);
  return node;
};

/**
 * Whether a button is pressed: by its class and for screen readers.
 * @param {Element} node
 * @param {boolean} on
 */
export const press = (node, on) => {
  node.classList.toggle('on', on);
  node.setAttribute('aria-pressed', String(on));
};

export const SVG = 'http://www.w3.org/2000/svg';

/**
 * A node of a drawing.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number>} [values]
 * @param {string} [text]
 * @returns {SVGElementTagNameMap[K]}
 */
export const shape = (tag, values = {}, text) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, String(value));
  if (text !== undefined) node.textContent = text;
  return node;
};

/**
 * An item of a select.
 * @param {string | number} value
 * @param {string | number} text
 */
export const option = (value, text) => {
  const node = make('option', '', text);
  node.value = String(value);
  return node;
};
