"""The ONNX Runtime backend: weights to ONNX, ONNX to a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_harmony.backends.base import LoadRequest, Probe, Runner, Step
from edge_harmony.backends.onnx_artifacts import PRECISIONS, UNSIGNED, build_unsigned, find_artifact, plan_export
from edge_harmony.extras import is_installed


class OnnxRuntimeBackend:
    """ONNX files on the CPU; the shipped networks run without torch."""

    name = "onnxruntime"

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed("onnxruntime"):
            return Probe(False, "onnxruntime is not installed", "pip install onnxruntime")
        import onnxruntime

        return Probe(True, f"onnxruntime {onnxruntime.__version__} on cpu", precisions=PRECISIONS)

    def build(self, source: Path, output: Path, **options: Any) -> Path:
        """See :func:`~edge_harmony.backends.onnx_artifacts.build_unsigned`."""
        return build_unsigned(source, output, **options)

    def plan(self, **options: Any) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return [plan_export(does=UNSIGNED if options["precision"] == "int8" else "", **options)]

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        from edge_harmony.backends.onnxruntime.runner import OnnxRuntimeRunner

        return OnnxRuntimeRunner(*find_artifact(request, self.name), request.threads)
