// Runs the cases of a folder with the module and a runtime: node cases.mjs FOLDER MODULE RUNTIME
// cases.json: [{ name, call, picture, mask, background, placement, strength, model }]; pictures are files of raw bytes.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, module, packages] = process.argv.slice(2);
const { Harmonizer, applyGrid, maskOf, paste, straightOf, toWorkingSize } = await import(pathToFileURL(module).href);
const ort = createRequire(join(packages, "package.json"))("onnxruntime-node");

const read = ({ file, width, height }) => ({ width, height, data: readFileSync(join(folder, file)) });
const write = (name, { data }) => writeFileSync(join(folder, `${name}.out`), data);
const joined = (...arrays) => ({ data: Buffer.concat(arrays.map((array) => Buffer.from(array.buffer))) });
const loaded = new Map();

async function load(model) {
  if (!loaded.has(model))
    loaded.set(model, await Harmonizer.load(ort, model, JSON.parse(readFileSync(`${model}.json`, "utf-8"))));
  return loaded.get(model);
}

const calls = {
  async harmonize(one) {
    const [picture, mask] = [read(one.picture), read(one.mask)];
    const before = Buffer.from(picture.data);
    const result = await (await load(one.model)).harmonize(picture, mask, { strength: one.strength });
    if (!before.equals(picture.data)) throw new Error("the picture was changed");
    write(one.name, result);
    return { width: result.width, height: result.height };
  },
  async apply(one) {
    const grid = { ...one.grid, data: new Float32Array(new Uint8Array(readFileSync(join(folder, one.grid.file))).buffer) };
    write(one.name, applyGrid(read(one.picture), read(one.mask), grid, { strength: one.strength, inPlace: true }));
  },
  async shrink(one) {
    const planes = toWorkingSize(read(one.picture), read(one.mask), one.size);
    write(one.name, joined(planes.composite, planes.mask));
  },
  async paste(one) {
    const { composite, mask } = paste(read(one.picture), read(one.mask), read(one.background), one.placement);
    write(one.name, joined(composite.data, mask.data));
  },
  async straight(one) {
    write(one.name, straightOf(read(one.picture)));
  },
  async mask(one) {
    write(one.name, maskOf(read(one.picture)));
  },
};

const answers = {};
for (const one of JSON.parse(readFileSync(join(folder, "cases.json"), "utf-8")))
  try {
    answers[one.name] = (await calls[one.call](one)) ?? {};
  } catch (error) {
    answers[one.name] = { error: `${error.name}: ${error.message}` };
  }
console.log(JSON.stringify(answers));
