export type Picture = {
    width: number;
    height: number;
    data: Uint8ClampedArray | Uint8Array;
};
export type Mask = {
    width: number;
    height: number;
    data: Uint8ClampedArray | Uint8Array;
};
export type Size = {
    width: number;
    height: number;
};
export type Box = {
    top: number;
    bottom: number;
    left: number;
    right: number;
};
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
export declare function checkPixels({ width, height, data }: Picture | Mask, channels: number, name: string): void;
/**
 * Refuse a picture and a mask that do not fit together.
 * @param {Picture} picture
 * @param {Mask} mask
 * @throws {InputError} one is damaged, or their sizes differ
 */
export declare function checkPair(picture: Picture, mask: Mask): void;
/**
 * A picture of its own; the type of its array is that of an `ImageData`.
 * @param {Picture} picture
 * @returns {Picture}
 */
export declare function copyOf({ width, height, data }: Picture): Picture;
