"""The ONNX Runtime backend: weights to ONNX, ONNX to a session."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge_harmony.artifact import artifact_name, read_manifest
from edge_harmony.backends.base import LoadRequest, Probe, Runner
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError
from edge_harmony.models.registry import find_model, require_torch, weights_folder

PRECISIONS = ("fp32", "int8")


class OnnxRuntimeBackend:
    """ONNX files on the CPU; the shipped networks run without torch."""

    name = "onnxruntime"

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if find_spec("onnxruntime") is None:
            return Probe(False, "onnxruntime is not installed", "pip install onnxruntime")
        import onnxruntime

        return Probe(True, f"onnxruntime {onnxruntime.__version__} on cpu", precisions=PRECISIONS)

    def build(self, source: Path, output: Path, **options: Any) -> Path:
        """Export weights to the ONNX flavour that this runtime is fast on.

        Args:
            source: weights file.
            output: folder.
            options: ``model``, ``precision``, ``size``, ``opset`` of
                :func:`edge_harmony.backends.onnx.export.export_onnx`.
        """
        require_torch()
        if find_spec("onnx") is None or find_spec("onnxscript") is None:
            raise CapabilityError("export needs onnx and onnxscript", "pip install 'edge-harmony[train]'")
        from edge_harmony.backends.onnx.export import export_onnx

        return export_onnx(options.pop("model"), source, output, flavour="unsigned", **options)

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`edge_harmony.backends.base.Backend`."""
        from edge_harmony.backends.onnxruntime.runner import OnnxRuntimeRunner

        if request.device not in ("auto", "cpu"):
            raise CapabilityError(f"the onnxruntime backend does not run on {request.device}", "use --device cpu")
        if request.weights is not None:
            raise UsageError(
                "the onnxruntime backend runs an artifact, not weights", "export them first, then --artifact"
            )
        path = request.artifact or self._shipped(request)
        manifest = read_manifest(path)
        if request.artifact is None and (manifest.model, manifest.precision) != (request.model, request.precision):
            raise ArtifactError(f"{path} holds {manifest.model} in {manifest.precision}", "reinstall edge-harmony")
        return OnnxRuntimeRunner(path, manifest, request.threads)

    def _shipped(self, request: LoadRequest) -> Path:
        find_model(request.model)
        if request.precision not in PRECISIONS:
            raise CapabilityError(f"the onnxruntime backend does not run {request.precision}", "use fp32 or int8")
        path = weights_folder() / artifact_name(request.model, 256, 256, request.precision, ".onnx")
        if not path.is_file():
            raise UsageError(
                f"no {request.precision} ONNX file of {request.model} is shipped",
                "make one with edge-harmony export and pass it with --artifact",
            )
        return path
