/**
 * Keeps the page for use without a network, and isolates it from other origins, which ONNX Runtime needs for threads
 * (https://developer.mozilla.org/docs/Web/API/Window/crossOriginIsolated). A browser looks for changes in this file and
 * in site.js: another export is another version.
 */
importScripts("site.js");

const { version, files } = self.SITE;
const OURS = `edge-harmony ${self.registration.scope} `;
const CACHE = OURS + version;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(self.registration.scope))
    event.respondWith(answer(event.request));
});

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll(files.map((file) => new Request(file, { cache: "no-cache" })));
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(OURS) && name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

/** A file of the cache, or of the server; what the server sends is kept, such as the runtime for GPUs. */
async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return isolated(kept);
  const sent = await fetch(request);
  if (sent.status === 200) await cache.put(request, sent.clone());
  return isolated(sent);
}

function isolated(response) {
  if (response.type === "opaqueredirect" || response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
