"""The quality of every precision: FP32, FP16, ranges calibrated after training, and quantization-aware training.

    python benchmarks/precision.py edge-s --run runs/edge-s --data ROOT --calibration lbharmony-256 \
        -o benchmarks/results/0.1.0/precision--edge-s.json

Scores each file on the test split at native size in ONNX Runtime and OpenVINO, and compares its pictures with those of
the PyTorch network with its weights (fake-quantized for INT8). Needs a run with a quantized stage, and the extras
[train] and [openvino].
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any, get_args

import torch
from calibrating import calibrated
from provenance import provenance

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.data.iharmony4 import Triplet, read_split
from edge_harmony.files.atomic import write_json
from edge_harmony.models.registry import find_model
from edge_harmony.quality.evaluation import evaluate
from edge_harmony.quality.parity import compare
from edge_harmony.quantization.histograms import Method

COMPARED = 100
BACKENDS = ("onnxruntime", "openvino")


def score(model: str, weights: Path, precision: str, name: str, samples: list[Triplet], folder: Path) -> dict[str, Any]:
    """Quality of an artifact, and its parity with PyTorch."""
    artifact = get_backend(name).build(ExportRequest(model, precision), weights, folder / name)
    runner = load_runner(model, backend=name, precision=precision, artifact=artifact, threads=1)
    same = "int8" if precision == "int8" else "fp32"
    reference = load_runner(model, backend="pytorch", precision=same, weights=weights)
    parity = compare(runner, reference, [(sample.name, *sample.load()[:2]) for sample in samples[:COMPARED]])
    quality = evaluate(runner, samples)
    return {
        "backend": name,
        "precision": precision,
        **{key: round(quality[key], 4) for key in ("psnr", "fmse", "fpsnr", "ssim")},
        "parity_db": round(parity["psnr"], 2),
        "parity_min_db": round(parity["psnr_min"], 2),
        "bytes": artifact.stat().st_size,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--run", type=Path, required=True, help="folder of the finished run")
    parser.add_argument("--data", type=Path, required=True, help="root of the iHarmony4 layout")
    parser.add_argument("--calibration", required=True, help="calibration set")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = find_model(arguments.model).name
    trained, floats = arguments.run / f"{model}.safetensors", arguments.run / f"{model}-float.safetensors"
    samples = read_split(arguments.data, "test")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        jobs = [(trained, "quantization-aware", precision) for precision in ("fp32", "fp16", "int8")]
        jobs += [(floats, "float", precision) for precision in ("fp32", "fp16")]
        for method in get_args(Method):
            folder = Path(temporary) / method
            path = calibrated(model, floats, arguments.calibration, method, folder, arguments.data)
            jobs.append((path, f"float, calibrated by {method}", "int8"))
        for number, ((weights, training, precision), backend) in enumerate(product(jobs, BACKENDS)):
            row = {"training": training} | score(
                model, weights, precision, backend, samples, Path(temporary) / str(number)
            )
            print(json.dumps(row), flush=True)
            rows.append(row)
    result = {
        **provenance("torch", *BACKENDS),
        "model": model,
        "set": "LB-Harmony test, native size",
        "images": len(samples),
        "compared": COMPARED,
        "calibration": arguments.calibration,
        "rows": rows,
    }
    write_json(arguments.output, result)


if __name__ == "__main__":
    main()
