// The box a conversation scrolls in.

/**
 * @param {Element} node
 * @returns {HTMLElement | null}
 */
export const scrollBox = (node) => node.closest('.fv-scroll');

/** @param {HTMLElement | null} box */
export const nearEnd = (box) => !box || box.scrollHeight - box.scrollTop - box.clientHeight < 160;

/** @param {HTMLElement | null} box */
export const toEnd = (box) => {
  if (box) box.scrollTop = box.scrollHeight;
};
