// What leaves the page: addresses, copies, files.

import { make } from './make.js';

/**
 * The address of this page with one thing to be opened.
 * @param {string} name
 * @param {string} value
 */
const addressOf = (name, value) => {
  const address = new URL(location.href);
  address.search = '';
  address.searchParams.set(name, value);
  address.hash = '';
  return address.href;
};

/** @param {string} run */
export const turnAddress = (run) => addressOf('run', run);

/** @param {string} key */
export const comparisonAddress = (key) => addressOf('compare', key);

/**
 * Copies also where the page is not served over https and the browser has no clipboard for it.
 * @param {string} text
 * @param {EventTarget | null} node what says that it is done
 */
export const copy = async (text, node) => {
  if (!(node instanceof HTMLElement)) return;
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

/**
 * Offers a text or a Blob as a file.
 * @param {BlobPart} data
 * @param {string} type
 * @param {string} name
 */
export const saveFile = (data, type, name) => {
  const link = make('a'),
    url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};
