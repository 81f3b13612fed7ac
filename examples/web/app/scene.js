/** The pictures that were given, and the composite and mask that they make. */
import { InputError, alphaOf, maskOf, paste, resizeRows, straightOf } from "../harmonize/harmonize.js";
import { withStrokes } from "./brush.js";

/** @typedef {import("../harmonize/harmonize.js").Mask} Mask */
/** @typedef {import("../harmonize/harmonize.js").Picture} Picture */
/** @typedef {import("../harmonize/harmonize.js").Placement} Placement */
/** @typedef {import("../harmonize/harmonize.js").Size} Size */
/** @typedef {import("./brush.js").Stroke} Stroke */

/** A mask may have another aspect by this share. */
const ASPECT_TOLERANCE = 0.03;
/** Most pixels of what is shown while sliders move; the download has all of them. */
const MOST_SHOWN = 1.5e6;

export class Scene {
  /** @type {Picture | null} a composite, or a cut-out */
  picture = null;
  /** @type {Picture | null} */
  background = null;
  /** @type {Mask | null} of the picture: the alpha channel of a cut-out, or from a file */
  mask = null;
  isCutOut = false;

  /**
   * Take another composite or cut-out; the earlier mask goes with its picture.
   * @param {Picture} picture
   */
  setPicture(picture) {
    const alpha = alphaOf(picture);
    this.picture = alpha ? straightOf(picture) : picture;
    this.mask = alpha;
    this.isCutOut = alpha !== null;
    if (!this.isCutOut) this.background = null;
  }

  /**
   * Take a mask from a file.
   * @param {Picture} file
   * @throws {InputError} there is no composite, or they do not fit
   */
  setMask(file) {
    if (!this.picture) throw new InputError("give the composite first, then its mask");
    if (this.isCutOut) throw new InputError("the transparency of the cut-out is its mask; give a composite for another");
    this.mask = fitted(maskOf(file), this.picture);
  }

  /**
   * Take a background.
   * @param {Picture} picture
   * @throws {InputError} there is no cut-out
   */
  setBackground(picture) {
    if (!this.isCutOut) throw new InputError("a background is for a cut-out with transparency; give the cut-out first");
    this.background = picture;
  }

  /**
   * Composite and mask at full size.
   * @param {Stroke[]} strokes of a composite, in its pixels
   * @param {Placement} placement of a cut-out
   * @returns {{ composite: Picture, mask: Mask }}
   * @throws {InputError} something is missing, or nothing is foreground
   */
  compose(strokes, placement) {
    if (!this.picture) throw new InputError("there is no picture yet: drop one");
    if (this.isCutOut) {
      if (!this.background) throw new InputError("the cut-out has no background yet: drop one");
      return paste(this.picture, /** @type {Mask} */ (this.mask), this.background, placement);
    }
    const { width, height } = this.picture;
    const base = this.mask ?? { width, height, data: new Uint8Array(width * height) };
    const mask = withStrokes(base, strokes);
    if (!mask.data.some(Boolean)) throw new InputError("nothing is foreground yet: paint over it, or give its mask");
    return { composite: this.picture, mask };
  }
}

/**
 * A mask at the size of a picture.
 * @param {Mask} mask
 * @param {Size} size
 * @throws {InputError} its aspect is another, so that it would be stretched
 */
function fitted(mask, size) {
  const [one, other] = [mask.width * size.height, mask.height * size.width];
  if (Math.abs(one - other) > Math.max(ASPECT_TOLERANCE * other, size.width, size.height))
    throw new InputError(
      `the mask is ${mask.width}x${mask.height} but the picture is ${size.width}x${size.height}: another aspect; ` +
        "crop it to what the picture shows",
    );
  return mask.width === size.width && mask.height === size.height ? mask : resized(mask, size, 1);
}

/**
 * Pixels at a size that is fast to show; themselves where they are small.
 * @template {Picture | Mask} T
 * @param {T} pixels
 * @param {number} channels 4 for a picture, 1 for a mask
 * @returns {T}
 */
export function shown(pixels, channels) {
  const scale = Math.sqrt(MOST_SHOWN / (pixels.width * pixels.height));
  if (scale >= 1) return pixels;
  const size = {
    width: Math.max(1, Math.round(scale * pixels.width)),
    height: Math.max(1, Math.round(scale * pixels.height)),
  };
  return resized(pixels, size, channels);
}

/**
 * @template {Picture | Mask} T
 * @param {T} pixels
 * @param {Size} size
 * @param {number} channels
 * @returns {T}
 */
function resized(pixels, size, channels) {
  const data = new Uint8ClampedArray(size.width * size.height * channels);
  const stride = pixels.width * channels;
  resizeRows(
    pixels,
    size,
    channels,
    (row) => pixels.data.subarray(row * stride, (row + 1) * stride),
    (row, samples) => data.set(samples, row * samples.length),
  );
  return /** @type {T} */ ({ ...size, data });
}
