"""Timing an engine as trtexec does: what is queued, when, and how long each part took.

The order of calls is that of ``sampleInference.cpp`` in NVIDIA's TensorRT samples (release 10.16).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.tensorrt.cuda.api import CudaError
from edge_harmony.backends.tensorrt.profiling import LayerTimes, profile
from edge_harmony.errors import EdgeHarmonyError, InputError, UsageError

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.buffers import Buffer
    from edge_harmony.backends.tensorrt.context import Context
    from edge_harmony.backends.tensorrt.engine import Engine


@dataclass(frozen=True)
class TimedQuery:
    """One query: points in time in milliseconds since the timing began, under trtexec's names.

    Attributes:
        startEnqMs: the host begins to queue the network.
        endEnqMs: the host has queued it.
        startH2dMs: the copies of the inputs begin.
        endH2dMs: they end.
        startComputeMs: the network begins.
        endComputeMs: the network ends.
        startD2hMs: the copies of the outputs begin.
        endD2hMs: they end.
    """

    startEnqMs: float
    endEnqMs: float
    startH2dMs: float
    endH2dMs: float
    startComputeMs: float
    endComputeMs: float
    startD2hMs: float
    endD2hMs: float

    @property
    def parts(self) -> dict[str, float]:
        """Durations in milliseconds; latency is copy in, network and copy out together, without the waits between."""
        copy_in, compute = self.endH2dMs - self.startH2dMs, self.endComputeMs - self.startComputeMs
        copy_out = self.endD2hMs - self.startD2hMs
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
        iterations: queries of every context, at least.
        graph: capture a CUDA graph and launch that.
        spin: wait for the GPU without sleeping.
        transfers: copy inputs in and outputs out with every query.
        streams: execution contexts that run at a time.
        threads: give each of them a thread.
        overlap: keep two queries of a context under way, so that the copies of one overlap the network of the other.
        idle: milliseconds to sleep between queries.
    """

    warm_up: float = 200.0
    duration: float = 3.0
    iterations: int = 10
    graph: bool = False
    spin: bool = False
    transfers: bool = True
    streams: int = 1
    threads: bool = False
    overlap: bool = True
    idle: float = 0.0

    @classmethod
    def defaults(cls, tensorrt: TensorRT) -> TimingOptions:
        """What trtexec of this version does by default: 11 captures graphs, spins, and leaves transfers out."""
        newest = not tensorrt.is_rtx and tensorrt.version >= (11,)
        return cls(graph=newest, spin=newest, transfers=not newest)


class _Slot:
    """The six events of one query that is under way, and when the host queued it."""

    def __init__(self, context: Context, *, blocking: bool, held: ExitStack) -> None:
        self.events: list[int] = []
        for _ in range(6):
            self.events.append(context.cuda.create_event(blocking=blocking))
            held.callback(context.cuda.destroy_event, self.events[-1])
        self.queued = (0.0, 0.0)


class _Lane:
    """The queries of one context. Copies in, the network and copies out have a stream each."""

    def __init__(self, context: Context, options: TimingOptions, held: ExitStack) -> None:
        self._context, self._cuda, self._transfers = context, context.cuda, options.transfers
        self._streams: list[int] = []
        for _ in range(2):
            self._streams.append(self._cuda.create_stream())
            held.callback(self._cuda.destroy_stream, self._streams[-1])
        depth = 2 if options.overlap else 1
        self._idle = deque(_Slot(context, blocking=not options.spin, held=held) for _ in range(depth))
        self._under_way: deque[_Slot] = deque()

    def wait_for(self, origin: int) -> None:
        """Begin the first copy after an event."""
        self._cuda.stream_wait(self._streams[0], origin)

    def query(self) -> None:
        """Queue a query."""
        cuda, context = self._cuda, self._context
        into, compute, out = self._streams[0], context.stream, self._streams[1]
        slot = self._idle.popleft()
        events = slot.events
        if self._transfers:
            cuda.record(events[0], into)
            context.copy_in(into)
            cuda.record(events[1], into)
            cuda.stream_wait(compute, events[1])
        cuda.record(events[2], compute)
        started = time.perf_counter()
        context.enqueue()
        slot.queued = (started, time.perf_counter())
        cuda.record(events[3], compute)
        if self._transfers:
            cuda.stream_wait(out, events[3])
            cuda.record(events[4], out)
            context.copy_out(out)
            cuda.record(events[5], out)
        self._under_way.append(slot)

    def finished(self, origin: int, began: float, *, all_of_them: bool = False) -> Iterable[TimedQuery]:
        """Wait for the oldest query if no other can be queued before it ends; or for all."""
        while self._under_way and (all_of_them or not self._idle):
            slot = self._under_way.popleft()
            events = (
                slot.events if self._transfers else [*slot.events[2:3] * 2, *slot.events[2:4], *slot.events[3:4] * 2]
            )
            self._cuda.wait(events[5])
            points = [self._cuda.elapsed(origin, event) for event in events]
            self._idle.append(slot)
            yield TimedQuery(*(1e3 * (moment - began) for moment in slot.queued), *points)


def measure(contexts: Sequence[Context], options: TimingOptions) -> list[TimedQuery]:
    """Query again and again; queries of the warm-up are left out.

    Args:
        contexts: of one engine, with their inputs in place; a graph is launched where one was captured.
        options: how long and how.

    Returns:
        The queries in the order in which they began.
    """
    cuda = contexts[0].cuda
    cuda.activate()
    with ExitStack() as held:
        lanes = [_Lane(context, options, held) for context in contexts]
        for context in contexts:
            context.copy_in()
            context.enqueue()
            context.synchronize()
        origin = cuda.create_event()
        held.callback(cuda.destroy_event, origin)
        cuda.record(origin, contexts[0].stream)
        began = time.perf_counter()
        for lane in lanes:
            lane.wait_for(origin)

        def work(some: list[_Lane]) -> list[TimedQuery]:
            cuda.activate()
            return _query_again_and_again(some, options, origin, began)

        if options.threads:
            with ThreadPoolExecutor(len(lanes)) as pool:
                found = list(chain.from_iterable(pool.map(work, ([lane] for lane in lanes))))
        else:
            found = work(lanes)
    found.sort(key=lambda query: query.startH2dMs)
    first = next((k for k, query in enumerate(found) if query.startComputeMs >= options.warm_up), len(found) - 1)
    return found[first:]


def _query_again_and_again(lanes: list[_Lane], options: TimingOptions, origin: int, began: float) -> list[TimedQuery]:
    found: list[TimedQuery] = []
    passed, rounds, warming = 0.0, 0, 0
    enough = options.warm_up + 1e3 * options.duration
    while rounds < options.iterations + warming or passed < enough:
        for lane in lanes:
            lane.query()
        for lane in lanes:
            for query in lane.finished(origin, began):
                found.append(query)
                passed = max(passed, query.startComputeMs)
        rounds += 1
        if passed < options.warm_up:
            warming += passed > 0
        elif options.idle:
            time.sleep(options.idle / 1e3)
    for lane in lanes:
        found.extend(lane.finished(origin, began, all_of_them=True))
    return found


@dataclass(frozen=True)
class Timed:
    """The results of a run.

    Attributes:
        samples: one per query.
        options: those that were in force.
        batch: pictures per query.
        memory: bytes of scratch memory on the device.
        layers: time of every layer, where it was asked for.
        outputs: of the last query of the first context, by name.
        notes: what could not be done as asked.
    """

    samples: list[TimedQuery]
    options: TimingOptions
    batch: int
    memory: int
    layers: LayerTimes | None
    outputs: dict[str, NDArray[Any]]
    notes: tuple[str, ...] = ()


def time_engine(
    engine: Engine,
    options: TimingOptions,
    shapes: dict[str, tuple[int, ...]] | None = None,
    *,
    inputs: dict[str, Path] | None = None,
    profiled: int = 0,
) -> Timed:
    """Run an engine again and again.

    Args:
        engine: a loaded one.
        options: how long and how.
        shapes: of the inputs, where the engine's are open; by default the largest.
        inputs: files of raw values, in the order and type of the engine's tensor, for inputs by name; noise for others.
        profiled: runs with TensorRT's profiler attached, after the others and in a context of their own; 0 for none.

    Raises:
        UsageError: a file of values is not there.
        InputError: a shape is outside the engine's profile; a file does not fit its input.
        CapabilityError: no memory.
    """
    notes = []
    with ExitStack() as held:
        contexts = [held.enter_context(closing(engine.context())) for _ in range(options.streams)]
        for context in contexts:
            context.resize(context.largest | (shapes or {}))
            _fill(context, inputs or {})
        if options.graph:
            try:
                for context in contexts:
                    context.capture()
            except EdgeHarmonyError as error:
                if isinstance(error, CudaError) and error.is_lost:
                    raise
                options = replace(options, graph=False)
                notes.append(f"timed without a CUDA graph, which could not be captured: {error.message}")
        first = contexts[0]
        batch = first.inputs[0].shape[0] if first.inputs and first.inputs[0].shape else 1
        samples = measure(contexts, options)
        first.copy_out()
        first.synchronize()
        outputs = {buffer.name: buffer.array.copy() for buffer in first.outputs}
        scratch = first.scratch or engine.device_memory
    layers = profile(engine, shapes or {}, profiled) if profiled else None
    return Timed(samples, options, batch, scratch, layers, outputs, tuple(notes))


def _fill(context: Context, files: dict[str, Path]) -> None:
    """Values into the inputs of a context: from files, or noise within 0 and 1 (integers: 0 to 127)."""
    names = [buffer.name for buffer in context.inputs]
    unknown = sorted(files.keys() - set(names))
    if unknown:
        raise UsageError(f"--loadInputs names {unknown[0]}, which is no input", f"inputs are {', '.join(names)}")
    dice = np.random.default_rng(0)
    for buffer in context.inputs:
        if buffer.name in files:
            buffer.array[...] = _read_values(files[buffer.name], buffer)
        else:
            largest = 1.0 if buffer.dtype.kind == "f" else 128.0
            buffer.array[...] = (largest * dice.random(buffer.array.shape)).astype(buffer.dtype)


def _read_values(path: Path, buffer: Buffer) -> NDArray[Any]:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "check the path of --loadInputs")
    content = path.read_bytes()
    if len(content) != buffer.size:
        shape = "x".join(map(str, buffer.shape))
        raise InputError(
            f"{path} has {len(content)} bytes, and {buffer.name} ({shape}, {buffer.dtype}) has {buffer.size}",
            "write the raw values in C order: array.tofile(path)",
        )
    return np.frombuffer(content, buffer.dtype).reshape(buffer.array.shape)
