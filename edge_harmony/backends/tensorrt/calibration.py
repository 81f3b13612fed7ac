"""Implicit INT8: the pictures on which TensorRT 8.6 to 10 counts ranges while it builds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edge_harmony.backends.tensorrt.calibrator import Algorithm, CalibrationBatch, Feeder, make_calibrator, read_ranges
from edge_harmony.data.calibration_set import CalibrationSet, read_calibration_set
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.files.atomic import sha256_of
from edge_harmony.pictures.working_size import to_working_size

if TYPE_CHECKING:
    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.cuda.api import Cuda
    from edge_harmony.backends.tensorrt.logger import Log
    from edge_harmony.backends.tensorrt.request import BuildRequest
    from edge_harmony.inspection.graph import Graph

_INPUTS = {"composite": 3, "mask": 1}


@dataclass(frozen=True)
class CalibrationRequest:
    """How a network is calibrated while TensorRT builds it.

    Attributes:
        pictures: a verified set.
        root: where its files lie.
        algorithm: TensorRT's.
        cache: file of ranges: those of an earlier build are read, new ones are written.
        cuda: for the batches' memory.
    """

    pictures: CalibrationSet
    root: Path
    algorithm: Algorithm
    cache: Path | None
    cuda: Cuda

    @property
    def identity(self) -> str:
        """What the ranges depend on; part of the engine's key in the cache."""
        if self.is_finished:
            return f"cache {sha256_of(cast(Path, self.cache))}"
        return f"{self.algorithm} {self.pictures.sha256}"

    @property
    def is_finished(self) -> bool:
        """Whether an earlier build left ranges, so that no pictures are needed."""
        return read_ranges(self.cache) is not None


def find_calibration(
    request: BuildRequest, tensorrt: TensorRT, onnx: Path, cuda: Cuda | None
) -> CalibrationRequest | None:
    """The verified pictures, where flags allow INT8 and the file has no ranges of its own; None elsewhere.

    Raises:
        UsageError: a cache is given where nothing is calibrated, or there is no such set.
        CapabilityError: there is no GPU to calibrate on.
        ArtifactError: a file of the set is not the one that it lists.
    """
    chosen = request.calibration
    if request.options.precision not in ("int8", "best") or not tensorrt.weak or _is_quantized(onnx):
        if chosen.cache is not None:
            raise UsageError("--calib is for implicit INT8", "pass --int8, and a file without Q/DQ pairs")
        return None
    if cuda is None:
        raise CapabilityError("calibration runs on the GPU of this machine", "leave --computeCapabilities out")
    pictures = read_calibration_set(chosen.pictures)
    root = pictures.root(chosen.data)
    pictures.verify(root)
    return CalibrationRequest(pictures, root, chosen.algorithm, chosen.cache, cuda)


def _is_quantized(onnx: Path) -> bool:
    """Whether a file has Q/DQ pairs, and so needs no calibration."""
    from edge_harmony.inspection.graph import read_graph

    return any(node.op_type == "QuantizeLinear" for node in read_graph(onnx).nodes)


@contextlib.contextmanager
def calibrating(tensorrt: TensorRT, graph: Graph, onnx: Path, request: CalibrationRequest, log: Log) -> Iterator[Any]:
    """TensorRT's calibrator, and the device memory that its batches need for as long as the build lasts.

    Args:
        tensorrt: the TensorRT that builds.
        graph: the network.
        onnx: its file, for errors.
        request: the pictures.
        log: of the build; what a picture or CUDA raises ends up there, and ends the build.

    Raises:
        UsageError: the network's inputs are not a composite and a mask of a fixed size.
        CapabilityError: this version has no calibrators.
    """
    batches = iter(()) if request.is_finished else _batches(request, _picture_size(graph, onnx))
    with contextlib.closing(Feeder(request.cuda, batches, request.cache)) as feeder:
        yield make_calibrator(tensorrt, request.algorithm, feeder, 1, log)


def _batches(request: CalibrationRequest, size: tuple[int, int]) -> Iterator[CalibrationBatch]:
    for _, composite, mask in request.pictures.pictures(request.root):
        planes, small_mask = to_working_size(composite, mask, size)
        yield {"composite": np.asarray(planes, np.float32), "mask": np.asarray(small_mask, np.float32)}


def _picture_size(graph: Graph, onnx: Path) -> tuple[int, int]:
    """Height and width of the network's inputs."""
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
