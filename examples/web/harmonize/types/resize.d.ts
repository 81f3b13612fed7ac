/**
 * Resizing as edge_harmony.pictures.resize does it: area averages where both sides shrink (OpenCV's INTER_AREA), else
 * bilinear. Rows go in and come out one at a time, so no picture in floating point is ever in memory. Sums over rows
 * are rounded to 32 bits where the compiled loops of Python round them: most results are equal to the last bit, and an
 * INT8 network makes a level of a difference.
 */
export type Size = import("./pictures.js").Size;
export type Span = {
    first: number;
    shares: number[];
};
/**
 * Shares of the two nearest source samples; sample centres are half a pixel from the edge.
 * @param {number} size samples of the source
 * @param {number} wanted samples of the result
 * @returns {Span[]}
 */
export declare function linearSpans(size: number, wanted: number): Span[];
/**
 * Resize a picture of any number of channels.
 * @param {Size} from size of the source
 * @param {Size} to size of the result
 * @param {number} channels
 * @param {(row: number) => ArrayLike<number>} read a row of the source: `from.width * channels` samples
 * @param {(row: number, samples: Float32Array) => void} write takes a row of the result: `to.width * channels` samples
 *     in an array that is used again for the next row
 */
export declare function resizeRows(from: Size, to: Size, channels: number, read: (row: number) => ArrayLike<number>, write: (row: number, samples: Float32Array) => void): void;
/**
 * Enlarge a picture of 8 bits with the integers of OpenCV's INTER_LINEAR, which cuts off where others round: shares of
 * 1/2048, and four bits less between the two directions (resize.cpp of OpenCV, VResizeLinear of uchar).
 * @param {Size} from at least one side is smaller than in `to`
 * @param {Size} to
 * @param {number} channels
 * @param {(row: number) => ArrayLike<number>} read as for {@link resizeRows}
 * @param {(row: number, levels: Int32Array) => void} write as for {@link resizeRows}
 */
export declare function enlargeLevels(from: Size, to: Size, channels: number, read: (row: number) => ArrayLike<number>, write: (row: number, levels: Int32Array) => void): void;
/**
 * Round to the nearest integer, halves to the even one, as NumPy and OpenCV do.
 * @param {number} value of a magnitude below 2^51
 */
export declare function toEven(value: number): number;
