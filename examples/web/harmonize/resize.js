/**
 * Resizing as edge_harmony.pictures.resize does it: area averages where both sides shrink (OpenCV's INTER_AREA), else
 * bilinear. Rows go in and come out one at a time, so no picture in floating point is ever in memory. Sums over rows
 * are rounded to 32 bits where the compiled loops of Python round them: most results are equal to the last bit, and an
 * INT8 network makes a level of a difference.
 */

/** @typedef {import("./pictures.js").Size} Size */
/**
 * The samples of the source that one sample of the result is made of, and their shares, whose sum is 1.
 * @typedef {{ first: number, shares: number[] }} Span
 */

/**
 * Shares of source samples in a mean over the part that a sample of the result covers.
 * @param {number} size samples of the source
 * @param {number} wanted samples of the result, at most as many
 * @returns {Span[]}
 */
function areaSpans(size, wanted) {
  const spans = [];
  const step = size / wanted;
  for (let at = 0; at < wanted; at++) {
    const [begin, end] = [at * step, (at + 1) * step];
    const first = Math.floor(begin);
    const shares = [];
    for (let i = first; i < Math.min(Math.ceil(end), size); i++)
      shares.push((Math.min(end, i + 1) - Math.max(begin, i)) / (end - begin));
    spans.push({ first, shares });
  }
  return spans;
}

/**
 * Shares of the two nearest source samples; sample centres are half a pixel from the edge.
 * @param {number} size samples of the source
 * @param {number} wanted samples of the result
 * @returns {Span[]}
 */
export function linearSpans(size, wanted) {
  const spans = [];
  for (let at = 0; at < wanted; at++) {
    const position = Math.min(Math.max(((at + 0.5) * size) / wanted - 0.5, 0), size - 1);
    const first = Math.min(Math.floor(position), Math.max(size - 2, 0));
    spans.push({ first, shares: size > 1 ? [1 - (position - first), position - first] : [1] });
  }
  return spans;
}

/**
 * Resize a picture of any number of channels.
 * @param {Size} from size of the source
 * @param {Size} to size of the result
 * @param {number} channels
 * @param {(row: number) => ArrayLike<number>} read a row of the source: `from.width * channels` samples
 * @param {(row: number, samples: Float32Array) => void} write takes a row of the result: `to.width * channels` samples
 *     in an array that is used again for the next row
 */
export function resizeRows(from, to, channels, read, write) {
  const shrinks = to.width <= from.width && to.height <= from.height;
  const spans = shrinks ? areaSpans : linearSpans;
  const [down, across] = [spans(from.height, to.height), spans(from.width, to.width)];
  const mean = new Float32Array(from.width * channels);
  const result = new Float32Array(to.width * channels);
  for (let row = 0; row < to.height; row++) {
    mean.fill(0);
    for (let k = 0; k < down[row].shares.length; k++) {
      const share = Math.fround(down[row].shares[k]);
      if (!share) continue;
      addRow(mean, read(down[row].first + k), share);
    }
    for (let x = 0; x < to.width; x++) {
      const { first, shares } = across[x];
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < shares.length; k++) sum += shares[k] * mean[(first + k) * channels + c];
        result[x * channels + c] = sum;
      }
    }
    write(row, result);
  }
}

/**
 * Enlarge a picture of 8 bits with the integers of OpenCV's INTER_LINEAR, which cuts off where others round: shares of
 * 1/2048, and four bits less between the two directions (resize.cpp of OpenCV, VResizeLinear of uchar).
 * @param {Size} from at least one side is smaller than in `to`
 * @param {Size} to
 * @param {number} channels
 * @param {(row: number) => ArrayLike<number>} read as for {@link resizeRows}
 * @param {(row: number, levels: Int32Array) => void} write as for {@link resizeRows}
 */
export function enlargeLevels(from, to, channels, read, write) {
  const [down, across] = [linearSpans(from.height, to.height), linearSpans(from.width, to.width)];
  const shareOf = (/** @type {Span} */ { shares }, /** @type {number} */ k) => toEven(2048 * Math.fround(shares[k] ?? 0));
  const result = new Int32Array(to.width * channels);
  for (let row = 0; row < to.height; row++) {
    const { first, shares } = down[row];
    const [above, below] = [read(first), read(first + shares.length - 1)];
    const [upper, lower] = [shareOf(down[row], 0), shareOf(down[row], 1)];
    for (let x = 0; x < to.width; x++) {
      const [left, right] = [shareOf(across[x], 0), shareOf(across[x], 1)];
      const at = across[x].first * channels;
      const next = across[x].shares.length > 1 ? at + channels : at;
      for (let c = 0; c < channels; c++) {
        const one = (left * above[at + c] + right * above[next + c]) >> 4;
        const other = (left * below[at + c] + right * below[next + c]) >> 4;
        result[x * channels + c] = (((upper * one) >> 16) + ((lower * other) >> 16) + 2) >> 2;
      }
    }
    write(row, result);
  }
}

/**
 * @param {Float32Array} sum
 * @param {ArrayLike<number>} line
 * @param {number} share
 */
function addRow(sum, line, share) {
  const { length } = sum;
  for (let i = 0; i < length; i++) sum[i] = Math.fround(sum[i] + share * line[i]);
}

/** Half of the largest number whose neighbours differ by 1: adding and subtracting it rounds. */
const ROUNDER = 1.5 * 2 ** 52;

/**
 * Round to the nearest integer, halves to the even one, as NumPy and OpenCV do.
 * @param {number} value of a magnitude below 2^51
 */
export function toEven(value) {
  return value + ROUNDER - ROUNDER;
}
