// From numbers of visual tokens to numbers of cells, and back.

/**
 * Where tokens look: their cell, -1 where none; or, where places are mixed, how much each token draws on each cell.
 * @typedef {object} Geometry
 * @property {number[]} cell
 * @property {Float32Array | null} [mixing] [tokens * cells]
 */

/**
 * The mean of some rows of a matrix, of its columns where it is turned.
 * @param {Float32Array} matrix [width * width]
 * @param {number} width
 * @param {number[]} rows
 * @param {boolean} [turned]
 */
export const meanRows = (matrix, width, rows, turned) => {
  const found = new Float32Array(width);
  for (const r of rows)
    for (let c = 0; c < width; c++) found[c] += (turned ? matrix[c * width + r] : matrix[r * width + c]) / rows.length;
  return found;
};

/**
 * Values of tokens [T * width] as values of cells, NaN where no token looks, the mean where several do. Where places are
 * mixed, a cell has what the tokens that draw on it give it.
 * @param {ArrayLike<number>} values
 * @param {Geometry} from
 * @param {number} cells
 * @param {number} [width]
 */
export const toCells = (values, from, cells, width = 1) =>
  from.mixing ? mixed(values, from.cell.length, from.mixing, cells, width) : placed(values, from.cell, cells, width);

/**
 * @param {ArrayLike<number>} values
 * @param {number} tokens
 * @param {Float32Array} mixing
 * @param {number} cells
 * @param {number} width
 */
const mixed = (values, tokens, mixing, cells, width) => {
  const found = new Float32Array(cells * width);
  for (let t = 0; t < tokens; t++)
    for (let c = 0; c < cells; c++)
      for (let i = 0; i < width; i++) found[c * width + i] += values[t * width + i] * mixing[t * cells + c];
  return found;
};

/**
 * @param {ArrayLike<number>} values
 * @param {number[]} cell
 * @param {number} cells
 * @param {number} width
 */
const placed = (values, cell, cells, width) => {
  const found = new Float32Array(cells * width).fill(NaN),
    count = new Uint16Array(cells);
  cell.forEach((c, t) => {
    if (c < 0) return;
    count[c]++;
    for (let i = 0; i < width; i++) {
      const at = c * width + i,
        v = values[t * width + i];
      found[at] = count[c] === 1 ? v : found[at] + (v - found[at]) / count[c];
    }
  });
  return found;
};

/**
 * The tokens behind cells: those that look there; where places are mixed, for each cell the one that draws on it most.
 * @param {number[]} chosen
 * @param {Geometry} from
 * @param {number} cells
 */
export const tokensOf = (chosen, { cell, mixing }, cells) => {
  const wanted = new Set(chosen);
  if (!mixing) return cell.flatMap((c, t) => (wanted.has(c) ? [t] : []));
  const most = (/** @type {number} */ c) => {
    let best = 0;
    for (let t = 1; t < cell.length; t++) if (mixing[t * cells + c] > mixing[best * cells + c]) best = t;
    return best;
  };
  return [...new Set(chosen.map(most))].sort((a, b) => a - b);
};
