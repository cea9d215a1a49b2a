// Numbers and tokens as they are read.

/** @param {number} p 0 to 1 */
export const percent = (p) =>
  p >= 0.9995
    ? '100 %'
    : p >= 0.0995
      ? (100 * p).toFixed(0) + ' %'
      : p >= 0.00001
        ? (100 * p).toPrecision(2) + ' %'
        : '< 0.001 %';

/**
 * Three digits, no noise.
 * @param {number} v
 */
export const digits = (v) => {
  if (!Number.isFinite(v)) return '\u2013';
  const size = Math.abs(v);
  const text =
    size === 0
      ? '0'
      : size >= 1000 || size < 0.0001
        ? v.toExponential(1)
        : size >= 100
          ? v.toFixed(0)
          : v.toPrecision(size >= 0.001 ? 3 : 2);
  return text.replace(/^(-?)0\./, '$1.').replace('-', '\u2212');
};

/**
 * Spaces and line breaks of a token made visible, other control characters as their code.
 * @param {string} text
 */
export const shown = (text) =>
  text
    .replace(/\n/g, '\u21b5')
    .replace(/\t/g, '\u21e5')
    .replace(/^ | $/g, '\u00b7')
    .replace(
      /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
      (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'),
    ) || '\u2205';

/**
 * With a capital letter first.
 * @param {string} text
 */
export const capital = (text) => text.replace(/^./, (c) => c.toUpperCase());

/**
 * Numbers as `packed` of panels packs them: float32, little endian, in base64.
 * @param {string} text
 */
export const floats = (text) => new Float32Array(bytes(text).buffer);

/** @param {string} text base64 */
export const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
