"""The OpenVINO backend: the same ONNX files as ONNX Runtime's, compiled by OpenVINO for the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_harmony.backends.base import LoadRequest, Probe, Runner, Step
from edge_harmony.backends.onnx_artifacts import PRECISIONS, UNSIGNED, build_unsigned, find_artifact, plan_export
from edge_harmony.errors import CapabilityError
from edge_harmony.extras import install_hint, is_installed


class OpenVinoBackend:
    """ONNX files on the CPU through OpenVINO."""

    name = "openvino"

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed("openvino"):
            return Probe(False, "openvino is not installed", install_hint("openvino"))
        import openvino

        return Probe(True, f"openvino {openvino.__version__.split('-')[0]} on cpu", precisions=PRECISIONS)

    def build(self, source: Path, output: Path, **options: Any) -> Path:
        """See :func:`~edge_harmony.backends.onnx_artifacts.build_unsigned`."""
        return build_unsigned(source, output, **options)

    def plan(self, **options: Any) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return [plan_export(does=UNSIGNED if options["precision"] == "int8" else "", **options)]

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed("openvino"):
            raise CapabilityError(
                "the openvino backend needs openvino, which is not installed", install_hint("openvino")
            )
        from edge_harmony.backends.openvino.runner import OpenVinoRunner

        return OpenVinoRunner(*find_artifact(request, self.name), request.threads)
