export type Mask = import("./pictures.js").Mask;
export type Picture = import("./pictures.js").Picture;
export type Size = import("./pictures.js").Size;
export type Grid = {
    channels: 3 | 6 | 12;
    height: number;
    width: number;
    data: Float32Array;
};
export type Planes = {
    composite: Float32Array;
    mask: Float32Array;
};
/**
 * A picture and its mask at the working size of a network.
 * @param {Picture} picture
 * @param {Mask} mask of the size of the picture
 * @param {Size} size of the network
 * @returns {Planes} `3 * height * width` and `height * width` values
 */
export declare function toWorkingSize(picture: Picture, mask: Mask, size: Size): Planes;
/**
 * The transform of a network that paints a picture: its difference to the composite, extended beyond the mask, so that
 * upsampling mixes in nothing of what the network painted outside of it.
 * @param {Float32Array} painted planes of RGB in [0, 1]
 * @param {Planes} planes the input that it was painted from
 * @param {Size} size
 * @returns {Grid}
 */
export declare function gridOfPainted(painted: Float32Array, planes: Planes, { width, height }: Size): Grid;
/**
 * A grid as transforms of 12 numbers, cell by cell, multiplied by a strength; offsets are in levels of 8 bits.
 * @param {Grid} grid
 * @param {number} strength
 * @returns {Float64Array} `height * width * 12`
 */
export declare function transformsOf({ channels, height, width, data }: Grid, strength: number): Float64Array;
