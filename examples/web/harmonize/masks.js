/** What the values of a mask mean, as edge_harmony.pictures.masks reads them. */
import { InputError } from "./errors.js";

/** @typedef {import("./pictures.js").Mask} Mask */
/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {import("./pictures.js").Box} Box */

/** Class ids are below it. */
const ID_BOUND = 64;
/** So many different values, none of them near 255, are class ids; more are a mask of another scale. */
const FEW = 64;
/** Largest difference between the channels of a mask that is gray but went through JPEG. */
const GRAY_TOLERANCE = 12;

/**
 * The mask in a picture of it: gray, white in the foreground.
 * @param {Picture} picture
 * @returns {Mask} with the meaning of {@link readMask}
 * @throws {InputError} the picture is coloured, or its values are class ids
 */
export function maskOf({ width, height, data }) {
  const levels = new Uint8Array(width * height);
  let spread = 0;
  for (let i = 0, p = 0; i < levels.length; i++, p += 4) {
    const [red, green, blue] = [data[p], data[p + 1], data[p + 2]];
    spread = Math.max(spread, Math.max(red, green, blue) - Math.min(red, green, blue));
    // the weights of ITU-R BT.601, as of Pillow and OpenCV; of gray they are the gray itself
    levels[i] = red === green && green === blue ? red : Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
  }
  if (spread > GRAY_TOLERANCE)
    throw new InputError(
      `the mask is coloured (channels differ by up to ${spread} of 255); save it in gray, white in the foreground`,
    );
  return readMask({ width, height, data: levels });
}

/**
 * The alpha channel of a cut-out as its mask; null where every pixel is opaque.
 * @param {Picture} picture
 * @returns {Mask | null}
 */
export function alphaOf({ width, height, data }) {
  const levels = new Uint8Array(width * height);
  let least = 255;
  for (let i = 0; i < levels.length; i++) {
    levels[i] = data[4 * i + 3];
    least = Math.min(least, levels[i]);
  }
  return least === 255 ? null : { width, height, data: levels };
}

/**
 * Read the meaning of a mask's values. Two values, whatever they are, are background and foreground; 255 around one
 * class id is void, and the id the foreground; class ids without a choice are refused.
 * @param {Mask} mask
 * @returns {Mask} weights, 255 in the foreground; the array of `mask` where nothing changes
 * @throws {InputError} it holds several class ids
 */
export function readMask(mask) {
  const counts = new Uint32Array(256);
  for (const level of mask.data) counts[level]++;
  const values = [...counts.keys()].filter((level) => counts[level] > 0);
  const [low, high] = [values[0], values[values.length - 1]];
  if (high === 255) return withoutVoid(mask, values);
  if (high === 0) return mask;
  if (low === high) return high < ID_BOUND ? { ...mask, data: new Uint8Array(mask.data.length).fill(255) } : mask;
  if (values.length === 2 && 2 * low <= high) return binary(mask, high);
  if (2 * high < 255 && values.length <= FEW) throw classIds(values);
  return mask;
}

/**
 * The foreground's box; null where the mask is empty.
 * @param {Mask} mask
 * @returns {Box | null}
 */
export function foregroundBox({ width, height, data }) {
  let [top, bottom, left, right] = [height, 0, width, 0];
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width, (y + 1) * width);
    let first = 0;
    while (first < width && !row[first]) first++;
    if (first === width) continue;
    let last = width - 1;
    while (!row[last]) last--;
    [top, bottom] = [Math.min(top, y), y + 1];
    [left, right] = [Math.min(left, first), Math.max(right, last + 1)];
  }
  return bottom ? { top, bottom, left, right } : null;
}

/**
 * @param {Mask} mask
 * @param {number[]} values that occur in it, with 255
 * @returns {Mask}
 */
function withoutVoid(mask, values) {
  const ids = values.filter((value) => value > 0 && value < ID_BOUND);
  if (!ids.length || values.some((value) => value >= ID_BOUND && value < 255)) return mask;
  // the soft edge of a mask of 0 and 255, or what JPEG leaves there, lies beside the background; ids do so rarely
  if (shareBesideBackground(mask) > (ids.length === 1 ? 0.5 : 0.1)) return mask;
  if (ids.length > 1) throw classIds(values);
  return binary(mask, ids[0]);
}

/**
 * The share of pixels that are neither 0 nor 255 of which one of the eight neighbours is 0.
 * @param {Mask} mask
 */
function shareBesideBackground({ width, height, data }) {
  let [beside, all] = [0, 0];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const level = data[y * width + x];
      if (level === 0 || level === 255) continue;
      all++;
      const [top, bottom] = [Math.max(y - 1, 0), Math.min(y + 1, height - 1)];
      const [left, right] = [Math.max(x - 1, 0), Math.min(x + 1, width - 1)];
      let isBeside = false;
      for (let v = top; v <= bottom && !isBeside; v++)
        for (let u = left; u <= right; u++) isBeside ||= data[v * width + u] === 0;
      if (isBeside) beside++;
    }
  return beside / all;
}

/**
 * @param {Mask} mask
 * @param {number} chosen
 * @returns {Mask}
 */
function binary(mask, chosen) {
  return { ...mask, data: Uint8Array.from(mask.data, (level) => (level === chosen ? 255 : 0)) };
}

/** @param {number[]} values */
function classIds(values) {
  const named = values.slice(0, 8).join(", ") + (values.length > 8 ? ` and ${values.length - 8} more` : "");
  return new InputError(`the mask holds ${named}, as class ids do; make the one that is meant white, the rest black`);
}
