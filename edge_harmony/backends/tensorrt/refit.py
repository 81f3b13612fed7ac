"""Filling an engine with the weights of an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_harmony.backends.tensorrt.logger import made
from edge_harmony.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT
    from edge_harmony.backends.tensorrt.logger import Log


def refit(tensorrt: TensorRT, engine: trt.ICudaEngine, onnx: Path, log: Log) -> None:
    """Fill an engine with the weights of an ONNX file.

    Args:
        tensorrt: which TensorRT.
        engine: a loaded engine: built without weights, or so that they can be exchanged.
        onnx: the file that it was built from; for exchangeable weights also another file of the same graph.
        log: of the engine.

    Raises:
        UsageError: there is no such file.
        CapabilityError: this TensorRT refits nothing from ONNX files; the lean runtime does not.
        ArtifactError: the file's weights do not fit the engine.
    """
    if not onnx.is_file():
        raise UsageError(f"there is no file {onnx}", "check the path")
    make_parser = tensorrt.get("OnnxParserRefitter", "refitting from an ONNX file")
    since = log.count
    refitter: trt.Refitter = made(tensorrt, "a refitter", log, lambda: tensorrt.get("Refitter")(engine, log.logger))
    parser = make_parser(refitter, log.logger)
    read = tensorrt.member(parser, "OnnxParserRefitter.refit_from_file")
    if not read(str(onnx)) or not refitter.refit_cuda_engine():
        raise ArtifactError(
            f"the weights of {onnx} do not fit the engine ({log.reason(since)})",
            "refit from the file it was built from",
        )
