"""Core ML packages of every network and precision: sizes and contents, or the reason for a failure.

    python benchmarks/packages.py -o benchmarks/results/0.1.0/packages.json

It runs no package, because predictions need a Mac. Networks without shipped weights are converted with random ones.
Needs [train] and [coreml].
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from engine_builds import weights_of
from provenance import provenance

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.coreml.contents import read_contents
from edge_harmony.backends.coreml.convert import convert
from edge_harmony.backends.coreml.options import PackageOptions
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.files.atomic import size_of, write_json
from edge_harmony.models.registry import MODELS

VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "fp16": {"precision": "fp16"},
    "int8": {"precision": "int8"},
    "fp16, palettes of 6 bits": {"precision": "fp16", "options": PackageOptions(palette_bits=6)},
    "int8, whole pipeline": {"precision": "int8", "whole_pipeline": True},
}


def package(name: str, variant: str, weights: Path, folder: Path) -> dict[str, Any]:
    """One conversion."""
    row: dict[str, Any] = {"model": name, "variant": variant}
    try:
        path = convert(ExportRequest(name, **VARIANTS[variant]), weights, folder / variant)
    except EdgeHarmonyError as error:
        return row | {"refused": error.message}
    contents = read_contents(path)
    return row | {
        "bytes": size_of(path),
        "convolutions": contents.convolutions,
        "integer_convolutions": contents.integer_convolutions,
        "operations": contents.operations,
    }


def main() -> None:
    """Convert all, write."""
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
            for variant in VARIANTS:
                rows.append(package(name, variant, weights, folder))
                print(json.dumps(rows[-1]), flush=True)
    write_json(arguments.output, {**provenance("torch", "coremltools"), "rows": rows})


if __name__ == "__main__":
    main()
