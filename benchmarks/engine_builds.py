"""Engines of TensorRT for RTX for every network, precision and GPU: sizes, seconds, or the reason for a failure.

    python benchmarks/engine_builds.py -o benchmarks/results/0.1.0/engine-builds.json

It needs no GPU and runs no engine. Networks without shipped weights are built from random ones. Needs [train] and
[tensorrt-rtx].
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import torch
from calibrating import calibrated
from provenance import provenance

from edge_harmony.backends.tensorrt.engines import build_engine
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile
from edge_harmony.backends.tensorrt.request import BuildRequest
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.export.onnx import export_onnx
from edge_harmony.files.atomic import write_json
from edge_harmony.models.registry import MODELS, build_model, bundled_weights, has_weights
from edge_harmony.models.weights_file import read_weights, save_weights

ARCHITECTURES = ("SM86", "SM89", "SM120")
PRECISIONS = ("fp32", "fp16", "int8")
BATCHES = (1, 2, 8)


def weights_of(name: str, folder: Path) -> Path:
    """The shipped weights of a network, or random ones; with activation ranges."""
    if has_weights(name):
        path = bundled_weights(name)
    else:
        torch.manual_seed(0)
        path = folder / f"{name}.safetensors"
        save_weights(path, build_model(name), name=name)
    if read_weights(path).ranges:
        return path
    return calibrated(name, path, "samples-24", "min-max", folder / "calibrated")


def profile() -> Profile:
    """A profile with an open batch size."""
    shapes = [{"composite": (n, 3, 256, 256), "mask": (n, 1, 256, 256)} for n in BATCHES]
    return Profile(least=shapes[0], best=shapes[1], largest=shapes[2])


def build(name: str, precision: str, weights: Path, *, dynamic: bool, folder: Path) -> dict[str, Any]:
    """One export and an engine for every architecture."""
    row: dict[str, Any] = {"model": name, "precision": precision, "batch": "1-8" if dynamic else "1"}
    place = folder / f"{name}-{precision}-{dynamic}"
    try:
        onnx = export_onnx(name, weights, place, precision=precision, flavour="signed", dynamic_batch=dynamic)
        row["onnx_bytes"] = onnx.stat().st_size
        for architecture in ARCHITECTURES:
            options = BuildOptions(architectures=(architecture,), profile=profile() if dynamic else None)
            request = BuildRequest(onnx, options=options, save=place / "engine.plan", distribution="tensorrt-rtx")
            made = build_engine(request).engine
            row[f"{architecture}_bytes"] = made.path.stat().st_size
            row[f"{architecture}_seconds"] = round(made.built.seconds, 2) if made.built else None
    except EdgeHarmonyError as error:
        row["refused"] = error.message
    return row


def main() -> None:
    """Build all, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.models:
            folder = Path(temporary) / name
            folder.mkdir()
            weights = weights_of(name, folder)
            for precision, dynamic in product(PRECISIONS, (False, True)):
                rows.append(build(name, precision, weights, dynamic=dynamic, folder=folder))
                print(json.dumps(rows[-1]), flush=True)
    result = {**provenance("torch", "onnx", "tensorrt_rtx_cu13"), "architectures": ARCHITECTURES, "rows": rows}
    write_json(arguments.output, result)


if __name__ == "__main__":
    main()
