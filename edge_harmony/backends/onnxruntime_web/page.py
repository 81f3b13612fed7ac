"""A folder that is a page: its own files, ONNX Runtime, networks, samples, and ``site.js``, which names them all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from edge_harmony.backends.onnxruntime_web.options import PageOptions
from edge_harmony.errors import EdgeHarmonyError, UsageError
from edge_harmony.files.atomic import atomic_write, make_folder, sha256_of
from edge_harmony.files.manifest import manifest_path, read_manifest
from edge_harmony.files.resources import shipped_folder
from edge_harmony.samples import sample_files, sample_folder

PARTS = (
    "index.html",
    "page.css",
    "icon.svg",
    "icon-512.png",
    "manifest.webmanifest",
    "service-worker.js",
    "app/*.js",
    "harmonize/*.js",
)
"""The page's own files, as patterns."""
SITE = "site.js"
_RUNTIME, _SAMPLES = "onnxruntime", "samples"
_SHOWN = ("hopper-china", "flower-china")
"""The samples of a page."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds another page.

    Raises:
        UsageError: it has an ``index.html`` that does not read :data:`SITE`.
    """
    index = folder / "index.html"
    if index.exists() and not (index.is_file() and SITE.encode() in index.read_bytes()):
        raise UsageError(f"{folder} holds an index.html that is not of this page", "choose another folder")


def write_page(folder: Path, runtime: Mapping[str, bytes]) -> None:
    """Write everything but networks and :data:`SITE`.

    Args:
        folder: folder of the page, created if it is missing.
        runtime: files of ONNX Runtime by their names.

    Raises:
        ArtifactError: this installation lacks the page.
        UsageError: the folder cannot be written.
    """
    source = shipped_folder("web")
    files = {path.relative_to(source).as_posix(): path for pattern in PARTS for path in sorted(source.glob(pattern))}
    files |= {f"{_SAMPLES}/{path.name}": path for pair in _samples() for path in pair}
    files[f"{_SAMPLES}/CREDITS.md"] = sample_folder() / "CREDITS.md"
    files |= {f"{_RUNTIME}/{path.name}": path for path in _licences()}
    for name, path in files.items():
        _write(folder / name, path.read_bytes())
    for name, content in runtime.items():
        _write(folder / _RUNTIME / name, content)


def write_site(folder: Path, model: Path, options: PageOptions) -> None:
    """Write :data:`SITE`, which tells the page what is in its folder.

    Args:
        folder: folder of the page.
        model: the network that the page begins with; others that lie in the folder can be chosen.
        options: which runtimes the page has.

    Raises:
        ArtifactError: a manifest is damaged.
    """
    models = [model, *(path for path in sorted(folder.glob("*.onnx")) if path != model and _is_network(path))]
    kept = [*(f"{_RUNTIME}/{name}" for name in options.runtimes["wasm"]), *(path.name for path in models)]
    kept += [manifest_path(path).name for path in models]
    kept += [path.relative_to(folder).as_posix() for pattern in PARTS for path in sorted(folder.glob(pattern))]
    kept += [f"{_SAMPLES}/{path.name}" for pair in _samples() for path in pair]
    kept.remove("service-worker.js")  # which browsers keep by themselves
    site: dict[str, Any] = {
        "version": hashlib.sha256("".join(sha256_of(folder / name) for name in kept).encode()).hexdigest()[:16],
        "models": [_described(path) for path in models],
        "runtimes": {
            name: {"module": f"{_RUNTIME}/{module}", "wasm": f"{_RUNTIME}/{wasm}"}
            for name, (module, wasm) in options.runtimes.items()
        },
        "samples": [
            {
                "name": composite.stem.replace("-", " on "),
                "composite": f"{_SAMPLES}/{composite.name}",
                "mask": f"{_SAMPLES}/{mask.name}",
            }
            for composite, mask in _samples()
        ],
        "files": ["./", SITE, *kept],
    }
    said = "// Written by edge-harmony export: what is in this folder; `files` are kept for use without a network.\n"
    atomic_write(folder / SITE, f"{said}self.SITE = {json.dumps(site, indent=2)};\n".encode())


def _samples() -> list[tuple[Path, Path]]:
    return [pair for pair in sample_files() if pair[0].stem in _SHOWN]


def _licences() -> list[Path]:
    """ONNX Runtime's licence and its notices, as its Python package carries them."""
    try:
        package = distribution("onnxruntime")
    except PackageNotFoundError:  # a build for GPUs has another name
        return []
    paths = [Path(str(package.locate_file(f"onnxruntime/{name}"))) for name in ("LICENSE", "ThirdPartyNotices.txt")]
    return [path for path in paths if path.is_file()]


def _is_network(path: Path) -> bool:
    try:
        return not read_manifest(path).io.is_whole_pipeline
    except EdgeHarmonyError:
        return False  # not ours


def _described(path: Path) -> dict[str, str]:
    manifest = read_manifest(path)
    return {"name": manifest.model, "precision": manifest.precision, "file": path.name}


def _write(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    atomic_write(path, content)
