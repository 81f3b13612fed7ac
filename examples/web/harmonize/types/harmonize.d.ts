export { straightOf } from "./alpha.js";
export { STRONGEST, applyGrid } from "./apply.js";
export { InputError } from "./errors.js";
export { toWorkingSize } from "./grid.js";
export { alphaOf, foregroundBox, maskOf, readMask } from "./masks.js";
export { paste } from "./paste.js";
export { resizeRows } from "./resize.js";
export type Grid = import("./grid.js").Grid;
export type Anchor = import("./paste.js").Anchor;
export type Placement = import("./paste.js").Placement;
export type Box = import("./pictures.js").Box;
export type Mask = import("./pictures.js").Mask;
export type Picture = import("./pictures.js").Picture;
export type Size = import("./pictures.js").Size;
export type Manifest = {
    model: string;
    precision: string;
    io: {
        height: number;
        width: number;
        output: string;
    };
};
export type Runtime = {
    InferenceSession: {
        create(model: any, options?: any): Promise<Session>;
    };
    Tensor: new (type: "float32", data: Float32Array, dims: number[]) => any;
};
export type Session = {
    outputNames: readonly string[];
    run: (feeds: Record<string, any>) => Promise<Record<string, any>>;
    release: () => Promise<void>;
};
/** Adapts the foreground of composites to the background. */
export declare class Harmonizer {
    #private;
    /**
     * @param {Runtime} runtime
     * @param {Session} session of the network
     * @param {Manifest} manifest of its file; {@link Harmonizer.load} makes all three fit
     */
    constructor(runtime: Runtime, session: Session, manifest: Manifest);
    /**
     * Load a network that `edge-harmony export` has written.
     * @param {Runtime} runtime the namespace of onnxruntime-web or onnxruntime-node
     * @param {string | Uint8Array | ArrayBuffer} model path, address or bytes of the ONNX file
     * @param {Manifest} manifest the content of the `.json` beside it
     * @param {object} [options] of the session, such as `{ executionProviders: ["wasm"] }`
     * @returns {Promise<Harmonizer>}
     * @throws {InputError} the file holds a whole pipeline
     */
    static load(runtime: Runtime, model: string | Uint8Array | ArrayBuffer, manifest: Manifest, options?: object): Promise<Harmonizer>;
    /** The size at which the network works. @returns {Size} */
    get size(): Size;
    /**
     * Harmonize one picture.
     * @param {Picture} picture the composite
     * @param {Mask} mask of its size; {@link maskOf}, {@link alphaOf} and {@link paste} make one
     * @param {{ strength?: number, inPlace?: boolean }} [options] strength: share of the change, 0 to 1.5
     * @returns {Promise<Picture>} a new picture, or with `inPlace` the given one; alpha, and pixels with a mask of 0, are
     *     unchanged. With a strength of 0 nothing changes, and nothing is predicted.
     * @throws {InputError} picture and mask do not fit together, or the strength is out of range
     */
    harmonize(picture: Picture, mask: Mask, { strength, inPlace }?: {
        strength?: number;
        inPlace?: boolean;
    }): Promise<Picture>;
    /**
     * Run the network at its working size. Its grid serves any strength, and a smaller copy of the picture too.
     * @param {Picture} picture
     * @param {Mask} mask
     * @returns {Promise<Grid>} for {@link applyGrid}
     * @throws {InputError} picture and mask do not fit together, or the network's values are not finite
     */
    predict(picture: Picture, mask: Mask): Promise<Grid>;
    /** Free the network. */
    close(): Promise<void>;
}
