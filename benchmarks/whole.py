"""The whole pipeline as one ONNX file, compared with the pipeline: parity, time and peak memory at 512, 1080p and 4K.

    OPENBLAS_NUM_THREADS=1 python benchmarks/whole.py -o benchmarks/results/0.1.0/whole.json

Beside it stands its form of before decision 17, which multiplies by matrices where it now gathers pixels. Times are
interleaved in one run, and those of the process on the CPU. Memory is the increase of a process's peak by a picture,
after a small one (Linux). Needs the extra [train].
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import torch
from measuring import interleave, quartiles
from provenance import provenance

from edge_harmony.backends.discovery import load_runner
from edge_harmony.export.onnx import DEFAULT_OPSET, export_onnx, trace_whole
from edge_harmony.export.prepare import exportable
from edge_harmony.export.unsigned import to_unsigned, unshare_zero_points
from edge_harmony.files.atomic import atomic_write, write_json
from edge_harmony.models.registry import bundled_weights, find_model
from edge_harmony.models.weights_file import read_weights
from edge_harmony.models.whole_pipeline import WholePipeline, area_weights, bilinear_weights
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.samples import sample_pictures

SIZES = {"512x512": (512, 512), "1920x1080": (1080, 1920), "3840x2160": (2160, 3840)}
MODEL, PRECISION = "edge-s", "int8"
FORMS = ("whole", "products")


class Products(WholePipeline):
    """The whole pipeline with matrix products, as files had it before ``docs/decisions/0017``."""

    def forward(self, picture: torch.Tensor, mask: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        """Harmonize a picture; shapes are those of the base class."""
        height, width = mask.shape
        levels, weight = picture.float(), mask.float() / 255
        rows, columns = area_weights(self.size[0], height), area_weights(self.size[1], width).transpose(0, 1)
        narrow = (rows @ levels.reshape(height, width * 3)).reshape(self.size[0], width, 3).permute(2, 0, 1)
        grid = self._predict(narrow @ columns, rows @ weight @ columns, strength)
        up, across = bilinear_weights(grid.shape[1], height).transpose(0, 1), bilinear_weights(grid.shape[2], width)
        planes = [levels[..., channel] for channel in range(3)]
        return torch.stack(self._paint(planes, weight, lambda index: up @ grid[index] @ across), 2).to(torch.uint8)


def export_products(folder: Path) -> Path:
    """The file of :class:`Products`."""
    network = exportable(MODEL, read_weights(bundled_weights(MODEL)), PRECISION, ())
    proto = trace_whole(Products(network, find_model(MODEL).size), opset=DEFAULT_OPSET)
    path = folder / "products.onnx"
    atomic_write(path, to_unsigned(unshare_zero_points(proto)).SerializeToString())
    return path


def picture(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A sample photograph, resized, with a foreground of one third."""
    height, width = SIZES[name]
    _, pixels, _ = next(iter(sample_pictures()))
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 3 : 2 * width // 3] = 255
    return cv2.resize(np.ascontiguousarray(pixels), (width, height)), mask


def caller(kind: str, file: Path) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The function that harmonizes, with a file or with the pipeline."""
    if kind in FORMS:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        strength = np.array(1, np.float32)
        return lambda p, m: session.run(None, {"picture": p, "mask": m, "strength": strength})[0]
    runner = load_runner(MODEL, backend="onnxruntime", precision=PRECISION, threads=1)
    return lambda p, m: harmonize_pixels(runner, p, m)


def peak(kind: str, name: str, file: Path) -> int:
    """Bytes that harmonizing one picture adds to the peak of a process; runs this script in a new process."""
    command = [sys.executable, __file__, "--child", kind, name, "-o", str(file)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def child(kind: str, name: str, file: Path) -> None:
    """Harmonize one picture, and print by how much the peak has grown."""
    cv2.setNumThreads(1)
    pixels, mask = picture(name)
    call = caller(kind, file)
    call(pixels[:256, :256].copy(), np.full((256, 256), 255, np.uint8))
    before = high_water()
    call(pixels, mask)
    print(high_water() - before)


def high_water() -> int:
    """Peak memory of this process in bytes; unlike ``ru_maxrss`` it does not begin with its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child, arguments.output)
        return
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        whole = export_onnx(MODEL, bundled_weights(MODEL), Path(folder), precision=PRECISION, whole_pipeline=True)
        files = {"pipeline": whole, "whole": whole, "products": export_products(Path(folder))}
        calls = {kind: caller(kind, file) for kind, file in files.items()}
        for name in SIZES:
            pixels, mask = picture(name)
            results = {kind: call(pixels, mask) for kind, call in calls.items()}
            difference = np.abs(results["whole"].astype(int) - results["pipeline"])
            samples = interleave(
                {kind: lambda c=call, p=pixels, m=mask: c(p, m) for kind, call in calls.items()},
                arguments.rounds,
                clock=time.process_time,
            )
            rows[name] = {
                "largest_difference": int(difference.max()),
                "share_beyond_1": float((difference > 1).mean()),
                "background_unchanged": bool((results["whole"][mask == 0] == pixels[mask == 0]).all()),
                **{f"{kind}_ms": round(float(np.median(times)), 2) for kind, times in samples.items()},
                **quartiles("of_pipeline", samples["whole"], samples["pipeline"]),
                **quartiles("of_products", samples["whole"], samples["products"]),
                **{f"{kind}_peak_bytes": peak(kind, name, file) for kind, file in files.items()},
            }
            print(name, json.dumps(rows[name]), flush=True)
    result = {**provenance("onnxruntime", "numpy"), "model": MODEL, "precision": PRECISION, "threads": 1}
    write_json(arguments.output, result | {"rounds": arguments.rounds, "rows": rows})


if __name__ == "__main__":
    main()
