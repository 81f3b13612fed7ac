"""The quality of every precision of weights with ranges, and of their ranges calibrated anew by every method.

    python benchmarks/precision.py edge-s --data ROOT --calibration lbharmony-256 \
        -o benchmarks/results/0.1.0/precision--edge-s.json

Scores each file on the test split, sealed by 2, at native size in ONNX Runtime and OpenVINO, and compares its pictures
with those of the PyTorch network with its weights (fake-quantized for INT8). Rows in the file that were measured with
these weights are kept, so a stopped run can go on. Needs the extras [train] and [openvino].
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

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.data.iharmony4 import Triplet, read_split
from edge_harmony.files.atomic import sha256_of, write_json
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import resolve_weights
from edge_harmony.quality.evaluation import evaluate
from edge_harmony.quality.parity import compare
from edge_harmony.quality.preparation import SEALED

COMPARED = 100
BACKENDS = ("onnxruntime", "openvino")
OWN = "their own"
RANGES = {
    "min-max": ("min-max", ()),
    "percentile 99.9": ("percentile", ("--percentile", "99.9")),
    "percentile 99.99": ("percentile", ("--percentile", "99.99")),
    "mse": ("mse", ()),
    "entropy": ("entropy", ()),
}
JOBS = [(OWN, precision) for precision in ("fp32", "fp16", "int8")] + [(ranges, "int8") for ranges in RANGES]


def score(model: str, weights: Path, precision: str, name: str, samples: list[Triplet], folder: Path) -> dict[str, Any]:
    """Quality of an artifact, and its parity with PyTorch."""
    artifact = get_backend(name).build(ExportRequest(model, precision), weights, folder)
    same = "int8" if precision == "int8" else "fp32"
    with (
        load_runner(model, backend=name, precision=precision, artifact=artifact, threads=1) as runner,
        load_runner(model, backend="pytorch", precision=same, weights=weights) as reference,
    ):
        parity = compare(runner, reference, [(sample.name, *sample.load()[:2]) for sample in samples[:COMPARED]])
        harm = evaluate(runner, samples, preparation=SEALED)["harm"]
    return {
        **{key: round(harm[key], 4) for key in ("gain", "worse", "no_change")},
        "parity_db": round(parity["psnr"], 2),
        "parity_min_db": round(parity["psnr_min"], 2),
        "bytes": artifact.stat().st_size,
    }


def main() -> None:
    """Measure what is missing and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--weights", type=Path, help="weights with ranges; by default the shipped ones")
    parser.add_argument("--data", type=Path, required=True, help="root of the iHarmony4 layout")
    parser.add_argument("--calibration", required=True, help="calibration set")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, weights = find_model(arguments.model).name, resolve_weights(arguments.model, arguments.weights)
    samples = read_split(arguments.data, "test")
    facts = {"model": model, "weights_sha256": sha256_of(weights), "calibration": arguments.calibration}
    found = json.loads(arguments.output.read_text()) if arguments.output.is_file() else {}
    rows: list[dict[str, Any]] = found["rows"] if facts.items() <= found.items() else []
    done = {(row["ranges"], row["precision"], row["backend"]) for row in rows}
    for (ranges, precision), backend in product(JOBS, BACKENDS):
        if (ranges, precision, backend) in done:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder, source = Path(temporary), weights
            if ranges != OWN:
                method, options = RANGES[ranges]
                source = calibrated(model, weights, arguments.calibration, method, folder, arguments.data, options)
            row = {"ranges": ranges, "precision": precision, "backend": backend}
            rows.append(row | score(model, source, precision, backend, samples, folder / backend))
        print(json.dumps(rows[-1]), flush=True)
        result = {
            **provenance("torch", *BACKENDS),
            **facts,
            "set": "LB-Harmony test, sealed by 2, native size",
            "images": len(samples),
            "compared": COMPARED,
            "rows": rows,
        }
        write_json(arguments.output, result)


if __name__ == "__main__":
    main()
