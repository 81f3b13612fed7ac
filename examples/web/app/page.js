/** The page: connects its controls with the stage and the worker. */
import { callsOf } from "./calls.js";
import { roleOf, takeFiles } from "./drop.js";
import { beOffline } from "./offline.js";
import { Stage } from "./stage.js";

const get = (id) => document.getElementById(id);
const site = globalThis.SITE;
const call = callsOf(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
const stage = new Stage(get("view"));
/** `?device=wasm` or `?device=webgpu` in the address leave the page no choice. */
const forced = new URLSearchParams(location.search).get("device");
const downloads = get("downloads").querySelectorAll("button");
let scene = null;
let name = "picture";

function say(text, isWrong = false) {
  get("status").textContent = text;
  get("status").classList.toggle("wrong", isWrong);
}

/** Do something that may fail; what failed is said. Returns whether it went well. */
async function attempt(doing, work) {
  say(`${doing} ...`);
  document.body.setAttribute("aria-busy", "true");
  try {
    await work();
    return true;
  } catch (error) {
    say(error.name === "InputError" ? `${error.message}.` : `${doing} failed: ${error.message}`, true);
    return false;
  } finally {
    document.body.removeAttribute("aria-busy");
  }
}

async function load(model) {
  await attempt(`Loading ${model.name}`, async () => {
    const { device } = await call("load", { model, runtimes: site.runtimes, forced });
    get("about").textContent = `${model.name} in ${model.precision.toUpperCase()}, ${device}`;
    get("work").disabled = false;
    say(scene ? "Ready." : "Ready: drop a picture, or take a sample.");
  });
}

async function take(role, files) {
  for (const file of files) {
    const found = role ?? roleOf(file, scene?.isCutOut && !scene.size);
    if (!(await attempt(`Reading ${file.name}`, () => open(found, file)))) return;
  }
}

async function open(role, file) {
  scene = await call("open", { role, file, name: file.name });
  for (const label of document.querySelectorAll(".file")) {
    if (label.dataset.role === role) label.dataset.name = file.name;
    else if (role === "picture") delete label.dataset.name;
  }
  if (role !== "background") name = role === "picture" ? file.name.replace(/\.\w+$/, "") : name;
  for (const button of downloads) button.disabled = true;
  get("edit").disabled = true;
  get("brush").disabled = get("brush").hidden = scene.isCutOut;
  document.querySelector("[data-role=background]").hidden = !scene.isCutOut;
  document.querySelector("[data-role=mask]").hidden = scene.isCutOut;
  get("place").hidden = !scene.isCutOut;
  get("place").disabled = !scene.size;
  get("hint").hidden = get("view").hidden = Boolean(scene.size);
  get("view").hidden = !scene.size;
  get("split").hidden = true;
  if (!scene.size) return say("A cut-out: now drop its background.");
  if (scene.isCutOut) centre();
  stage.open(scene);
  setBrush();
  if (scene.isCutOut) say("Drag the cut-out to its place, then harmonize.");
  else say(scene.mask ? "Harmonize, or mend the mask with the brush." : "Paint over the foreground, then harmonize.");
}

/** A cut-out in the middle of its background, as large as it is, or so that it fits. */
function centre() {
  const { size, cutOutSize } = scene;
  stage.position = [size.width / 2, size.height / 2];
  const scale = Math.min(1, size.width / cutOutSize.width, size.height / cutOutSize.height);
  get("scale").value = Math.round(100 * Math.log2(scale));
  stage.scale = scale;
}

function setBrush() {
  const shorter = scene?.size ? Math.min(scene.size.width, scene.size.height) : 400;
  stage.brush.radius = Math.max(0.5, (get("size").value / 400) * shorter);
  stage.brush.erase = document.querySelector("[name=tool]:checked").value === "erase";
}

function edit() {
  get("split").hidden = true;
  stage.edit();
}

async function harmonize() {
  await attempt("Harmonizing", async () => {
    const { strokes, position, scale } = stage;
    const strength = Number(get("strength").value);
    const done = await call("harmonize", { strokes, placement: { position, scale }, strength });
    stage.compare(done);
    get("split").hidden = false;
    get("edit").disabled = false;
    for (const button of downloads) button.disabled = false;
    say(`Predicted in ${done.milliseconds.toFixed(0)} ms for ${done.width} x ${done.height} pixels.`);
  });
}

/** Apply at the strength of the slider; while one strength is worked on, only the last one of the others waits. */
let isStrengthening = false;
async function strengthen() {
  const strength = Number(get("strength").value);
  document.querySelector("output[for=strength]").textContent = strength.toFixed(2);
  if (stage.mode !== "compare" || isStrengthening) return;
  isStrengthening = true;
  await attempt("Applying", async () => {
    stage.compare(await call("strengthen", strength));
    say(`The same prediction at strength ${strength.toFixed(2)}.`);
  });
  isStrengthening = false;
  if (Number(get("strength").value) !== strength) await strengthen();
}

async function download(type) {
  await attempt("Writing the file", async () => {
    const file = await call("save", { strength: Number(get("strength").value), type });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `${name}_${type === "mask" ? "mask" : "harmonized"}.${type === "image/jpeg" ? "jpg" : "png"}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`${link.download}, ${(file.size / 1e6).toFixed(1)} MB.`);
  });
}

function offerSamples() {
  for (const sample of site.samples) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: sample.name });
    button.onclick = () => takeSample(sample);
    get("samples").append(button);
  }
  get("samples").hidden = !site.samples.length;
}

async function takeSample(sample) {
  const asFile = async (path) => new File([await (await fetch(path)).blob()], path.split("/").pop());
  if (!(await attempt(`Reading ${sample.name}`, async () => open("picture", await asFile(sample.composite))))) return;
  await attempt(`Reading ${sample.name}`, async () => open("mask", await asFile(sample.mask)));
}

function offerNetworks() {
  const select = get("network").querySelector("select");
  for (const model of site.models) select.append(new Option(`${model.name}, ${model.precision.toUpperCase()}`));
  select.onchange = () => load(site.models[select.selectedIndex]);
  get("network").hidden = site.models.length < 2;
}

function start() {
  if (!site) return say("There is no network in this folder; edge-harmony export --target web-int8 -o site writes one.", true);
  takeFiles(get("stage"), document.querySelectorAll(".file"), take);
  stage.addEventListener("compare", () => (get("split").querySelector("input").value = 1000 * stage.split));
  get("split").addEventListener("input", ({ target }) => {
    stage.split = target.value / 1000;
    stage.draw();
  });
  get("brush").addEventListener("input", () => {
    setBrush();
    edit();
  });
  get("undo").onclick = () => (edit(), stage.undo());
  get("clear").onclick = () => (edit(), stage.clear());
  get("scale").addEventListener("input", ({ target }) => {
    stage.scale = 2 ** (target.value / 100);
    edit();
  });
  get("edit").onclick = edit;
  get("harmonize").onclick = harmonize;
  get("strength").addEventListener("input", strengthen);
  for (const button of downloads) button.onclick = () => download(button.value);
  offerSamples();
  offerNetworks();
  beOffline(get("install"), () => document.body.classList.add("offline"));
  load(site.models[0]);
}

start();
