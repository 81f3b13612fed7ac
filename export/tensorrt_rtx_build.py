"""Build a TensorRT for RTX engine of a network, to see that a GPU's compiler takes the exported file; needs no GPU.

    python export/tensorrt_rtx_build.py edge-s --precision int8 -o out

A plain script until there is a TensorRT backend. Needs the extra [train] and tensorrt-rtx-cu13.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import tensorrt_rtx as trt

from edge_harmony.artifact import atomic_write
from edge_harmony.backends.onnx.export import export_onnx
from edge_harmony.models.registry import bundled_weights


class Log(trt.ILogger):  # type: ignore[misc]
    """Keeps warnings and errors."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        """What TensorRT calls."""
        if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING):
            self.lines.append(f"{severity.name}: {message}")


def build(path: Path, architecture: str) -> tuple[bytes | None, list[str]]:
    """The engine of an ONNX file, or None, and what the parser and the builder said."""
    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(path.read_bytes()):
        errors = [parser.get_error(k) for k in range(parser.num_errors)]
        return None, [f"{error.node_name()}: {error.desc()}" for error in errors]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, architecture), 0)
    plan = builder.build_serialized_network(network, config)
    return None if plan is None else bytes(plan), log.lines


def main() -> int:
    """Export, build, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="int8")
    parser.add_argument("--architecture", choices=("SM75", "SM80", "SM86", "SM89", "SM120"), default="SM89")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    weights = arguments.weights or bundled_weights(arguments.model)
    path = export_onnx(
        arguments.model,
        weights,
        arguments.output,
        precision=arguments.precision,
        flavour="signed",
        dynamic_batch=False,
    )
    started = time.monotonic()
    plan, said = build(path, arguments.architecture)
    if plan is not None:
        atomic_write(path.with_suffix(f".{arguments.architecture.lower()}.engine"), plan)
    report = {
        "onnx": str(path),
        "architecture": arguments.architecture,
        "tensorrt_rtx": trt.__version__,
        "engine_bytes": None if plan is None else len(plan),
        "seconds": round(time.monotonic() - started, 2),
        "said": said,
    }
    print(json.dumps(report, indent=2))
    return 3 if plan is None else 0


if __name__ == "__main__":
    sys.exit(main())
