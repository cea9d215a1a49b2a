// Groups of buttons under the keyboard: one of them is reached by Tab, arrow keys move among them.

/**
 * @param {HTMLElement[]} all
 * @param {number} at which of them Tab reaches
 */
export const roving = (all, at) =>
  all.forEach((node, i) => {
    node.tabIndex = i === at ? 0 : -1;
  });

/**
 * Focus the node a key leads to, where there is one.
 * @param {HTMLElement[]} all
 * @param {number | undefined} to
 * @param {KeyboardEvent} event
 * @returns {boolean} whether there was
 */
export const walk = (all, to, event) => {
  if (to === undefined || !all[to]) return false;
  all[to].focus();
  event.preventDefault();
  return true;
};

/**
 * Where Left, Right, Home and End lead from the k-th of so many.
 * @param {string} key
 * @param {number} k
 * @param {number} many
 * @returns {number | undefined}
 */
export const along = (key, k, many) => {
  /** @type {Record<string, number>} */
  const to = { ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: many - 1 };
  return to[key];
};

/** @type {Record<string, [number, number]>} rows and columns that an arrow key moves by */
export const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

/**
 * The node of a selector that an event fell on, or null.
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export const hit = (event, selector) => (event.target instanceof Element ? event.target.closest(selector) : null);
