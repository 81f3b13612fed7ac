"""Latency of networks alone, side by side in one run, as ratios with their spread.

    OPENBLAS_NUM_THREADS=1 python benchmarks/latency.py --threads 1 -o benchmarks/results/0.1.0/latency--1-thread.json

Every round times every contender once, in a new order, so that a slow moment of the machine slows all of them. Needs
the extra [train].
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from measuring import interleave, quartiles, square_foreground
from provenance import provenance

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.files.atomic import write_json
from edge_harmony.models.registry import MODELS, build_model, bundled_weights, find_model, has_weights
from edge_harmony.models.weights_file import read_weights, save_weights

_SETTLE = 0.05  # seconds
BASELINE = "hdnet-lite fp32 pytorch"


def networks(folder: Path, threads: int) -> dict[str, Callable[[], object]]:
    """Functions that call a network at its own size, batch 1: shipped weights on every runtime in every precision, and
    HDNet-lite.

    HDNet-lite has random weights if none are shipped; its time does not depend on them.
    """
    torch.manual_seed(0)
    weights = {name: bundled_weights(name) for name in MODELS if has_weights(name)}
    if "hdnet-lite" not in weights:
        weights["hdnet-lite"] = folder / "hdnet-lite.safetensors"
        save_weights(weights["hdnet-lite"], build_model("hdnet-lite"), name="hdnet-lite")
    calls: dict[str, Callable[[], object]] = {}
    for model, path in weights.items():
        inputs = square_foreground(find_model(model).size[0])
        runner = load_runner(model, backend="pytorch", precision="fp32", weights=path, threads=threads)
        calls[f"{model} fp32 pytorch"] = lambda r=runner, given=inputs: r.infer(*given)
        precisions = ("fp32", "fp16", "int8") if read_weights(path).ranges else ("fp32",)
        for name, precision in product(("onnxruntime", "openvino"), precisions):
            artifact = get_backend(name).build(ExportRequest(model, precision), path, folder / name / precision)
            runner = load_runner(model, backend=name, precision=precision, artifact=artifact, threads=threads)
            calls[f"{model} {precision} {name}"] = lambda r=runner, given=inputs: r.infer(*given)
    return calls


def network_rows(samples: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median milliseconds, and the speed relative to HDNet-lite in PyTorch and to the network's own FP32."""
    rows = {}
    for name, times in samples.items():
        model, _, backend = name.split(" ")
        rows[name] = {"median_ms": round(float(np.median(times)), 3)}
        rows[name] |= quartiles("times_faster", samples[BASELINE], times)
        rows[name] |= quartiles("times_faster_than_fp32", samples[f"{model} fp32 {backend}"], times)
    return rows


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settle = 0.0 if arguments.threads == 1 else _SETTLE
    with tempfile.TemporaryDirectory() as folder:
        network = interleave(networks(Path(folder), arguments.threads), arguments.rounds, settle=settle)
    result = {
        **provenance("torch", "onnxruntime", "openvino", "numpy"),
        "threads": arguments.threads,
        "settle_seconds": settle,
        "rounds": arguments.rounds,
        "network": network_rows(network),
    }
    write_json(arguments.output, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
