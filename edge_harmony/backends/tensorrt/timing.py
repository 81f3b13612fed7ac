"""Timing an engine as trtexec does: what is queued, when, and how long each part took."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_harmony.backends.tensorrt.profiling import LayerTimes, profile
from edge_harmony.files.atomic import atomic_write

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.engine import Context, Engine

PERCENTILES = (90.0, 95.0, 99.0)
_ENQUEUE_BOUND = 0.8  # of the GPU's time, above which trtexec warns
_UNSTABLE = 0.025  # coefficient of variation of the GPU's time, above which trtexec warns


@dataclass(frozen=True)
class TimedQuery:
    """One query, in milliseconds since the first one began, under trtexec's names.

    Attributes:
        startEnqMs: the host begins to queue.
        endEnqMs: the host has queued.
        startInMs: the copy in begins.
        endInMs: the copy in ends.
        startComputeMs: the network begins.
        endComputeMs: the network ends.
        startOutMs: the copy out begins.
        endOutMs: the copy out ends.
    """

    startEnqMs: float
    endEnqMs: float
    startInMs: float
    endInMs: float
    startComputeMs: float
    endComputeMs: float
    startOutMs: float
    endOutMs: float

    @property
    def parts(self) -> dict[str, float]:
        """Durations by trtexec's names; latency is H2D, compute and D2H together."""
        copy_in, compute = self.endInMs - self.startInMs, self.endComputeMs - self.startComputeMs
        copy_out = self.endOutMs - self.startOutMs
        return {
            "latencyMs": copy_in + compute + copy_out,
            "enqMs": self.endEnqMs - self.startEnqMs,
            "h2dMs": copy_in,
            "computeMs": compute,
            "d2hMs": copy_out,
        }


@dataclass(frozen=True)
class TimingOptions:
    """How long and how; defaults are trtexec's.

    Attributes:
        warm_up: milliseconds before anything counts.
        duration: seconds, at least.
        iterations: queries, at least.
        graph: capture a CUDA graph and launch that.
        spin: wait for the GPU without sleeping.
        transfers: copy inputs in and outputs out with every query.
    """

    warm_up: float = 200.0
    duration: float = 3.0
    iterations: int = 10
    graph: bool = False
    spin: bool = False
    transfers: bool = True

    @classmethod
    def of(cls, tensorrt: TensorRT) -> TimingOptions:
        """What trtexec of this version does unasked: 11 captures graphs, spins, and leaves transfers out."""
        newest = not tensorrt.is_rtx and tensorrt.version >= (11,)
        return cls(graph=newest, spin=newest, transfers=not newest)


def measure(context: Context, options: TimingOptions) -> list[TimedQuery]:
    """Query again and again.

    Raises:
        CapabilityError: graphs were asked for and the CUDA package has none.
    """
    cuda = context.cuda
    cuda.activate()
    context.copy_in()
    context.enqueue()
    context.synchronize()
    if options.graph:
        context.capture()
    events: list[int] = []
    samples: list[TimedQuery] = []
    try:
        for last in (False, False, False, False, True):
            events.append(cuda.create_event(blocking=last and not options.spin))
        origin, start_in, start_compute, start_out, end_out = events
        began = time.perf_counter()
        cuda.record(origin, context.stream)
        counted_from = began + options.warm_up / 1e3
        while True:
            before = time.perf_counter()
            cuda.record(start_in, context.stream)
            if options.transfers:
                context.copy_in()
            cuda.record(start_compute, context.stream)
            queued = time.perf_counter()
            context.enqueue()
            enqueued = time.perf_counter()
            cuda.record(start_out, context.stream)
            if options.transfers:
                context.copy_out()
            cuda.record(end_out, context.stream)
            cuda.wait(end_out)
            if before < counted_from:
                continue
            marks = [cuda.elapsed(origin, event) for event in events[1:]]
            start, end = (1e3 * (moment - began) for moment in (queued, enqueued))
            samples.append(TimedQuery(start, end, marks[0], marks[1], marks[1], marks[2], marks[2], marks[3]))
            now = time.perf_counter()
            if now - counted_from >= options.duration and len(samples) >= options.iterations:
                return samples
    finally:
        for event in events:
            cuda.destroy_event(event)


@dataclass(frozen=True)
class Timed:
    """What a run gave.

    Attributes:
        samples: one per query.
        batch: pictures per query.
        memory: bytes of scratch memory on the device.
        layers: time of every layer, where it was asked for.
        information: the inspector's JSON, where it was asked for.
    """

    samples: list[TimedQuery]
    batch: int
    memory: int
    layers: LayerTimes | None
    information: str | None


def time_engine(
    engine: Engine,
    options: TimingOptions,
    shapes: dict[str, tuple[int, ...]] | None = None,
    *,
    profiled: int = 0,
    inspected: bool = False,
) -> Timed:
    """Run an engine again and again on noise.

    Args:
        engine: a loaded one.
        options: how long and how.
        shapes: of the inputs, where the engine's are open; by default the largest.
        profiled: runs with TensorRT's profiler attached, after the others; 0 for none.
        inspected: ask the inspector.

    Raises:
        InputError: a shape is outside the engine's profile.
        CapabilityError: no memory, or graphs are asked for and the CUDA package has none.
    """
    dice = np.random.default_rng(0)
    with contextlib.closing(engine.context()) as context:
        context.resize(shapes or {})
        for buffer in context.inputs:
            largest = 1.0 if buffer.dtype.kind == "f" else 128.0
            buffer.array[...] = (largest * dice.random(buffer.shape)).astype(buffer.dtype)
        batch = context.inputs[0].shape[0] if context.inputs and context.inputs[0].shape else 1
        samples = measure(context, options)
    layers = profile(engine, shapes or {}, profiled) if profiled else None
    return Timed(samples, batch, engine.device_memory, layers, engine.information() if inspected else None)


def summarize(samples: Sequence[TimedQuery], batch: int, percentiles: Sequence[float] = PERCENTILES) -> dict[str, Any]:
    """Throughput in queries per second, and min, max, mean, median and percentiles of every part, in milliseconds."""
    wall = (max(s.endOutMs for s in samples) - min(s.startInMs for s in samples)) / 1e3
    result: dict[str, Any] = {"queries": len(samples), "throughput_qps": len(samples) / wall, "images_per_second": 0.0}
    result["images_per_second"] = result["throughput_qps"] * batch
    for part in samples[0].parts:
        values = np.array([sample.parts[part] for sample in samples])
        result[part] = {
            "min": float(values.min()),
            "max": float(values.max()),
            "mean": float(values.mean()),
            "median": float(np.median(values)),
            **{f"p{p:g}": float(np.percentile(values, p)) for p in percentiles},
        }
    return result


def warnings_of(samples: Sequence[TimedQuery]) -> list[str]:
    """What trtexec would warn about."""
    compute = np.array([sample.parts["computeMs"] for sample in samples])
    enqueue = np.array([sample.parts["enqMs"] for sample in samples])
    said = []
    if np.median(enqueue) > _ENQUEUE_BOUND * np.median(compute):
        said.append(
            "throughput may be bound by enqueuing rather than by the GPU: try --useCudaGraph, or larger batches"
        )
    variation = float(compute.std() / compute.mean()) if compute.mean() else 0.0
    if variation > _UNSTABLE:
        said.append(
            f"GPU compute time is unstable (coefficient of variation {100 * variation:.1f} %): "
            "lock the clocks (jetson_clocks, nvidia-smi -lgc)"
        )
    return said


def export_times(samples: Sequence[TimedQuery], path: Path) -> None:
    """Every query in the format of trtexec's ``--exportTimes``."""
    rows = [asdict(sample) | sample.parts for sample in samples]
    atomic_write(path, (json.dumps(rows, indent=1) + "\n").encode())
