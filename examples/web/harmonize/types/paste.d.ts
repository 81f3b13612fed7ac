export type Mask = import("./pictures.js").Mask;
export type Picture = import("./pictures.js").Picture;
export type Anchor = "top-left" | "top" | "top-right" | "left" | "center" | "right" | "bottom-left" | "bottom" | "bottom-right";
export type Placement = {
    position?: [number, number];
    scale?: number;
    anchor?: Anchor;
};
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
export declare function paste(foreground: Picture, mask: Mask, background: Picture, { position, scale, anchor }?: Placement): {
    composite: Picture;
    mask: Mask;
};
