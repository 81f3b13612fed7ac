/** The apply step: a coarse transform, upsampled and blended into a picture at the picture's own size. */
import { InputError } from "./errors.js";
import { transformsOf } from "./grid.js";
import { foregroundBox } from "./masks.js";
import { checkPair, copyOf } from "./pictures.js";
import { linearSpans } from "./resize.js";

/** @typedef {import("./grid.js").Grid} Grid */
/** @typedef {import("./pictures.js").Mask} Mask */
/** @typedef {import("./pictures.js").Picture} Picture */

/** Largest strength of a transform; beyond it colours get out of hand. */
export const STRONGEST = 1.5;

/**
 * Refuse a strength that is out of range.
 * @param {number} strength
 * @throws {InputError} it is not within 0 and {@link STRONGEST}
 */
export function checkStrength(strength) {
  if (!(strength >= 0 && strength <= STRONGEST))
    throw new InputError(`the strength is ${strength}; give 0 (no change) to ${STRONGEST}, 1 is what is predicted`);
}

/**
 * Apply a coarse colour transform to the foreground: `y = x + m (A x + t)`, with `A` and `t` interpolated bilinearly
 * between the centres of the grid's cells. Only the foreground's box is computed, row by row.
 * @param {Picture} picture
 * @param {Mask} mask
 * @param {Grid} grid
 * @param {{ strength?: number, inPlace?: boolean }} [options] `inPlace` changes the picture itself, without a copy
 * @returns {Picture} the picture, or a new one; alpha, and pixels with a mask of 0, are unchanged
 * @throws {InputError} picture and mask do not fit together, or the strength is out of range
 */
export function applyGrid(picture, mask, grid, { strength = 1, inPlace = false } = {}) {
  checkPair(picture, mask);
  checkStrength(strength);
  const result = inPlace ? picture : copyOf(picture);
  const box = foregroundBox(mask);
  if (!box || !strength) return result;
  const { width, height, data } = result;
  const transforms = transformsOf(grid, strength);
  const [rows, columns] = [linearSpans(grid.height, height), linearSpans(grid.width, width)];
  const line = new Float64Array(12 * grid.width);
  const across = new Float64Array(12);
  const growth = new Float64Array(12);
  for (let y = box.top; y < box.bottom; y++) {
    blendLines(transforms, rows[y], line);
    let cell = -1;
    for (let x = box.left, at = y * width + x; x < box.right; x++, at++) {
      const level = mask.data[at];
      if (!level) continue;
      if (columns[x].first !== cell) {
        cell = columns[x].first;
        for (let k = 0; k < 12; k++) {
          across[k] = line[12 * cell + k];
          growth[k] = columns[x].shares.length > 1 ? line[12 * cell + 12 + k] - across[k] : 0;
        }
      }
      const along = columns[x].shares[1] ?? 0;
      const [weight, p] = [level / 255, 4 * at];
      const [red, green, blue] = [data[p], data[p + 1], data[p + 2]];
      for (let c = 0; c < 3; c++) {
        const k = 3 * c;
        const change =
          (across[k] + along * growth[k]) * red +
          (across[k + 1] + along * growth[k + 1]) * green +
          (across[k + 2] + along * growth[k + 2]) * blue +
          across[9 + c] +
          along * growth[9 + c];
        const value = data[p + c] + weight * change;
        data[p + c] = value <= 0 ? 0 : value >= 255 ? 255 : Math.floor(value + 0.5);
      }
    }
  }
  return result;
}

/**
 * The transforms of one row of pixels, between two rows of cells.
 * @param {Float64Array} transforms
 * @param {import("./resize.js").Span} span
 * @param {Float64Array} line the result
 */
function blendLines(transforms, { first, shares }, line) {
  const above = first * line.length;
  const below = shares.length > 1 ? above + line.length : above;
  const share = shares[1] ?? 0;
  for (let i = 0; i < line.length; i++) line[i] = transforms[above + i] * (1 - share) + transforms[below + i] * share;
}
