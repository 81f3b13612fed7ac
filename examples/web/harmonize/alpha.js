/** Colours of a cut-out, as edge_harmony.pictures.alpha straightens them. */
import { toEven } from "./resize.js";

/** @typedef {import("./pictures.js").Picture} Picture */

/** Soft pixels, of alpha between these, tell whether colours were multiplied; those from the second on are opaque. */
const SOFT = [0.05 * 255, 0.95 * 255];
const LEAST_SOFT = 16;
/** Colours beside a soft pixel are those of opaque ones at most so many pixels away, in either direction. */
const RING = 5;
/** So many soft pixels are looked at, evenly spread over those that there are. */
const MOST_LOOKED_AT = 50_000;

/**
 * A cut-out with straight colours: premultiplied ones are divided by alpha. Colours count as premultiplied if none is
 * brighter than its alpha, and if division by alpha brings those at the edges at least twice as near to the opaque
 * colours beside them.
 * @param {Picture} picture
 * @returns {Picture} the picture itself where it has straight colours
 */
export function straightOf(picture) {
  const { width, height, data } = picture;
  const soft = softPixels(data);
  if (!soft) return picture;
  const step = Math.max(1, Math.floor(soft.length / MOST_LOOKED_AT));
  let [asIs, divided] = [0, 0];
  for (let k = 0; k < soft.length; k += step) {
    const at = 4 * soft[k];
    const wanted = opaqueBeside(data, width, height, soft[k]);
    for (let c = 0; wanted && c < 3; c++) {
      asIs += Math.abs(data[at + c] - wanted[c]);
      divided += Math.abs(Math.min((255 * data[at + c]) / data[at + 3], 255) - wanted[c]);
    }
  }
  return divided < 0.5 * asIs ? unmultiplied(picture) : picture;
}

/**
 * The numbers of the soft pixels; null where there are few, or one that is brighter than its alpha.
 * @param {Picture["data"]} data
 */
function softPixels(data) {
  const found = [];
  for (let i = 0, at = 0; at < data.length; i++, at += 4) {
    const alpha = data[at + 3];
    if (alpha <= SOFT[0] || alpha >= SOFT[1]) continue;
    if (Math.max(data[at], data[at + 1], data[at + 2]) > alpha + 0.01 * 255) return null;
    found.push(i);
  }
  return found.length < LEAST_SOFT ? null : found;
}

/**
 * The mean colour of the opaque pixels beside a pixel; null where there is none.
 * @param {Picture["data"]} data
 * @param {number} width
 * @param {number} height
 * @param {number} pixel
 */
function opaqueBeside(data, width, height, pixel) {
  const [x, y] = [pixel % width, Math.floor(pixel / width)];
  const sums = [0, 0, 0];
  let count = 0;
  for (let v = y - RING; v <= y + RING; v++)
    for (let u = x - RING; u <= x + RING; u++) {
      const at = 4 * (reflected(v, height) * width + reflected(u, width));
      if (data[at + 3] < SOFT[1]) continue;
      count++;
      for (let c = 0; c < 3; c++) sums[c] += data[at + c];
    }
  return count ? sums.map((sum) => sum / count) : null;
}

/**
 * Beyond its ends a line is mirrored, its last pixel not repeated: as OpenCV does.
 * @param {number} at
 * @param {number} length
 */
function reflected(at, length) {
  if (length === 1) return 0;
  while (at < 0 || at >= length) at = at < 0 ? -at : 2 * length - 2 - at;
  return at;
}

/**
 * @param {Picture} picture
 * @returns {Picture}
 */
function unmultiplied({ width, height, data }) {
  const straight = new Uint8ClampedArray(data.length);
  for (let at = 0; at < data.length; at += 4) {
    const alpha = data[at + 3];
    straight[at + 3] = alpha;
    for (let c = 0; alpha && c < 3; c++) straight[at + c] = toEven(Math.min((255 * data[at + c]) / alpha, 255));
  }
  return { width, height, data: straight };
}
