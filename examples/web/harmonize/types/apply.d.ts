export type Grid = import("./grid.js").Grid;
export type Mask = import("./pictures.js").Mask;
export type Picture = import("./pictures.js").Picture;
/** @typedef {import("./grid.js").Grid} Grid */
/** @typedef {import("./pictures.js").Mask} Mask */
/** @typedef {import("./pictures.js").Picture} Picture */
/** Largest strength of a transform; beyond it colours get out of hand. */
export declare const STRONGEST = 1.5;
/**
 * Refuse a strength that is out of range.
 * @param {number} strength
 * @throws {InputError} it is not within 0 and {@link STRONGEST}
 */
export declare function checkStrength(strength: number): void;
/**
 * Apply a coarse colour transform to the foreground: `y = x + m (A x + t)`, with `A` and `t` interpolated bilinearly
 * between the centres of the grid's cells. Only the foreground's box is computed, row by row.
 * @param {Picture} picture
 * @param {Mask} mask
 * @param {Grid} grid
 * @param {{ strength?: number, inPlace?: boolean }} [options] `inPlace` changes the picture itself, without a copy
 * @returns {Picture} the picture, or a new one; alpha, and pixels with a mask of 0, are unchanged
 * @throws {InputError} picture and mask do not fit together, or the strength is out of range
 */
export declare function applyGrid(picture: Picture, mask: Mask, grid: Grid, { strength, inPlace }?: {
    strength?: number;
    inPlace?: boolean;
}): Picture;
