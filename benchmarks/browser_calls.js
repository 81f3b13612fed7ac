// What benchmarks/browser.py has a browser and Node do: networks, whole pictures and their parts, timed where they run.

/**
 * @param {object} ort namespace of onnxruntime-web or onnxruntime-node
 * @param {object} module of examples/web/harmonize
 * @param {Record<string, [object | string, object]>} models by precision: file, or its bytes, and manifest
 * @param {object} options of the sessions
 */
export async function prepare(ort, module, models, options) {
  const loaded = {};
  for (const [precision, [model, manifest]] of Object.entries(models))
    loaded[precision] = await module.Harmonizer.load(ort, model, manifest, options);
  let picture, mask;

  return {
    /** Pictures are given as base64 of RGBA, masks of their bytes. */
    take({ width, height, rgba, levels }) {
      picture = { width, height, data: bytesOf(rgba) };
      mask = { width, height, data: bytesOf(levels) };
    },
    async time({ precision, part }) {
      const harmonizer = loaded[precision];
      const grid = part === "apply" ? await harmonizer.predict(picture, mask) : null;
      const began = performance.now();
      if (part === "shrink") module.toWorkingSize(picture, mask, harmonizer.size);
      else if (part === "predict") await harmonizer.predict(picture, mask);
      else if (part === "apply") module.applyGrid(picture, mask, grid);
      else await harmonizer.harmonize(picture, mask);
      return performance.now() - began;
    },
    async result({ precision }) {
      const { data } = await loaded[precision].harmonize(picture, mask);
      let text = "";
      for (let at = 0; at < data.length; at += 32768) text += String.fromCharCode(...data.subarray(at, at + 32768));
      return btoa(text);
    },
  };
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
