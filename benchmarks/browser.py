"""The page's module in Chromium and Node beside the package: agreement, times in turns, sizes.

    python benchmarks/browser.py -o benchmarks/results/0.1.0/browser.json

Needs [train], playwright, a Chromium, and Node with npm, which fetches onnxruntime-web and onnxruntime-node. One thread
each. Times are taken where the work is done, so calls between processes do not count.
"""

from __future__ import annotations

import argparse
import base64
import functools
import gzip
import json
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import quartiles
from numpy.typing import NDArray
from provenance import provenance

from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.backends.onnxruntime_web.runtime import VERSION
from edge_harmony.backends.targets import read_target
from edge_harmony.files.atomic import write_json
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.models.registry import DEFAULT_MODEL
from edge_harmony.models.weights_file import resolve_weights
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.pipeline.harmonize import predict
from edge_harmony.samples import sample_pictures

HERE = Path(__file__).parent
MODULE = HERE.parent / "examples" / "web" / "harmonize" / "harmonize.js"
NODE = f"onnxruntime-node@{VERSION}"
SIZES = {"640 x 427": (427, 640), "1920 x 1080": (1080, 1920), "4032 x 3024": (3024, 4032)}
PARTS = ("shrink", "predict", "apply", "all")
Call = Callable[[str, Any], Any]
"""Name and argument of a function of ``browser_calls.js``."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def chromium(site: Path) -> Iterator[tuple[str, Call]]:
    """A browser in which a page of the site has the module: its version, and calls."""
    from playwright.sync_api import sync_playwright

    shutil.copy(HERE / "browser_calls.js", site)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.goto(f"http://127.0.0.1:{server.server_port}/site.js")  # a page of this origin that does nothing
        page.evaluate(
            """async ({ files, module, wasm }) => {
                const [ort, harmonize, { prepare }] = await Promise.all(
                    [module, "./harmonize/harmonize.js", "./browser_calls.js"].map((name) => import(name)));
                ort.env.wasm.wasmPaths = { wasm: new URL(wasm, location.href).href };
                ort.env.wasm.numThreads = 1;
                const models = {};
                for (const file of files) {
                    const manifest = await (await fetch(`${file}.json`)).json();
                    models[manifest.precision] = [await (await fetch(file)).arrayBuffer(), manifest];
                }
                globalThis.calls = await prepare(ort, harmonize, models, { executionProviders: ["wasm"] });
            }""",
            {
                "files": [path.name for path in site.glob("*.onnx")],
                "module": "./onnxruntime/ort.wasm.bundle.min.mjs",
                "wasm": "./onnxruntime/ort-wasm-simd-threaded.wasm",
            },
        )
        script = "([name, argument]) => globalThis.calls[name](argument)"
        yield browser.version, lambda name, argument: page.evaluate(script, [name, argument])
        browser.close()
    server.shutdown()


@contextmanager
def node(site: Path, folder: Path) -> Iterator[tuple[str, Call]]:
    """A process of Node that has the module: its version, and calls."""
    (folder / "package.json").write_text('{"private": true}')
    npm = shutil.which("npm") or "npm"
    subprocess.run([npm, "install", "--ignore-scripts", "--silent", NODE], cwd=folder, check=True)
    call = ["node", HERE / "browser_node.mjs", MODULE, folder, *site.glob("*.onnx")]
    process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(name: str, argument: Any) -> Any:
        process.stdin.write(json.dumps([name, argument]) + "\n")  # type: ignore[union-attr]
        return json.loads(process.stdout.readline())  # type: ignore[union-attr]

    yield subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip(), ask
    process.stdin.close()
    process.wait()


def python(site: Path) -> Call:
    """The same calls of the package, with one thread."""
    cv2.setNumThreads(1)
    loaded = {p: load_runner(artifact=next(site.glob(f"*-{p}.onnx")), threads=1) for p in ("int8", "fp32")}
    given: dict[str, Any] = {}

    def call(name: str, argument: Any) -> Any:
        if name == "take":
            given.update(picture=argument["picture"], mask=argument["mask"])
            return None
        runner, picture, mask = loaded[argument["precision"]], given["picture"], given["mask"]
        if name == "result":
            return Harmonizer(runner).harmonize(picture, mask)
        spec, part = runner.io_spec, argument["part"]
        grid = predict(runner, picture, mask) if part == "apply" else None
        began = time.perf_counter()
        if part == "shrink":
            to_working_size(picture, mask, (spec.height, spec.width))
        elif part == "predict":
            predict(runner, picture, mask)
        elif grid is not None:
            apply_grid(picture, mask, grid)
        else:
            Harmonizer(runner).harmonize(picture, mask)
        return 1e3 * (time.perf_counter() - began)

    return call


def as_argument(picture: NDArray[np.uint8], mask: NDArray[np.uint8]) -> dict[str, Any]:
    """A picture and its mask, for all contenders."""
    rgba = np.dstack([picture, np.full(mask.shape, 255, np.uint8)])
    texts = {name: base64.b64encode(part.tobytes()).decode() for name, part in (("rgba", rgba), ("levels", mask))}
    return texts | {"width": mask.shape[1], "height": mask.shape[0], "picture": picture, "mask": mask}


def take(contenders: dict[str, Call], argument: dict[str, Any]) -> None:
    """Give every contender a picture."""
    sent = {name: value for name, value in argument.items() if name not in ("picture", "mask")}
    for name, call in contenders.items():
        call("take", argument if name == "python" else sent)


def foreground_psnr(one: NDArray[Any], other: NDArray[Any], mask: NDArray[Any]) -> float:
    """PSNR of the foreground in dB; 99 where no level differs."""
    error = float(((one.astype(float) - other)[mask > 0] ** 2).mean())
    return 99.0 if error == 0 else round(10 * np.log10(255**2 / error), 2)


def agreement(contenders: dict[str, Call], samples: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> list[Any]:
    """How near the results of each contender are to those of the same file in Python, and of PyTorch in FP32."""
    with load_runner(DEFAULT_MODEL, backend="pytorch", precision="fp32") as reference:
        wanted = [Harmonizer(reference).harmonize(*sample) for sample in samples]
    rows = []
    for precision in ("int8", "fp32"):
        found: dict[str, list[NDArray[Any]]] = {name: [] for name in contenders}
        for picture, mask in samples:
            take(contenders, as_argument(picture, mask))
            for name, call in contenders.items():
                made = call("result", {"precision": precision})
                if isinstance(made, str):
                    made = np.frombuffer(base64.b64decode(made), np.uint8).reshape(*mask.shape, 4)[..., :3]
                found[name].append(made)
        for name, made in found.items():
            off = [np.abs(a.astype(int) - b) for a, b in zip(made, found["python"], strict=True)]
            psnr = [foreground_psnr(a, b, m) for a, b, (_, m) in zip(made, wanted, samples, strict=True)]
            rows.append(
                {
                    "contender": name,
                    "precision": precision,
                    "largest_levels": int(max(part.max() for part in off)),
                    "samples_that_differ": float(np.mean([(part > 0).mean() for part in off])),
                    "psnr": round(float(np.mean(psnr)), 2),
                    "psnr_least": min(psnr),
                }
            )
    return rows


def times(contenders: dict[str, Call], sample: tuple[NDArray[np.uint8], NDArray[np.uint8]], rounds: int) -> list[Any]:
    """Milliseconds in turns, and the rounds' ratios to Python."""
    rows, shuffler, order = [], random.Random(0), list(contenders)
    for size, (height, width) in SIZES.items():
        picture, mask = (cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in sample)
        take(contenders, as_argument(picture, mask))
        for precision in ("int8", "fp32"):
            for part in PARTS if precision == "int8" else ("predict",):
                taken: dict[str, list[float]] = {name: [] for name in contenders}
                for turn in range(rounds + 2):
                    shuffler.shuffle(order)
                    for name in order:
                        milliseconds = contenders[name]("time", {"precision": precision, "part": part})
                        if turn >= 2:
                            taken[name].append(milliseconds)
                for name, found in taken.items():
                    row = {"picture": size, "precision": precision, "part": part, "contender": name}
                    median = {"median_ms": round(float(np.median(found)), 2)}
                    rows.append(row | median | quartiles("of_python", found, taken["python"]))
                    print(rows[-1], flush=True)
    return rows


def sizes(site: Path) -> list[dict[str, Any]]:
    """Bytes of the site's parts, and when compressed."""
    parts = {path.name: [path] for path in sorted(site.glob("*.onnx"))}
    parts |= {"ONNX Runtime, WASM": [*site.glob("onnxruntime/*wasm.bundle*"), *site.glob("onnxruntime/*threaded.wasm")]}
    parts |= {"ONNX Runtime, WebGPU": [*site.glob("onnxruntime/*webgpu*"), *site.glob("onnxruntime/*asyncify.wasm")]}
    page = [
        *site.glob("*.html"),
        *site.glob("*.css"),
        *site.glob("*.js"),
        *site.glob("app/*"),
        *site.glob("harmonize/*"),
    ]
    parts["page"] = [path for path in page if path.name != "browser_calls.js"]
    rows = []
    for name, paths in parts.items():
        contents = [path.read_bytes() for path in paths]
        packed = sum(len(gzip.compress(content, 6)) for content in contents)
        rows.append({"part": name, "bytes": sum(map(len, contents)), "compressed": packed})
    return rows


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    samples = [(pixels, np.rint(255 * mask).astype(np.uint8)) for _, pixels, mask in sample_pictures()]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site, packages = folder / "site", folder / "node"
        packages.mkdir()
        for name in ("web-int8", "web-fp32"):
            target = read_target(name)
            get_backend(target.backend).build(target.request(DEFAULT_MODEL), resolve_weights(DEFAULT_MODEL, None), site)
        browser, in_browser = stack.enter_context(chromium(site))
        version, in_node = stack.enter_context(node(site, packages))
        contenders = {"python": python(site), "chromium": in_browser, "node": in_node}
        content = provenance("onnxruntime", "torch", "numpy", "opencv-python")
        content["versions"] |= {"onnxruntime-web": VERSION, NODE.split("@")[0]: VERSION, "chromium": browser}
        content["versions"]["node"] = version
        content |= {"model": DEFAULT_MODEL, "rounds": arguments.rounds, "samples": len(samples)}
        content |= {"agreement": agreement(contenders, samples), "sizes": sizes(site)}
        content["times"] = times(contenders, samples[1], arguments.rounds)
    write_json(arguments.output, content)


if __name__ == "__main__":
    main()
