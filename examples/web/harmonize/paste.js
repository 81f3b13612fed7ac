/** A cut-out on a background, as edge_harmony.pictures.placement and paste make it. */
import { InputError } from "./errors.js";
import { checkPair, checkPixels, copyOf } from "./pictures.js";
import { resizeRows, toEven } from "./resize.js";

/** @typedef {import("./pictures.js").Mask} Mask */
/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {"top-left" | "top" | "top-right" | "left" | "center" | "right" | "bottom-left" | "bottom" | "bottom-right"} Anchor */
/**
 * Where the foreground stands. `anchor` is a point of its picture (by default the centre), `position` the pixel of the
 * background on which that comes to lie (by default the point that the anchor names there: `bottom` puts bottom on
 * bottom), `scale` its size as a multiple of its own (by default 1).
 * @typedef {{ position?: [number, number], scale?: number, anchor?: Anchor }} Placement
 */

/**
 * Points of a picture as shares of its width and height.
 * @type {Record<Anchor, [number, number]>}
 */
const ANCHORS = {
  "top-left": [0, 0],
  top: [0.5, 0],
  "top-right": [1, 0],
  left: [0, 0.5],
  center: [0.5, 0.5],
  right: [1, 0.5],
  "bottom-left": [0, 1],
  bottom: [0.5, 1],
  "bottom-right": [1, 1],
};
/** Longest side of a scaled foreground, in pixels. */
const LONGEST = 30_000;

/**
 * Paste a foreground on a background: `m f + (1 - m) b`.
 * @param {Picture} foreground a cut-out, or a picture with a mask of its own
 * @param {Mask} mask of the size of the foreground
 * @param {Picture} background
 * @param {Placement} [placement]
 * @returns {{ composite: Picture, mask: Mask }} of the size of the background; what stands out of it is cut off
 * @throws {InputError} pictures and masks do not fit, there is no such anchor, or none of the foreground is on the
 *     background
 */
export function paste(foreground, mask, background, { position, scale = 1, anchor = "center" } = {}) {
  checkPair(foreground, mask);
  checkPixels(background, 4, "the background");
  if (!(Number.isFinite(scale) && scale > 0)) throw new InputError(`the scale ${scale} is not above 0`);
  if (!Object.hasOwn(ANCHORS, anchor))
    throw new InputError(`there is no anchor ${anchor}; choose from ${Object.keys(ANCHORS).join(", ")}`);
  const size = {
    width: Math.max(1, toEven(scale * mask.width)),
    height: Math.max(1, toEven(scale * mask.height)),
  };
  if (Math.max(size.width, size.height) > LONGEST)
    throw new InputError(`a scale of ${scale} makes the foreground ${size.width}x${size.height}; give a smaller one`);
  const { width, height } = background;
  const [across, down] = ANCHORS[anchor];
  const [x, y] = position ?? [across * width, down * height];
  const left = Math.floor(x - across * size.width + 0.5);
  const top = Math.floor(y - down * size.height + 0.5);
  const composite = copyOf(background);
  const weights = { width, height, data: new Uint8Array(width * height) };
  const write = rowPaster(composite, weights, left, top);
  const lines = weighted(foreground, mask);
  resizeRows(foreground, size, 4, lines, write.row);
  if (!write.pasted())
    throw new InputError(
      `none of the foreground is on the background: its ${size.width}x${size.height} pixels begin at ${left},${top} ` +
        `of ${width}x${height}; give another position, or a smaller scale`,
    );
  return { composite, mask: weights };
}

/**
 * Rows of a foreground with colours multiplied by the mask, so that nothing around the foreground leaks into it when
 * it is resized, and the mask in place of alpha.
 * @param {Picture} foreground
 * @param {Mask} mask
 */
function weighted({ width, data }, mask) {
  const line = new Float64Array(4 * width);
  return (/** @type {number} */ row) => {
    for (let x = 0, at = row * width; x < width; x++, at++) {
      const weight = mask.data[at] / 255;
      for (let c = 0; c < 3; c++) line[4 * x + c] = data[4 * at + c] * weight;
      line[4 * x + 3] = weight;
    }
    return line;
  };
}

/**
 * @param {Picture} composite the background, which is changed
 * @param {Mask} weights which are filled
 * @param {number} left
 * @param {number} top
 */
function rowPaster(composite, weights, left, top) {
  const { width, height, data } = composite;
  let isPasted = false;
  return {
    pasted: () => isPasted,
    /**
     * @param {number} row of the foreground
     * @param {Float32Array} samples of {@link weighted}
     */
    row(row, samples) {
      const y = top + row;
      if (y < 0 || y >= height) return;
      const last = Math.min(samples.length / 4, width - left);
      for (let i = Math.max(0, -left); i < last; i++) {
        const at = y * width + left + i;
        const level = toEven(Math.min(255 * samples[4 * i + 3], 255));
        if (!level) continue;
        isPasted = true;
        weights.data[at] = level;
        for (let c = 0; c < 3; c++) {
          const colour = toEven(Math.min(samples[4 * i + c] / samples[4 * i + 3], 255));
          const behind = data[4 * at + c];
          data[4 * at + c] = Math.floor(behind + (level / 255) * (colour - behind) + 0.5);
        }
      }
    },
  };
}
