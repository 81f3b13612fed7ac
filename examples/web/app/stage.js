/** The canvas: painting the foreground, placing a cut-out, comparing before and after. */

/** @typedef {import("./brush.js").Stroke} Stroke */
/** @typedef {import("../harmonize/harmonize.js").Size} Size */

const TINT = "rgb(255 59 48)";
const OPACITY = 0.5;

export class Stage extends EventTarget {
  /** @type {Stroke[]} in pixels of the picture */
  strokes = [];
  /** Centre of a cut-out, in pixels of the background. @type {[number, number]} */
  position = [0, 0];
  /** Size of a cut-out, as a multiple of its own. */
  scale = 1;
  /** Where before ends, as a share of the width. */
  split = 0.5;
  brush = { erase: false, radius: 20 };
  #canvas;
  #context;
  #layer = new OffscreenCanvas(1, 1);
  #mode = "empty";
  #scene = null;
  #result = null;
  #held = null;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.#held = null));
  }

  /** `empty`, `paint`, `place` or `compare`. */
  get mode() {
    return this.#mode;
  }

  /**
   * Show pictures that were opened.
   * @param {{ isCutOut: boolean, size: Size, cutOutSize: Size | null, ground: ImageBitmap, cutOut: ImageBitmap | null,
   *     mask: ImageBitmap | null }} scene sizes are in pixels of the pictures, bitmaps may be smaller
   */
  open(scene) {
    this.#scene = scene;
    this.strokes = [];
    this.#resize(scene.ground);
    this.edit();
  }

  /** Show what is painted or placed. */
  edit() {
    if (!this.#scene) return;
    this.#mode = this.#scene.isCutOut ? "place" : "paint";
    this.#redrawLayer();
    this.draw();
  }

  /**
   * Show before and after.
   * @param {{ before?: ImageBitmap, after: ImageBitmap }} result `before` of the earlier call by default
   */
  compare(result) {
    this.#result = { ...this.#result, ...result };
    this.#mode = "compare";
    this.#resize(this.#result.after);
    this.draw();
  }

  /** Take back the last stroke. */
  undo() {
    this.strokes.pop();
    this.edit();
  }

  /** Take back all strokes. */
  clear() {
    this.strokes = [];
    this.edit();
  }

  /** Draw everything anew. */
  draw() {
    const { width, height } = this.#canvas;
    this.#canvas.className = this.#mode;
    this.#context.clearRect(0, 0, width, height);
    if (this.#mode === "compare") this.#drawComparison(width, height);
    else if (this.#scene) this.#drawScene(width, height);
  }

  #drawScene(width, height) {
    const { ground, cutOut, cutOutSize, size } = this.#scene;
    this.#context.drawImage(ground, 0, 0, width, height);
    if (cutOut) {
      const shrunk = width / size.width;
      const [w, h] = [cutOutSize.width * this.scale * shrunk, cutOutSize.height * this.scale * shrunk];
      this.#context.drawImage(cutOut, this.position[0] * shrunk - w / 2, this.position[1] * shrunk - h / 2, w, h);
    } else {
      this.#context.globalAlpha = OPACITY;
      this.#context.drawImage(this.#layer, 0, 0, width, height);
      this.#context.globalAlpha = 1;
    }
  }

  #drawComparison(width, height) {
    const { before, after } = this.#result;
    const x = Math.round(this.split * width);
    this.#context.drawImage(after, 0, 0);
    if (x > 0) this.#context.drawImage(before, 0, 0, x, height, 0, 0, x, height);
    this.#context.fillStyle = "white";
    this.#context.fillRect(x - 1, 0, 2, height);
  }

  /** The foreground, tinted: the mask of a file, and the strokes on it. */
  #redrawLayer() {
    const { width, height } = this.#canvas;
    this.#layer = new OffscreenCanvas(width, height);
    const context = this.#layer.getContext("2d");
    if (this.#scene.mask) context.drawImage(this.#scene.mask, 0, 0, width, height);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = TINT;
    context.fillRect(0, 0, width, height);
    for (const stroke of this.strokes) this.#drawStroke(stroke, 0);
  }

  /**
   * @param {Stroke} stroke
   * @param {number} first of its points
   */
  #drawStroke({ erase, radius, points }, first) {
    const context = this.#layer.getContext("2d");
    const shrunk = this.#canvas.width / this.#scene.size.width;
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.strokeStyle = TINT;
    context.lineWidth = 2 * radius * shrunk;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(points[first][0] * shrunk, points[first][1] * shrunk);
    for (const [x, y] of points.slice(first)) context.lineTo(x * shrunk, y * shrunk);
    context.stroke();
  }

  #resize({ width, height }) {
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
  }

  /** Where a pointer is: in pixels of the picture. */
  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    const { width, height } = this.#scene.size;
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  }

  #press(event) {
    if (event.button !== 0 || this.#mode === "empty") return;
    this.#canvas.setPointerCapture(event.pointerId);
    const at = this.#at(event);
    this.#held = { id: event.pointerId, from: at, position: this.position };
    if (this.#mode === "paint") this.strokes.push({ ...this.brush, points: [] });
    this.#move(event);
  }

  #move(event) {
    if (this.#held?.id !== event.pointerId) return;
    const at = this.#at(event);
    if (this.#mode === "paint") {
      const stroke = this.strokes[this.strokes.length - 1];
      stroke.points.push(at);
      this.#drawStroke(stroke, Math.max(stroke.points.length - 2, 0));
    } else if (this.#mode === "place") {
      const { from, position } = this.#held;
      this.position = [position[0] + at[0] - from[0], position[1] + at[1] - from[1]];
    } else {
      this.split = Math.min(Math.max(at[0] / this.#scene.size.width, 0), 1);
    }
    this.draw();
    this.dispatchEvent(new Event(this.#mode));
  }
}
