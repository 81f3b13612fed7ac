export type Mask = import("./pictures.js").Mask;
export type Picture = import("./pictures.js").Picture;
export type Box = import("./pictures.js").Box;
/**
 * The mask in a picture of it: gray, white in the foreground.
 * @param {Picture} picture
 * @returns {Mask} with the meaning of {@link readMask}
 * @throws {InputError} the picture is coloured, or its values are class ids
 */
export declare function maskOf({ width, height, data }: Picture): Mask;
/**
 * The alpha channel of a cut-out as its mask; null where every pixel is opaque.
 * @param {Picture} picture
 * @returns {Mask | null}
 */
export declare function alphaOf({ width, height, data }: Picture): Mask | null;
/**
 * Read the meaning of a mask's values. Two values, whatever they are, are background and foreground; 255 around one
 * class id is void, and the id the foreground; class ids without a choice are refused.
 * @param {Mask} mask
 * @returns {Mask} weights, 255 in the foreground; the array of `mask` where nothing changes
 * @throws {InputError} it holds several class ids
 */
export declare function readMask(mask: Mask): Mask;
/**
 * The foreground's box; null where the mask is empty.
 * @param {Mask} mask
 * @returns {Box | null}
 */
export declare function foregroundBox({ width, height, data }: Mask): Box | null;
