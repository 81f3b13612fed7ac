"""The ONNX Runtime backend: weights to ONNX, ONNX to a session."""

from __future__ import annotations

from pathlib import Path

from edge_harmony.backends.base import CheckRequest, LoadRequest, Probe, Runner
from edge_harmony.backends.onnx_artifacts import PRECISIONS, OnnxBackend
from edge_harmony.extras import is_installed, require_onnx
from edge_harmony.inspection.findings import Inspection


class OnnxRuntimeBackend(OnnxBackend):
    """ONNX files on the CPU; the shipped networks run without torch."""

    name = "onnxruntime"
    packages = ("onnxruntime",)
    runs_whole_pipelines = True

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed("onnxruntime"):
            return Probe(False, "onnxruntime is not installed", "pip install onnxruntime")
        import onnxruntime

        return Probe(True, f"onnxruntime {onnxruntime.__version__} on cpu", precisions=PRECISIONS)

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        from edge_harmony.backends.onnxruntime.runner import OnnxRuntimePipeline, OnnxRuntimeRunner

        path, manifest = self.find(request, whole_pipelines=True)
        kind = OnnxRuntimePipeline if manifest.io.is_whole_pipeline else OnnxRuntimeRunner
        return kind(path, manifest, request.threads)

    def inspect(self, request: CheckRequest) -> Inspection:
        """See :class:`edge_harmony.backends.base.Backend`."""
        from edge_harmony.backends.onnxruntime.rules import LAYERS, REFUSALS
        from edge_harmony.inspection.onnx_files import inspect_onnx

        return inspect_onnx(request.file, LAYERS, REFUSALS, request.opset_ceiling)

    def placement(self, file: Path) -> dict[str, int]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        require_onnx("check --placement")
        from edge_harmony.backends.onnxruntime.placement import placed_operators

        return placed_operators(file)
