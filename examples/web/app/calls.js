/** Calls of functions of a worker, whose answers are promises. */

/**
 * @param {Worker} worker whose script calls {@link answerCalls}
 * @returns {(name: string, argument?: unknown, transfer?: Transferable[]) => Promise<any>}
 */
export function callsOf(worker) {
  const waiting = new Map();
  let last = 0;
  worker.addEventListener("message", ({ data: { id, answer, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(Object.assign(new Error(error.message), { name: error.name }));
    else resolve(answer);
  });
  worker.addEventListener("error", (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || "the worker cannot be loaded"));
    waiting.clear();
  });
  return (name, argument, transfer = []) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage({ id: last, name, argument }, transfer);
    });
}

/**
 * Answer the calls, one after the other, in the worker's own script.
 * @param {Record<string, (argument: any) => unknown>} functions by their names
 */
export function answerCalls(functions) {
  let before = Promise.resolve();
  self.addEventListener("message", ({ data: { id, name, argument } }) => {
    before = before.then(async () => {
      try {
        const answer = await functions[name](argument);
        self.postMessage({ id, answer }, bitmapsOf(answer));
      } catch (error) {
        self.postMessage({ id, error: { name: error.name, message: error.message } });
      }
    });
  });
}

function bitmapsOf(answer) {
  return Object.values(answer ?? {}).filter((value) => value instanceof ImageBitmap);
}
