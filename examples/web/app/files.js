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
    const data = context.getImageData(0, 0, width, height).data;
    return { width, height, data: isSoft(data) ? ((await straightPixels(file, width, height, data)) ?? data) : data };
  } finally {
    bitmap.close();
  }
}

/** @param {Uint8ClampedArray} data */
function isSoft(data) {
  for (let at = 3; at < data.length; at += 4) if (data[at] > 0 && data[at] < 255) return true;
  return false;
}

/**
 * The pixels of a file as they are stored. A 2D canvas multiplies them by alpha and divides again, by which faint ones
 * lose their colour: of 255 levels, those of alpha 16 keep 17. A texture keeps what the decoder gives.
 * https://developer.mozilla.org/docs/Web/API/Window/createImageBitmap#premultiplyalpha
 * @param {Blob} file
 * @param {number} width
 * @param {number} height
 * @param {Uint8ClampedArray} drawn what the canvas holds
 * @returns {Promise<Uint8ClampedArray | null>} null where the browser cannot, or where it decodes to other pixels
 */
async function straightPixels(file, width, height, drawn) {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl) return null;
  try {
    if (Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
    const bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
    if (bitmap.width !== width || bitmap.height !== height) return null;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    bitmap.close();
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    const pixels = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    if (gl.getError() !== gl.NO_ERROR) return null;
    for (let at = 3; at < pixels.length; at += 4) if (pixels[at] !== drawn[at]) return null;
    return new Uint8ClampedArray(pixels.buffer);
  } catch {
    return null;
  } finally {
    gl.getExtension("WEBGL_lose_context")?.loseContext();
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
