"""What trtexec says of timed queries: its figures, its warnings, and the files that it writes.

The figures and the keys are those of ``sampleReporting.cpp`` in NVIDIA's TensorRT samples (release 10.16).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.tensorrt.timing import TimedQuery
from edge_harmony.files.atomic import atomic_write

PERCENTILES = (90.0, 95.0, 99.0)
_ENQUEUE_BOUND = 0.8  # of the GPU's time, above which trtexec warns
_UNSTABLE = 0.025  # coefficient of variation of the GPU's time, above which trtexec warns


def summarize(samples: Sequence[TimedQuery], batch: int, percentiles: Sequence[float] = PERCENTILES) -> dict[str, Any]:
    """Throughput in queries per second, and min, max, mean, median and percentiles of every part, in milliseconds."""
    wall = (max(s.endD2hMs for s in samples) - min(s.startH2dMs for s in samples)) / 1e3
    rate = len(samples) / wall if wall else 0.0
    result: dict[str, Any] = {"queries": len(samples), "throughput_qps": rate, "images_per_second": rate * batch}
    for part in samples[0].parts:
        values = np.sort([sample.parts[part] for sample in samples])
        result[part] = {
            "min": float(values[0]),
            "max": float(values[-1]),
            "mean": float(values.mean()),
            "median": float(np.median(values)),
            **{f"p{p:g}": _percentile(values, p) for p in percentiles},
        }
    return result


def _percentile(ascending: NDArray[np.float64], percentile: float) -> float:
    """trtexec's percentile: a sample, never a value between two; its single precision decides which."""
    beyond = int((np.float32(1) - np.float32(percentile) / np.float32(100)) * np.float32(len(ascending)))
    return float(ascending[max(len(ascending) - 1 - beyond, 0)])


def averages(samples: Sequence[TimedQuery], runs: int) -> list[dict[str, float]]:
    """Means of the parts over every ``runs`` successive queries; what is left at the end is left out."""
    groups = [samples[k : k + runs] for k in range(0, len(samples) - runs + 1, runs)]
    return [{part: sum(s.parts[part] for s in group) / runs for part in group[0].parts} for group in groups]


def warnings_of(samples: Sequence[TimedQuery], streams: int = 1) -> list[str]:
    """What trtexec would warn about."""
    times = {part: np.array([sample.parts[part] for sample in samples]) for part in samples[0].parts}
    compute = times["computeMs"]
    said = []
    if np.median(times["enqMs"]) > _ENQUEUE_BOUND * np.median(compute):
        said.append(
            "throughput may be bound by enqueuing rather than by the GPU: try --useCudaGraph, or larger batches"
        )
    for part, what in (("h2dMs", "copies of the inputs"), ("d2hMs", "copies of the outputs")):
        if np.median(times[part]) >= np.median(compute):
            said.append(f"throughput may be bound by {what} rather than by the GPU: see --noDataTransfers")
    variation = float(compute.std() / compute.mean()) if compute.mean() else 0.0
    if variation > _UNSTABLE:
        said.append(
            f"GPU compute time is unstable (coefficient of variation {100 * variation:.1f} %): "
            "lock the clocks (jetson_clocks, nvidia-smi -lgc)"
        )
    if streams > 1:
        said.append("several contexts ran at a time: throughput is what counts, latencies include waiting")
    return said


def export_times(samples: Sequence[TimedQuery], path: Path) -> None:
    """Every query in the format of trtexec's ``--exportTimes``."""
    names = ("h2dMs", "computeMs", "d2hMs", "latencyMs")
    rows = [asdict(sample) | {name: sample.parts[name] for name in names} for sample in samples]
    atomic_write(path, (json.dumps(rows, indent=1) + "\n").encode())


def export_outputs(outputs: dict[str, NDArray[Any]], path: Path) -> None:
    """Output tensors in the format of trtexec's ``--exportOutput``."""
    rows = [
        {"name": name, "dimensions": "x".join(map(str, array.shape)), "values": array.ravel().tolist()}
        for name, array in outputs.items()
    ]
    atomic_write(path, (json.dumps(rows, indent=1) + "\n").encode())
