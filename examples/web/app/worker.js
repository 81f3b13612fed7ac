/** All work on pixels, off the main thread. */
import { InputError, applyGrid } from "../harmonize/harmonize.js";
import { answerCalls } from "./calls.js";
import { loadNetwork } from "./engine.js";
import { decode, encode, grayOf } from "./files.js";
import { Scene, shown } from "./scene.js";

const scene = new Scene();
let network = null;
let prediction = null;

answerCalls({
  async load({ model, runtimes, forced }) {
    const before = network;
    network = null;
    await before?.harmonizer.close();
    network = await loadNetwork(model, runtimes, forced);
    return { device: network.device };
  },

  async open({ role, file, name }) {
    const pixels = await decode(file, name);
    prediction = null;
    if (role === "mask") scene.setMask(pixels);
    else if (role === "background") scene.setBackground(pixels);
    else scene.setPicture(pixels);
    return describe();
  },

  async harmonize({ strokes, placement, strength }) {
    if (!network) throw new InputError("the network is not loaded yet");
    prediction = null; // its pictures make room for the next
    const { composite, mask } = scene.compose(strokes, placement);
    const began = performance.now();
    const grid = await network.harmonizer.predict(composite, mask);
    const milliseconds = performance.now() - began;
    prediction = { composite, mask, grid, small: { composite: shown(composite, 4), mask: shown(mask, 1) } };
    const { width, height } = composite;
    return { width, height, milliseconds, before: await bitmapOf(prediction.small.composite), ...(await after(strength)) };
  },

  strengthen: after,

  async save({ strength, type }) {
    const { composite, mask, grid } = predicted();
    if (type === "mask") return encode(grayOf(mask), "image/png");
    return encode(applyGrid(composite, mask, grid, { strength }), type);
  },
});

function predicted() {
  if (!prediction) throw new InputError("nothing is harmonized yet");
  return prediction;
}

async function after(strength) {
  const { small, grid } = predicted();
  return { after: await bitmapOf(applyGrid(small.composite, small.mask, grid, { strength })) };
}

/** What the page shows of the scene. */
async function describe() {
  const { picture, background, mask, isCutOut } = scene;
  const canvas = isCutOut ? background : picture;
  return {
    isCutOut,
    size: canvas && { width: canvas.width, height: canvas.height },
    cutOutSize: isCutOut ? { width: picture.width, height: picture.height } : null,
    ground: canvas && (await bitmapOf(shown(canvas, 4))),
    cutOut: isCutOut ? await bitmapOf(shown(picture, 4)) : null,
    mask: mask && !isCutOut ? await bitmapOf(tintOf(shown(mask, 1))) : null,
  };
}

/** A mask as the alpha of white, for the stage to tint. */
function tintOf({ width, height, data }) {
  const pixels = new Uint8ClampedArray(4 * data.length).fill(255);
  for (let i = 0; i < data.length; i++) pixels[4 * i + 3] = data[i];
  return { width, height, data: pixels };
}

function bitmapOf({ width, height, data }) {
  return createImageBitmap(new ImageData(data, width, height));
}
