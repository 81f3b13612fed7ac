"""Core ML packages of every network and kind: size, contents, and agreement with PyTorch and ONNX Runtime.

    python benchmarks/packages.py -o benchmarks/results/0.1.0/packages.json

Rows in the file that were measured with these weights and this coremltools are kept, so a stopped run can go on. It
interprets the packages (backend coreml-reference), because predictions of Core ML need a Mac: the times are no
measure. Networks without shipped weights are converted with random ones. Needs [train] and [coreml].
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from engine_builds import weights_of
from numpy.typing import NDArray
from provenance import provenance

from edge_harmony.backends.base import ExportRequest, LoadRequest, Runner
from edge_harmony.backends.coreml.contents import read_contents
from edge_harmony.backends.coreml.convert import convert
from edge_harmony.backends.coreml.options import PackageOptions, Size
from edge_harmony.backends.coreml.reference import CoreMLReferenceBackend
from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.export.onnx import export_onnx
from edge_harmony.files.atomic import sha256_of, size_of, write_json
from edge_harmony.files.manifest import IOSpec
from edge_harmony.models.registry import MODELS, find_model
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.quality.parity import compare
from edge_harmony.samples import sample_pictures

IMAGES = PackageOptions(inputs="image")
SIZES = PackageOptions(minimum="iOS18", more_sizes=((192, 256), (256, 192)))
PALETTES = PackageOptions(palette_bits=6)
VARIANTS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "fp16": {"precision": "fp16"},
    "int8": {"precision": "int8"},
    "int8, pictures": {"precision": "int8", "options": IMAGES},
    "int8, three sizes": {"precision": "int8", "options": SIZES},
    "fp16, palettes of 6 bits": {"precision": "fp16", "options": PALETTES},
    "fp16, whole pipeline": {"precision": "fp16", "whole_pipeline": True},
    "int8, whole pipeline": {"precision": "int8", "whole_pipeline": True},
}
PICTURES: tuple[Size, ...] = ((256, 256), (300, 401), (720, 480))
"""Of whole pipelines: height and width."""


class AtSize(Runner):
    """A runner at another working size of its own.

    Args:
        runner: whose network takes this size.
        size: height and width.
    """

    def __init__(self, runner: Runner, size: Size) -> None:
        self._runner = runner
        self._spec = runner.io_spec.model_copy(update={"height": size[0], "width": size[1]})

    @property
    def io_spec(self) -> IOSpec:
        """See :class:`edge_harmony.backends.base.Runner`."""
        return self._spec

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        return self._runner.infer(composite, mask)


def package(name: str, variant: str, weights: Path, folder: Path, pictures: int) -> dict[str, Any]:
    """One conversion, its contents, and its agreement with PyTorch and ONNX Runtime."""
    row: dict[str, Any] = {"model": name, "variant": variant, "weights_sha256": sha256_of(weights)}
    request = ExportRequest(name, **VARIANTS[variant])
    try:
        path = convert(request, weights, folder / variant)
    except EdgeHarmonyError as error:
        return row | {"refused": error.message}
    contents = read_contents(path)
    row |= {
        "bytes": size_of(path),
        "convolutions": contents.convolutions,
        "integer_convolutions": contents.integer_convolutions,
        "operations": contents.operations,
        "islands": len(contents.islands),
        "wide_operations": sum(map(len, contents.islands)),
    }
    ours = CoreMLReferenceBackend().load(LoadRequest(name, request.precision, artifact=path))
    reference = "int8" if request.precision == "int8" else "fp32"  # int8: fake-quantized
    with closing(ours), load_runner(name, backend="pytorch", precision=reference, weights=weights) as theirs:
        if request.whole_pipeline:
            return row | {"levels": list(whole(ours, theirs))}
        onnx = exported(name, weights, folder / "onnx", request.precision)
        samples = list(sample_pictures())[:pictures]
        options: PackageOptions = request.options or PackageOptions()
        sizes = [find_model(name).size, *options.more_sizes]
        row["pytorch"] = [parity(AtSize(ours, size), AtSize(theirs, size), samples) for size in sizes]
        with load_runner(artifact=onnx) as runtime:
            row["onnxruntime"] = [parity(ours, runtime, samples)]
    return row


@cache
def exported(name: str, weights: Path, folder: Path, precision: str) -> Path:
    """The ONNX file that packages of a precision are compared with."""
    return export_onnx(name, weights, folder, precision=precision)  # type: ignore[arg-type]


def parity(ours: Runner, theirs: Runner, samples: Sequence[Any]) -> dict[str, Any]:
    """Mean and least PSNR of the foreground in dB, and the largest difference in levels."""
    found = compare(ours, theirs, samples)
    return {
        "size": [ours.io_spec.height, ours.io_spec.width],
        "psnr": round(found["psnr"], 1),
        "psnr_min": round(found["psnr_min"], 1),
        "levels": found["max_level_difference"],
    }


def whole(ours: Runner, theirs: Runner) -> Iterator[dict[str, Any]]:
    """Differences in levels between a package and the pipeline around the network in PyTorch."""
    _, pixels, mask = next(iter(sample_pictures()))
    for height, width in PICTURES:
        picture = cv2.resize(np.ascontiguousarray(pixels), (width, height))
        soft = np.rint(cv2.resize(mask, (width, height)) * 255).astype(np.uint8)
        made, expected = (harmonize_pixels(runner, picture, soft).astype(int) for runner in (ours, theirs))
        apart = np.abs(made - expected)
        yield {"size": [height, width], "largest": int(apart.max()), "beyond_one": float((apart > 1).mean())}


def main() -> None:
    """Convert and compare all, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--pictures", type=int, default=3, help="shipped samples to compare on")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    origin = provenance("torch", "coremltools", "onnxruntime") | {"pictures": arguments.pictures}
    earlier = json.loads(arguments.output.read_text()) if arguments.output.is_file() else {"rows": []}
    usable = all(earlier.get(key) == origin[key] for key in ("versions", "pictures"))
    kept = {(row["model"], row["variant"], row.get("weights_sha256")): row for row in earlier["rows"] if usable}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.models:
            folder = Path(temporary) / name
            folder.mkdir()
            weights = weights_of(name, folder)
            for variant in VARIANTS:
                began = time.monotonic()
                known = kept.get((name, variant, sha256_of(weights)))
                rows.append(known or package(name, variant, weights, folder, arguments.pictures))
                write_json(arguments.output, origin | {"rows": rows})
                shown = {key: value for key, value in rows[-1].items() if key != "operations"}
                print(json.dumps(shown), f"{time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
