"""The whole pipeline as one ONNX file, compared with the pipeline: parity, time and peak memory at 512, 1080p and 4K.

    OPENBLAS_NUM_THREADS=1 python benchmarks/whole.py -o benchmarks/results/0.1.0/whole.json

Both forms of the file run: for CPUs, which multiplies by matrices, and for GPUs, which gathers pixels. Times are
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
from edge_harmony.export.onnx import export_onnx
from edge_harmony.export.prepare import Flavour
from edge_harmony.files.atomic import write_json
from edge_harmony.models.registry import bundled_weights
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.samples import sample_pictures

SIZES = {"512x512": (512, 512), "1920x1080": (1080, 1920), "3840x2160": (2160, 3840)}
MODEL, PRECISION = "edge-s", "fp32"  # in 8 bits the flavours round differently
FORMS: dict[str, Flavour] = {"products": "unsigned", "gathers": "signed"}
"""Form of the file, and the flavour that has it."""


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
    runner = load_runner(MODEL, backend="onnxruntime", precision=PRECISION, artifact=file, threads=1)
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
        files = {
            form: export_onnx(
                MODEL,
                bundled_weights(MODEL),
                Path(folder) / form,
                precision=PRECISION,
                flavour=flavour,
                whole_pipeline=True,
            )
            for form, flavour in FORMS.items()
        }
        files["pipeline"] = export_onnx(MODEL, bundled_weights(MODEL), Path(folder), precision=PRECISION)
        calls = {kind: caller(kind, file) for kind, file in files.items()}
        for name in SIZES:
            pixels, mask = picture(name)
            results = {kind: call(pixels, mask) for kind, call in calls.items()}
            difference = {form: np.abs(results[form].astype(int) - results["pipeline"]) for form in FORMS}
            samples = interleave(
                {kind: lambda c=call, p=pixels, m=mask: c(p, m) for kind, call in calls.items()},
                arguments.rounds,
                clock=time.process_time,
            )
            rows[name] = {
                **{f"{form}_largest_difference": int(different.max()) for form, different in difference.items()},
                **{f"{form}_share_beyond_1": float((different > 1).mean()) for form, different in difference.items()},
                "background_unchanged": all((results[form][mask == 0] == pixels[mask == 0]).all() for form in FORMS),
                **{f"{kind}_ms": round(float(np.median(times)), 2) for kind, times in samples.items()},
                **quartiles("products_of_pipeline", samples["products"], samples["pipeline"]),
                **quartiles("gathers_of_products", samples["gathers"], samples["products"]),
                **{f"{kind}_peak_bytes": peak(kind, name, file) for kind, file in files.items()},
            }
            print(name, json.dumps(rows[name]), flush=True)
    result = {**provenance("onnxruntime", "numpy"), "model": MODEL, "precision": PRECISION, "threads": 1}
    write_json(arguments.output, result | {"rounds": arguments.rounds, "rows": rows})


if __name__ == "__main__":
    main()
