"""The OpenVINO backend: it compiles the ONNX files that ONNX Runtime runs, for the CPU."""

from __future__ import annotations

from edge_harmony.backends.base import CheckRequest, LoadRequest, Probe, Runner
from edge_harmony.backends.onnx_artifacts import PRECISIONS, OnnxBackend
from edge_harmony.errors import CapabilityError
from edge_harmony.extras import install_hint, is_installed
from edge_harmony.inspection.findings import Inspection


class OpenVinoBackend(OnnxBackend):
    """ONNX files on the CPU through OpenVINO."""

    name = "openvino"
    packages = ("openvino",)

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed("openvino"):
            return Probe(False, "openvino is not installed", install_hint("openvino"))
        from edge_harmony.backends.openvino.library import openvino

        return Probe(True, f"openvino {openvino.__version__.split('-')[0]} on cpu", precisions=PRECISIONS)

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed("openvino"):
            raise CapabilityError(
                "the openvino backend needs openvino, which is not installed", install_hint("openvino")
            )
        from edge_harmony.backends.openvino.runner import OpenVinoRunner

        return OpenVinoRunner(*self.find(request), request.threads)

    def inspect(self, request: CheckRequest) -> Inspection:
        """See :class:`edge_harmony.backends.base.Backend`."""
        from edge_harmony.backends.openvino.rules import LAYERS, REFUSALS
        from edge_harmony.inspection.onnx_files import inspect_onnx

        return inspect_onnx(request.file, LAYERS, REFUSALS, request.opset_ceiling)
