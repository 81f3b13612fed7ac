"""Engines of TensorRT for RTX for every network, precision and GPU: sizes, seconds, or the reason for a failure.

    python benchmarks/engine_builds.py -o benchmarks/results/0.1.0/engine-builds.json

It needs no GPU and runs no engine. Networks without shipped weights are built from random ones. Networks that have a
whole pipeline are built with it too, for pictures from the working size to 4096 x 2160. Needs [train] and
[tensorrt-rtx].
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from calibrating import calibrated
from provenance import provenance

from edge_harmony.backends.tensorrt.backend import picture_sizes
from edge_harmony.backends.tensorrt.engines import build_engine
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile
from edge_harmony.backends.tensorrt.request import BuildRequest
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.export.onnx import export_onnx
from edge_harmony.files.atomic import write_json
from edge_harmony.models.registry import MODELS, build_model, bundled_weights, find_model, has_weights
from edge_harmony.models.weights_file import read_weights, save_weights

ARCHITECTURES = ("SM86", "SM89", "SM120")
PRECISIONS = ("fp32", "fp16", "int8")
BATCHES = (1, 2, 8)
Batch = Literal["1", "1-8", "whole pipeline"]


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


def profile(batch: Batch, size: tuple[int, int]) -> Profile | None:
    """The profile of an engine whose inputs have open sizes."""
    if batch == "1":
        return None
    if batch == "whole pipeline":
        return picture_sizes(size)
    shapes = [{"composite": (n, 3, *size), "mask": (n, 1, *size)} for n in BATCHES]
    return Profile(least=shapes[0], best=shapes[1], largest=shapes[2])


def build(name: str, precision: str, weights: Path, batch: Batch, folder: Path) -> dict[str, Any]:
    """One export and an engine for every architecture."""
    row: dict[str, Any] = {"model": name, "precision": precision, "batch": batch}
    place = folder / f"{name}-{precision}-{batch}"
    try:
        onnx = export_onnx(
            name,
            weights,
            place,
            precision=precision,
            flavour="signed",
            dynamic_batch=batch == "1-8",
            whole_pipeline=batch == "whole pipeline",
        )
        row["onnx_bytes"] = onnx.stat().st_size
        for architecture in ARCHITECTURES:
            options = BuildOptions(architectures=(architecture,), profile=profile(batch, find_model(name).size))
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
            paints = find_model(name).output == "rgb"  # such a network has no whole pipeline
            for precision, batch in product(PRECISIONS, get_args(Batch)[: 2 if paints else 3]):
                rows.append(build(name, precision, weights, batch, folder))
                print(json.dumps(rows[-1]), flush=True)
    result = {**provenance("torch", "onnx", "tensorrt_rtx_cu13"), "architectures": ARCHITECTURES, "rows": rows}
    write_json(arguments.output, result)


if __name__ == "__main__":
    main()
