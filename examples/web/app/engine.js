/** ONNX Runtime and a network: on the GPU where the site has the runtime for it and the browser a device, else WASM. */
import { Harmonizer } from "../harmonize/harmonize.js";

const ROOT = new URL("../", import.meta.url);
/** Threads beyond it hardly help so small a network. */
const MOST_THREADS = 4;

/**
 * Load a network.
 * @param {{ file: string }} model
 * @param {Record<string, { module: string, wasm: string }>} runtimes of the site: `wasm`, perhaps `webgpu`
 * @param {string | null} forced one of the two, where there shall be no choice
 * @returns {Promise<{ harmonizer: Harmonizer, device: string }>}
 */
export async function loadNetwork(model, runtimes, forced) {
  const [network, manifest] = await Promise.all([
    fetched(model.file, "arrayBuffer"),
    fetched(`${model.file}.json`, "json"),
  ]);
  if (runtimes.webgpu && (forced === "webgpu" || (!forced && (await hasGpu()))))
    try {
      const runtime = await load(runtimes.webgpu);
      const options = { executionProviders: ["webgpu", "wasm"] };
      return { harmonizer: await Harmonizer.load(runtime, network.slice(0), manifest, options), device: "WebGPU" };
    } catch (error) {
      if (forced) throw error;
      console.warn("WebGPU failed, so the network runs in WASM:", error);
    }
  const runtime = await load(runtimes.wasm);
  const threads = runtime.env.wasm.numThreads;
  const harmonizer = await Harmonizer.load(runtime, network, manifest, { executionProviders: ["wasm"] });
  return { harmonizer, device: `WASM, ${threads} ${threads === 1 ? "thread" : "threads"}` };
}

/** Whether there is a GPU, and not a program in its place: that takes a hundred times as long as WASM. */
async function hasGpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false);
}

/** @param {{ module: string, wasm: string }} files */
async function load({ module, wasm }) {
  const runtime = await import(new URL(module, ROOT).href);
  runtime.env.wasm.wasmPaths = { wasm: new URL(wasm, ROOT).href };
  runtime.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  return runtime;
}

async function fetched(file, kind) {
  const response = await fetch(new URL(file, ROOT));
  if (!response.ok) throw new Error(`${file}: ${response.status} ${response.statusText}`);
  return response[kind]();
}
