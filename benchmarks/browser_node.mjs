// Answers the calls of benchmarks/browser.py, one JSON line each: node browser_node.mjs MODULE PACKAGES MODEL...
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

import { prepare } from "./browser_calls.js";

const [module, packages, ...files] = process.argv.slice(2);
const ort = createRequire(join(packages, "package.json"))("onnxruntime-node");
const models = {};
for (const file of files) {
  const manifest = JSON.parse(readFileSync(`${file}.json`, "utf-8"));
  models[manifest.precision] = [file, manifest];
}
const options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
const calls = await prepare(ort, await import(pathToFileURL(module).href), models, options);
for await (const line of createInterface({ input: process.stdin })) {
  const [name, argument] = JSON.parse(line);
  console.log(JSON.stringify((await calls[name](argument)) ?? null));
}
