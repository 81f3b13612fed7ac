/** Picture files to pixels and back, by the browser's own decoders and encoders. */
import { InputError } from "../harmonize/harmonize.js";

/** @typedef {import("../harmonize/harmonize.js").Picture} Picture */
/** @typedef {import("../harmonize/harmonize.js").Mask} Mask */

/** Most pixels of a picture: its decoded copies must fit into a tab's memory. */
const MOST_PIXELS = 50e6;
const JPEG_QUALITY = 0.95;

/**
 * Decode a file: upright by its EXIF data, and in sRGB, which the networks were trained on.
 * @param {Blob} file
 * @param {string} name what errors call it
 * @returns {Promise<Picture>}
 * @throws {InputError} the browser cannot decode it, or it has too many pixels
 */
export async function decode(file, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new InputError(`this browser cannot decode ${name}; give a JPEG, PNG, WebP or AVIF file`);
  }
  try {
    const { width, height } = bitmap;
    if (width * height > MOST_PIXELS)
      throw new InputError(`${name} has ${width}x${height} pixels; give at most ${MOST_PIXELS / 1e6} million`);
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return { width, height, data: context.getImageData(0, 0, width, height).data };
  } finally {
    bitmap.close();
  }
}

/**
 * Encode a picture.
 * @param {Picture} picture
 * @param {"image/png" | "image/jpeg"} type
 * @returns {Promise<Blob>}
 */
export function encode({ width, height, data }, type) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas.convertToBlob({ type, quality: JPEG_QUALITY });
}

/**
 * A mask as a gray picture, opaque.
 * @param {Mask} mask
 * @returns {Picture}
 */
export function grayOf({ width, height, data }) {
  const pixels = new Uint8ClampedArray(4 * data.length).fill(255);
  for (let i = 0; i < data.length; i++) pixels.fill(data[i], 4 * i, 4 * i + 3);
  return { width, height, data: pixels };
}
