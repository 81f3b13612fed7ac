import { InputError } from "./errors.js";

/**
 * Pixels of 8 bits, RGBA, not multiplied by alpha, row by row; an `ImageData` is one.
 * @typedef {{ width: number, height: number, data: Uint8ClampedArray | Uint8Array }} Picture
 */
/**
 * Weights of 8 bits, one a pixel, row by row: 255 is foreground, 0 background, and what lies between blends.
 * @typedef {{ width: number, height: number, data: Uint8ClampedArray | Uint8Array }} Mask
 */
/** @typedef {{ width: number, height: number }} Size */
/**
 * Pixels from `left` to before `right`, rows from `top` to before `bottom`.
 * @typedef {{ top: number, bottom: number, left: number, right: number }} Box
 */

/**
 * Refuse arrays that are shorter or longer than their size says.
 * @param {Picture | Mask} pixels
 * @param {number} channels 4 for a picture, 1 for a mask
 * @param {string} name what the error calls it
 * @throws {InputError} the size is not of whole pixels, or the array is of another length
 */
export function checkPixels({ width, height, data }, channels, name) {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0))
    throw new InputError(`${name} is ${width}x${height}; give whole pixels, at least one`);
  if (data.length !== width * height * channels)
    throw new InputError(
      `${name} has ${data.length} bytes, and ${width}x${height} are ${width * height * channels}: ` +
        `give ${channels === 4 ? "RGBA" : "one byte a pixel"}`,
    );
}

/**
 * Refuse a picture and a mask that do not fit together.
 * @param {Picture} picture
 * @param {Mask} mask
 * @throws {InputError} one is damaged, or their sizes differ
 */
export function checkPair(picture, mask) {
  checkPixels(picture, 4, "the picture");
  checkPixels(mask, 1, "the mask");
  if (picture.width !== mask.width || picture.height !== mask.height)
    throw new InputError(
      `the mask is ${mask.width}x${mask.height} but the picture is ${picture.width}x${picture.height}; ` +
        "resize it to the size of the picture",
    );
}

/**
 * A picture of its own; the type of its array is that of an `ImageData`.
 * @param {Picture} picture
 * @returns {Picture}
 */
export function copyOf({ width, height, data }) {
  return { width, height, data: new Uint8ClampedArray(data) }; // a Buffer's slice would not be a copy
}
