export type Picture = import("./pictures.js").Picture;
/**
 * A cut-out with straight colours: premultiplied ones are divided by alpha. Colours count as premultiplied if none is
 * brighter than its alpha, and if division by alpha brings those at the edges at least twice as near to the opaque
 * colours beside them.
 * @param {Picture} picture
 * @returns {Picture} the picture itself where it has straight colours
 */
export declare function straightOf(picture: Picture): Picture;
