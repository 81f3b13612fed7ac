/**
 * Image harmonization with ONNX Runtime, in browsers (onnxruntime-web) and in Node (onnxruntime-node): the module does
 * what edge_harmony.Harmonizer does in Python. Pictures have any size.
 *
 *     import * as ort from "onnxruntime-node";
 *     const harmonizer = await Harmonizer.load(ort, model, manifest);
 *     const result = await harmonizer.harmonize(picture, mask);
 */
import { applyGrid, checkStrength } from "./apply.js";
import { InputError } from "./errors.js";
import { gridOfPainted, toWorkingSize } from "./grid.js";
import { foregroundBox } from "./masks.js";
import { checkPair, copyOf } from "./pictures.js";

export { straightOf } from "./alpha.js";
export { STRONGEST, applyGrid } from "./apply.js";
export { InputError } from "./errors.js";
export { toWorkingSize } from "./grid.js";
export { alphaOf, foregroundBox, maskOf, readMask } from "./masks.js";
export { paste } from "./paste.js";
export { resizeRows } from "./resize.js";

/** @typedef {import("./grid.js").Grid} Grid */
/** @typedef {import("./paste.js").Anchor} Anchor */
/** @typedef {import("./paste.js").Placement} Placement */
/** @typedef {import("./pictures.js").Box} Box */
/** @typedef {import("./pictures.js").Mask} Mask */
/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {import("./pictures.js").Size} Size */
/**
 * The manifest beside an exported ONNX file, as far as it is read here.
 * @typedef {{ model: string, precision: string, io: { height: number, width: number, output: string } }} Manifest
 */
/**
 * The part of onnxruntime-common that is used; the namespaces of onnxruntime-web and onnxruntime-node have it.
 * @typedef {object} Runtime
 * @property {{ create(model: any, options?: any): Promise<Session> }} InferenceSession
 * @property {new (type: "float32", data: Float32Array, dims: number[]) => any} Tensor
 */
/**
 * @typedef {object} Session
 * @property {readonly string[]} outputNames
 * @property {(feeds: Record<string, any>) => Promise<Record<string, any>>} run
 * @property {() => Promise<void>} release
 */

const CHANNELS = /** @type {const} */ ({ rgb: 3, difference: 3, gain: 6, affine: 12 });

/** Adapts the foreground of composites to the background. */
export class Harmonizer {
  #runtime;
  #session;
  #manifest;

  /**
   * @param {Runtime} runtime
   * @param {Session} session of the network
   * @param {Manifest} manifest of its file; {@link Harmonizer.load} makes all three fit
   */
  constructor(runtime, session, manifest) {
    this.#runtime = runtime;
    this.#session = session;
    this.#manifest = manifest;
  }

  /**
   * Load a network that `edge-harmony export` has written.
   * @param {Runtime} runtime the namespace of onnxruntime-web or onnxruntime-node
   * @param {string | Uint8Array | ArrayBuffer} model path, address or bytes of the ONNX file
   * @param {Manifest} manifest the content of the `.json` beside it
   * @param {object} [options] of the session, such as `{ executionProviders: ["wasm"] }`
   * @returns {Promise<Harmonizer>}
   * @throws {InputError} the file holds a whole pipeline
   */
  static async load(runtime, model, manifest, options = {}) {
    if (!(manifest?.io?.output in CHANNELS))
      throw new InputError(
        `the network returns ${manifest?.io?.output}; export it without --whole-pipeline, and give its manifest`,
      );
    return new Harmonizer(runtime, await runtime.InferenceSession.create(model, options), manifest);
  }

  /** The size at which the network works. @returns {Size} */
  get size() {
    const { width, height } = this.#manifest.io;
    return { width, height };
  }

  /**
   * Harmonize one picture.
   * @param {Picture} picture the composite
   * @param {Mask} mask of its size; {@link maskOf}, {@link alphaOf} and {@link paste} make one
   * @param {{ strength?: number, inPlace?: boolean }} [options] strength: share of the change, 0 to 1.5
   * @returns {Promise<Picture>} a new picture, or with `inPlace` the given one; alpha, and pixels with a mask of 0, are
   *     unchanged. With a strength of 0 nothing changes, and nothing is predicted.
   * @throws {InputError} picture and mask do not fit together, or the strength is out of range
   */
  async harmonize(picture, mask, { strength = 1, inPlace = false } = {}) {
    checkPair(picture, mask);
    checkStrength(strength);
    if (!strength || !foregroundBox(mask)) return inPlace ? picture : copyOf(picture);
    return applyGrid(picture, mask, await this.predict(picture, mask), { strength, inPlace });
  }

  /**
   * Run the network at its working size. Its grid serves any strength, and a smaller copy of the picture too.
   * @param {Picture} picture
   * @param {Mask} mask
   * @returns {Promise<Grid>} for {@link applyGrid}
   * @throws {InputError} picture and mask do not fit together, or the network's values are not finite
   */
  async predict(picture, mask) {
    checkPair(picture, mask);
    const { width, height } = this.size;
    const planes = toWorkingSize(picture, mask, this.size);
    const tensor = (/** @type {Float32Array} */ data, /** @type {number} */ channels) =>
      new this.#runtime.Tensor("float32", data, [1, channels, height, width]);
    const outputs = await this.#session.run({ composite: tensor(planes.composite, 3), mask: tensor(planes.mask, 1) });
    const output = outputs[this.#session.outputNames[0]];
    const data = /** @type {Float32Array} */ (output.data);
    if (!data.every(Number.isFinite))
      throw new InputError("the network returned values that are not finite; report this picture");
    const kind = /** @type {keyof typeof CHANNELS} */ (this.#manifest.io.output);
    if (kind === "rgb") return gridOfPainted(data, planes, this.size);
    return { channels: CHANNELS[kind], height: output.dims[2], width: output.dims[3], data: data.slice() };
  }

  /** Free the network. */
  async close() {
    await this.#session.release();
  }
}
