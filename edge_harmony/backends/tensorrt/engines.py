"""ONNX files to TensorRT engines: checked before the build, taken from the cache where nothing changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edge_harmony.backends.tensorrt.bridge import find_tensorrt
from edge_harmony.backends.tensorrt.builder import Built, build_plan
from edge_harmony.backends.tensorrt.calibrator import Algorithm, Batch, Feeder, make_calibrator
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.backends.tensorrt.plan import EngineFacts, cached, facts_of, write_plan
from edge_harmony.backends.tensorrt.rules import REFUSALS
from edge_harmony.errors import ArtifactError, UsageError, name_some
from edge_harmony.files.atomic import sha256_of
from edge_harmony.inspection.graph import Graph, read_graph
from edge_harmony.inspection.refusals import find_refusals
from edge_harmony.pictures.working_size import to_working_size

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.cuda.api import Cuda, Device
    from edge_harmony.backends.tensorrt.logger import Log
    from edge_harmony.data.calibration_set import CalibrationSet

_INPUTS = {"composite": 3, "mask": 1}


@dataclass(frozen=True)
class CalibrationRequest:
    """Implicit INT8 of weak mode: what to calibrate on.

    Attributes:
        pictures: a verified set.
        root: where its files lie.
        algorithm: TensorRT's.
        cache: file of what an earlier build counted.
        cuda: for the batches' memory.
    """

    pictures: CalibrationSet
    root: Path
    algorithm: Algorithm
    cache: Path | None
    cuda: Cuda

    @property
    def identity(self) -> str:
        """What decides the ranges; part of the engine's identity."""
        if self.is_finished:
            return f"cache {sha256_of(cast(Path, self.cache))}"
        return f"{self.algorithm} {self.pictures.sha256}"

    @property
    def is_finished(self) -> bool:
        """Whether an earlier build has counted."""
        return self.cache is not None and self.cache.is_file()


@dataclass(frozen=True)
class EngineFile:
    """An engine's file.

    Attributes:
        path: where it lies.
        facts: what it was built from and for.
        built: how; None if it came from the cache.
        notes: what our own check says about the ONNX file, short of refusing it.
    """

    path: Path
    facts: EngineFacts
    built: Built | None
    notes: tuple[str, ...]


def build_engine(
    onnx: Path | str,
    options: BuildOptions | None = None,
    *,
    save: Path | str | None = None,
    tensorrt: TensorRT | None = None,
    device: Device | None = None,
    timing_cache: Path | None = None,
    calibration: CalibrationRequest | None = None,
    log: Log | None = None,
    report: Callable[[float, str], None] | None = None,
) -> EngineFile:
    """Turn an ONNX file into a TensorRT engine: check it, then build it or take the engine from the cache.

    Args:
        onnx: the file, with its manifest beside it.
        options: how to build; by default the types in the file rule.
        save: where to write the engine; without it the engine comes from the cache, or goes there.
        tensorrt: which TensorRT; by default the installed one.
        device: the GPU to build for; by default the first of this machine. ``options.architectures`` names other GPUs
            instead.
        timing_cache: file of kernel timings from earlier builds; read if it is there, written afterwards.
        calibration: pictures for implicit INT8.
        log: where TensorRT's messages go.
        report: called with the share done and the phase, where this version tells.

    Returns:
        The engine's file and facts.

    Raises:
        UsageError: the file is not there, or shapes do not fit its inputs.
        ArtifactError: the file is damaged, TensorRT does not take it, or would compute it wrongly.
        CapabilityError: TensorRT, a GPU or what the options ask for is missing here.
    """
    onnx, options = Path(onnx), options or BuildOptions()
    tensorrt = tensorrt or find_tensorrt()
    if device is None and not options.architectures:
        device = find_cuda().device()
    graph, notes = check_file(onnx, tensorrt)
    facts = facts_of(tensorrt, onnx, options, device, calibration.identity if calibration else "")
    builds: list[Built] = []

    def build() -> bytes:
        with contextlib.ExitStack() as held:
            calibrator = held.enter_context(_calibrator(tensorrt, graph, onnx, calibration)) if calibration else None
            arguments: dict[str, Any] = {"timing_cache": timing_cache, "log": log, "report": report}
            builds.append(build_plan(tensorrt, onnx, options, calibrator=calibrator, **arguments))
        return builds[0].plan

    if save is not None:
        path = Path(save)
        write_plan(path, build(), facts, onnx)
    else:
        path = cached(facts, onnx, build)
    return EngineFile(path, facts, builds[0] if builds else None, notes)


def is_quantized(onnx: Path) -> bool:
    """Whether a file has Q/DQ pairs, and so needs no calibration."""
    return any(node.op_type == "QuantizeLinear" for node in read_graph(onnx).nodes)


@contextlib.contextmanager
def _calibrator(tensorrt: TensorRT, graph: Graph, onnx: Path, request: CalibrationRequest) -> Iterator[Any]:
    batches = iter(()) if request.is_finished else _batches(request, _picture_size(graph, onnx))
    feeder = Feeder(request.cuda, batches, request.cache)
    with contextlib.closing(feeder):
        try:
            yield make_calibrator(tensorrt, request.algorithm, feeder, 1)
        finally:
            if feeder.failure is not None:
                raise feeder.failure from None


def _batches(request: CalibrationRequest, size: tuple[int, int]) -> Iterator[Batch]:
    for _, composite, mask in request.pictures.pictures(request.root):
        planes, small_mask = to_working_size(composite, mask, size)
        yield {"composite": np.asarray(planes, np.float32), "mask": np.asarray(small_mask, np.float32)}


def _picture_size(graph: Graph, onnx: Path) -> tuple[int, int]:
    """Height and width that a network of ours is fed with."""
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.model.graph.input}
    size = shapes.get("composite", [0, 0, 0, 0])[2:]
    fits = shapes.keys() == _INPUTS.keys() and all(
        len(shapes[name]) == 4 and shapes[name][1] == planes and shapes[name][2:] == size
        for name, planes in _INPUTS.items()
    )
    if not fits or len(size) != 2 or 0 in size:
        raise UsageError(
            f"{onnx} cannot be calibrated: its inputs are not a composite and a mask of a fixed size",
            "calibrate it in your framework and export Q/DQ pairs, or pass --calib with a finished cache",
        )
    return int(size[0]), int(size[1])


def check_file(onnx: Path, tensorrt: TensorRT) -> tuple[Graph, tuple[str, ...]]:
    """Read an ONNX file and find what TensorRT refuses obscurely, or takes and computes wrongly.

    Returns:
        The graph, and notes on what is merely slow or must be chosen.

    Raises:
        UsageError: there is no such file.
        ArtifactError: it is damaged, or has findings of the first kind; the message names the nodes.
    """
    graph = read_graph(onnx)
    findings = find_refusals(graph, REFUSALS)
    fatal = [finding for finding in findings if finding.fatal]
    if fatal:
        said = name_some([f"{finding.node}: {finding.problem}" for finding in fatal])
        raise ArtifactError(f"{tensorrt} cannot build {onnx} rightly: {said}", fatal[0].fix)
    inputs = {value.name for value in graph.model.graph.input}  # open shapes are for the build to judge
    notes = [f"{found.node}: {found.problem}; {found.fix}" for found in findings if found.node not in inputs]
    if graph.opset > tensorrt.opset_ceiling:
        notes.append(f"opset {graph.opset} is newer than what {tensorrt} documents ({tensorrt.opset_ceiling})")
    return graph, tuple(notes)
