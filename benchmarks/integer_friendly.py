"""Obstacles to 8 and 16 bits: float islands, requantizing kernels, dB of 16-bit files, and times at 256.

    python benchmarks/integer_friendly.py --files after -o after.json
    PYTHONPATH=EARLIER python benchmarks/integer_friendly.py --files before -o before.json
    python benchmarks/integer_friendly.py --files after --before before before.json \
        -o benchmarks/results/0.1.0/integer-friendly.json

The first form keeps the files that it measures. To compare with an earlier version of the package, run it with that
version on the path; then the files of both are timed in one interleaved run. Needs no GPU and no Mac, but the extras
[train], [openvino], [tensorrt-rtx] and [coreml].
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kernels import build_kernels, count
from measuring import interleave, quartiles, square_foreground
from numpy.typing import NDArray
from provenance import provenance
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from edge_harmony.backends.base import ExportRequest, Runner
from edge_harmony.backends.coreml.contents import read_contents
from edge_harmony.backends.coreml.convert import convert
from edge_harmony.backends.discovery import load_runner
from edge_harmony.backends.onnxruntime.rules import LAYERS
from edge_harmony.export.onnx import export_onnx
from edge_harmony.files.atomic import write_json
from edge_harmony.inspection.graph import read_graph
from edge_harmony.inspection.layers import report_layers
from edge_harmony.models.registry import bundled_weights
from edge_harmony.models.weights_file import read_weights, restore
from edge_harmony.pictures.metrics import mse, psnr_of
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.quality.parity import compare
from edge_harmony.samples import sample_pictures

SIZE = (256, 256)
MODELS = ("edge-n", "edge-s", "edge-m")
TIMED = (("fp32", "onnxruntime"), ("int8", "onnxruntime"), ("fp32", "openvino"), ("int8", "openvino"))


class RoundedToHalf(TorchDispatchMode):
    """Rounds every float result to the nearest 16-bit number; sums within an operation stay in 32 bits."""

    def __torch_dispatch__(self, function: Any, kinds: Any, arguments: Any = (), keywords: Any = None) -> Any:
        result = function(*arguments, **(keywords or {}))
        return tree_map(
            lambda t: t.half().float() if isinstance(t, torch.Tensor) and t.is_floating_point() else t, result
        )


def onnx_islands(path: Path) -> dict[str, int]:
    """Connected groups of float operators between the layers of a file, and how many operators are in them."""
    rows = [row for row in report_layers(read_graph(path), LAYERS) if "island" in row.name]
    return {"islands": len(rows), "operators": sum(int(row.reason.split()[0]) for row in rows)}


def coreml_islands(package: Path) -> dict[str, int]:
    """Connected groups of operations that a package computes in 32 bits, and how many operations are in them."""
    islands = read_contents(package).islands
    return {"islands": len(islands), "operations": sum(map(len, islands))}


def masks(mask: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Masks at working size: ordinary, full, empty, one pixel, and all but one pixel."""
    one = np.zeros(SIZE, np.float32)
    one[SIZE[0] // 2, SIZE[1] // 3] = 1
    return {
        "ordinary": mask,
        "full": np.ones_like(one),
        "empty": np.zeros_like(one),
        "one": one,
        "all-but-one": 1 - one,
    }


def in_sixteen_bits(network: nn.Module) -> dict[str, float | None]:
    """dB between pictures of a network in 32 bits and with every operation rounded to 16, for every kind of mask.

    The transform is applied to all pixels, because with an empty mask no difference would show. 99 if no level differs;
    None if the transform is not finite.
    """
    _, pixels, given = next(iter(sample_pictures()))
    small, ordinary = to_working_size(np.ascontiguousarray(pixels), given, SIZE)
    picture = np.ascontiguousarray(np.rint(small[0].transpose(1, 2, 0) * 255).astype(np.uint8))
    everywhere = np.ones(SIZE, np.float32)
    values: dict[str, float | None] = {}
    for name, mask in masks(ordinary[0, 0]).items():
        inputs = torch.from_numpy(small), torch.from_numpy(mask)[None, None]
        with torch.no_grad():
            exact = network(*inputs)
            with RoundedToHalf():
                rounded = network(*inputs)
        if not bool(rounded.isfinite().all()):
            values[name] = None
            continue
        ours, theirs = (apply_grid(picture, everywhere, grid[0].numpy()) for grid in (rounded, exact))
        values[name] = round(min(psnr_of(mse(ours, theirs)), 99.0), 1)
    return values


def measure(model: str, folder: Path) -> dict[str, Any]:
    """Export a network in every form, and count."""
    weights = bundled_weights(model)
    files = {p: export_onnx(model, weights, folder, precision=p) for p in ("fp32", "fp16", "int8")}  # type: ignore[arg-type]
    signed = export_onnx(
        model, weights, folder / "signed", precision="int8", flavour="signed", dynamic_batch=False, size=SIZE
    )
    fp32, fp16 = (runner(model, precision, "onnxruntime", files[precision]) for precision in ("fp32", "fp16"))
    pictures = [(name, pixels, mask) for name, pixels, mask in sample_pictures()]
    return {
        "onnx_int8": onnx_islands(files["int8"]),
        "coreml_int8": coreml_islands(convert(ExportRequest(model, "int8", size=SIZE), weights, folder)),
        "rtx_int8": count(build_kernels(signed)),
        "fp16_db": round(compare(fp16, fp32, pictures)["psnr"], 1),
        "sixteen_bits_db": in_sixteen_bits(restore(model, read_weights(weights))),
    }


def runner(model: str, precision: str, backend: str, path: Path) -> Runner:
    """A file, loaded on one thread."""
    return load_runner(model, backend=backend, precision=precision, artifact=path, threads=1)


def times(folders: dict[str, Path], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of every file of every version in one interleaved run, with ratios to the earlier version."""
    composite, mask = square_foreground()
    calls, keys = {}, list(product(MODELS, TIMED))
    for (model, (precision, backend)), (version, folder) in product(keys, folders.items()):
        path = folder / f"{model}-{SIZE[0]}x{SIZE[1]}-{precision}.onnx"
        loaded = runner(model, precision, backend, path)
        calls[f"{model} {precision} {backend} {version}"] = lambda r=loaded: r.infer(composite, mask)
    samples = interleave(calls, rounds)
    rows: dict[str, dict[str, float]] = {}
    for model, (precision, backend) in keys:
        name = f"{model} {precision} {backend}"
        row = {f"{version}_ms": round(float(np.median(samples[f"{name} {version}"])), 2) for version in folders}
        if "before" in folders:
            row |= quartiles("ratio", samples[f"{name} after"], samples[f"{name} before"])
        rows[name] = row
    return rows


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=Path, required=True, help="folder for the measured files")
    parser.add_argument(
        "--before", type=Path, nargs=2, metavar=("FILES", "RESULT"), help="files and result of an earlier version"
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for model in MODELS:
        rows[model] = measure(model, arguments.files)
        print(model, json.dumps(rows[model]), flush=True)
    result: dict[str, Any] = {
        **provenance("torch", "onnxruntime", "openvino", "tensorrt-rtx-cu13", "coremltools"),
        "size": list(SIZE),
        "rows": {"after": rows},
    }
    if arguments.before:
        folder, earlier = arguments.before
        result["rows"]["before"] = json.loads(earlier.read_text())["rows"]["after"]
        folders = {"before": folder, "after": arguments.files}
        result |= {"rounds": arguments.rounds, "threads": 1, "times": times(folders, arguments.rounds)}
        print(json.dumps(result["times"], indent=1))
    write_json(arguments.output, result)


if __name__ == "__main__":
    main()
