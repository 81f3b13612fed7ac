"""edge-harmony: image harmonization on edge devices.

The public API; everything is imported when first used, so that ``import edge_harmony`` stays cheap and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_harmony.benchmark.run import run_suite
    from edge_harmony.benchmark.suite import read_suite
    from edge_harmony.errors import EdgeHarmonyError
    from edge_harmony.export.onnx import export_onnx
    from edge_harmony.harmonizer import Harmonizer
    from edge_harmony.models.weights_file import load_model
    from edge_harmony.quality.evaluation import evaluate
    from edge_harmony.quality.parity import compare

__version__ = "0.1.0"

_HOMES = {
    "EdgeHarmonyError": "edge_harmony.errors",
    "Harmonizer": "edge_harmony.harmonizer",
    "compare": "edge_harmony.quality.parity",
    "evaluate": "edge_harmony.quality.evaluation",
    "export_onnx": "edge_harmony.export.onnx",
    "load_model": "edge_harmony.models.weights_file",
    "read_suite": "edge_harmony.benchmark.suite",
    "run_suite": "edge_harmony.benchmark.run",
}

__all__ = [
    "EdgeHarmonyError",
    "Harmonizer",
    "__version__",
    "compare",
    "evaluate",
    "export_onnx",
    "load_model",
    "read_suite",
    "run_suite",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
