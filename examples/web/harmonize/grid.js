/** From a picture to a network's input, and from its output to a coarse colour transform. */
import { enlargeLevels, resizeRows, toEven } from "./resize.js";

/** @typedef {import("./pictures.js").Mask} Mask */
/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {import("./pictures.js").Size} Size */
/**
 * A coarse colour transform, channel by channel and row by row; each is a difference from the identity. 3 channels
 * are an offset, 6 gains and offsets, 12 a 3x3 matrix (row by row) and offsets; colours are in [0, 1].
 * @typedef {{ channels: 3 | 6 | 12, height: number, width: number, data: Float32Array }} Grid
 */
/**
 * What a network is given: planes of RGB and of the mask, in [0, 1].
 * @typedef {{ composite: Float32Array, mask: Float32Array }} Planes
 */

/** Weights of a mask that differ from 0 or 1 by rounding only are set to 0 or 1; others change by at most this. */
const CRUMB = 1e-5;
/** Side of the window over which a difference is extended beyond the mask, in pixels. */
const SPREAD = 9;

/**
 * A picture and its mask at the working size of a network.
 * @param {Picture} picture
 * @param {Mask} mask of the size of the picture
 * @param {Size} size of the network
 * @returns {Planes} `3 * height * width` and `height * width` values
 */
export function toWorkingSize(picture, mask, size) {
  const cells = size.width * size.height;
  const planes = { composite: new Float32Array(3 * cells), mask: new Float32Array(cells) };
  const shrinks = size.width <= picture.width && size.height <= picture.height;
  const resize = shrinks ? resizeRows : enlargeLevels;
  resize(picture, size, 4, rowsOf(picture, 4), (row, samples) => {
    for (let x = 0, at = row * size.width; x < size.width; x++, at++)
      for (let c = 0; c < 3; c++) planes.composite[c * cells + at] = toEven(samples[4 * x + c]) / 255;
  });
  resizeRows(mask, size, 1, rowsOf(mask, 1), (row, samples) => {
    for (let x = 0, at = row * size.width; x < size.width; x++, at++)
      planes.mask[at] = snapped(Math.fround(samples[x] / 255));
  });
  return planes;
}

/**
 * A weight without what rounding has left: a full mask is 0.9999999 after resizing to some sizes.
 * @param {number} weight of 32 bits
 */
function snapped(weight) {
  const stretched = Math.fround(weight * Math.fround(1 + 2 * CRUMB));
  return Math.min(Math.max(Math.fround(stretched - Math.fround(CRUMB)), 0), 1);
}

/**
 * @param {Picture | Mask} pixels
 * @param {number} channels
 */
function rowsOf({ width, data }, channels) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length); // loops over one type are twice as fast
  return (/** @type {number} */ row) => bytes.subarray(row * width * channels, (row + 1) * width * channels);
}

/**
 * The transform of a network that paints a picture: its difference to the composite, extended beyond the mask, so that
 * upsampling mixes in nothing of what the network painted outside of it.
 * @param {Float32Array} painted planes of RGB in [0, 1]
 * @param {Planes} planes the input that it was painted from
 * @param {Size} size
 * @returns {Grid}
 */
export function gridOfPainted(painted, planes, { width, height }) {
  const cells = width * height;
  const data = new Float32Array(3 * cells);
  const weight = blurred(planes.mask, width, height);
  for (let c = 0; c < 3; c++) {
    const difference = data.subarray(c * cells, (c + 1) * cells);
    for (let i = 0; i < cells; i++) difference[i] = painted[c * cells + i] - planes.composite[c * cells + i];
    const around = blurred(
      difference.map((value, i) => value * planes.mask[i]),
      width,
      height,
    );
    for (let i = 0; i < cells; i++) if (planes.mask[i] <= 0.5) difference[i] = around[i] / Math.max(weight[i], 1e-6);
  }
  return { channels: 3, height, width, data };
}

/**
 * Means over a square window; beyond the edge the plane is mirrored about its outermost pixels, as OpenCV's
 * BORDER_REFLECT_101.
 * @param {Float32Array} plane
 * @param {number} width
 * @param {number} height
 */
function blurred(plane, width, height) {
  const mirrored = (/** @type {number} */ at, /** @type {number} */ size) =>
    at < 0 ? -at : at >= size ? 2 * size - 2 - at : at;
  const half = (SPREAD - 1) / 2;
  const across = new Float64Array(plane.length);
  const means = new Float32Array(plane.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let k = -half; k <= half; k++) across[y * width + x] += plane[y * width + mirrored(x + k, width)];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = -half; k <= half; k++) sum += across[mirrored(y + k, height) * width + x];
      means[y * width + x] = sum / SPREAD ** 2;
    }
  return means;
}

/**
 * A grid as transforms of 12 numbers, cell by cell, multiplied by a strength; offsets are in levels of 8 bits.
 * @param {Grid} grid
 * @param {number} strength
 * @returns {Float64Array} `height * width * 12`
 */
export function transformsOf({ channels, height, width, data }, strength) {
  const cells = height * width;
  const transforms = new Float64Array(12 * cells);
  const places = { 3: [9, 10, 11], 6: [0, 4, 8, 9, 10, 11], 12: [...Array(12).keys()] }[channels];
  places.forEach((place, channel) => {
    const scale = place < 9 ? strength : 255 * strength;
    for (let i = 0; i < cells; i++) transforms[12 * i + place] = scale * data[channel * cells + i];
  });
  return transforms;
}
