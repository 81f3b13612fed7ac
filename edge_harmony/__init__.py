"""edge-harmony: image harmonization on edge devices.

The names listed here are the public API; ``docs/stability.md`` says what is promised about them. Each is imported at
its first use, so that ``import edge_harmony`` is cheap and needs no torch.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_harmony.backends.base import Backend, CheckRequest, ExportRequest, LoadRequest, Probe, Runner, Step
    from edge_harmony.backends.discovery import load_runner
    from edge_harmony.backends.tensorrt.engines import BuildReport, build_engine
    from edge_harmony.backends.tensorrt.options import BuildOptions
    from edge_harmony.backends.tensorrt.request import BuildRequest, CalibrationChoice, TimingRequest
    from edge_harmony.benchmark.run import run_suite
    from edge_harmony.benchmark.suite import read_suite
    from edge_harmony.data.iharmony4 import read_split
    from edge_harmony.errors import (
        AccuracyError,
        ArtifactError,
        CapabilityError,
        CostError,
        EdgeHarmonyError,
        ExitCode,
        InputError,
        TrainingError,
        UsageError,
    )
    from edge_harmony.export.onnx import export_onnx
    from edge_harmony.folder.run import FolderReport, harmonize_folder
    from edge_harmony.harmonizer import Harmonizer
    from edge_harmony.models.weights_file import load_model
    from edge_harmony.quality.evaluation import evaluate
    from edge_harmony.quality.parity import compare
    from edge_harmony.samples import sample_pictures
    from edge_harmony.video.job import VideoJob, VideoOptions, VideoReport, harmonize_video

__version__ = "0.2.0"

_HOMES = {
    "AccuracyError": "errors",
    "ArtifactError": "errors",
    "Backend": "backends.base",
    "BuildOptions": "backends.tensorrt.options",
    "BuildReport": "backends.tensorrt.engines",
    "BuildRequest": "backends.tensorrt.request",
    "CalibrationChoice": "backends.tensorrt.request",
    "CapabilityError": "errors",
    "CheckRequest": "backends.base",
    "CostError": "errors",
    "EdgeHarmonyError": "errors",
    "ExitCode": "errors",
    "ExportRequest": "backends.base",
    "FolderReport": "folder.run",
    "Harmonizer": "harmonizer",
    "InputError": "errors",
    "LoadRequest": "backends.base",
    "Probe": "backends.base",
    "Runner": "backends.base",
    "Step": "backends.base",
    "TimingRequest": "backends.tensorrt.request",
    "TrainingError": "errors",
    "UsageError": "errors",
    "VideoJob": "video.job",
    "VideoOptions": "video.job",
    "VideoReport": "video.job",
    "build_engine": "backends.tensorrt.engines",
    "compare": "quality.parity",
    "evaluate": "quality.evaluation",
    "export_onnx": "export.onnx",
    "harmonize_folder": "folder.run",
    "harmonize_video": "video.job",
    "load_model": "models.weights_file",
    "load_runner": "backends.discovery",
    "read_split": "data.iharmony4",
    "read_suite": "benchmark.suite",
    "run_suite": "benchmark.run",
    "sample_pictures": "samples",
}
"""Public names and their modules in this package."""

__all__ = [
    "AccuracyError",
    "ArtifactError",
    "Backend",
    "BuildOptions",
    "BuildReport",
    "BuildRequest",
    "CalibrationChoice",
    "CapabilityError",
    "CheckRequest",
    "CostError",
    "EdgeHarmonyError",
    "ExitCode",
    "ExportRequest",
    "FolderReport",
    "Harmonizer",
    "InputError",
    "LoadRequest",
    "Probe",
    "Runner",
    "Step",
    "TimingRequest",
    "TrainingError",
    "UsageError",
    "VideoJob",
    "VideoOptions",
    "VideoReport",
    "__version__",
    "build_engine",
    "compare",
    "evaluate",
    "export_onnx",
    "harmonize_folder",
    "harmonize_video",
    "load_model",
    "load_runner",
    "read_split",
    "read_suite",
    "run_suite",
    "sample_pictures",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
