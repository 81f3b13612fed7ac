"""The common part of runtimes that read ONNX files: building the unsigned flavour, finding the file of a request."""

from __future__ import annotations

from pathlib import Path

from edge_harmony.backends.artifact_runner import manifest_of, refuse_others, refuse_whole_pipeline
from edge_harmony.backends.base import Backend, ExportRequest, LoadRequest, Step
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError
from edge_harmony.export.names import Flavour, onnx_name
from edge_harmony.extras import require_exporter
from edge_harmony.files.manifest import ONNX, Manifest
from edge_harmony.models.registry import find_model, weights_folder

PRECISIONS = ("fp32", "fp16", "int8")


class OnnxBackend(Backend):
    """Base of CPU runtimes that read ONNX files; they run the shipped files, so nothing needs to be built."""

    reads_onnx = True

    def shipped(self, model: str, precision: str) -> Path | None:
        """See :class:`edge_harmony.backends.base.Backend`."""
        path = weights_folder() / onnx_name(model, find_model(model).size, precision)
        return path if path.is_file() else None

    def steps(self, request: ExportRequest) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        return [export_step(request, flavour="unsigned")]

    def build(self, request: ExportRequest, source: Path, folder: Path) -> Path:
        """Export weights in the unsigned flavour, which CPU runtimes run fastest.

        Raises:
            CapabilityError: the packages that export are not installed.
            ArtifactError: the weights do not fit.
        """
        return export_file(request, source, folder, flavour="unsigned")

    def find(self, request: LoadRequest, *, whole_pipelines: bool = False) -> tuple[Path, Manifest]:
        """The ONNX file that a request names, or the shipped one, with its verified manifest.

        Args:
            request: what to load.
            whole_pipelines: take files that hold one, too.

        Raises:
            CapabilityError: a CPU runtime was asked for another device or precision.
            UsageError: the request names weights, or nothing is shipped.
            ArtifactError: the file is damaged or not the one its manifest describes.
        """
        if request.device not in ("auto", "cpu"):
            raise CapabilityError(f"the {self.name} backend does not run on {request.device}", "use --device cpu")
        if request.weights is not None:
            raise UsageError(
                f"the {self.name} backend runs an artifact, not weights", "export them first, then --artifact"
            )
        path = request.artifact or self._shipped(request)
        manifest = manifest_of(request, path)
        if not whole_pipelines:
            refuse_whole_pipeline(path, manifest)
        refuse_others(path, manifest, self.name, ONNX)
        if request.artifact is None and (manifest.model, manifest.precision) != (request.model, request.precision):
            raise ArtifactError(f"{path} holds {manifest.model} in {manifest.precision}", "reinstall edge-harmony")
        return path, manifest

    def _shipped(self, request: LoadRequest) -> Path:
        find_model(request.model)
        if request.precision not in PRECISIONS:
            raise CapabilityError(
                f"the {self.name} backend does not run {request.precision}", f"use one of {', '.join(PRECISIONS)}"
            )
        path = self.shipped(request.model, request.precision)
        if path is None:
            raise UsageError(
                f"no {request.precision} ONNX file of {request.model} is shipped",
                "make one with edge-harmony export and pass it with --artifact",
            )
        return path


def export_step(request: ExportRequest, *, flavour: Flavour, dynamic_batch: bool = True) -> Step:
    """The step of a plan that :func:`export_file` carries out."""
    name = onnx_name(
        request.model,
        request.working_size,
        request.precision,
        flavour=flavour,
        opset=request.opset,
        dynamic_batch=dynamic_batch,
        keep_float=request.keep_float,
        whole_pipeline=request.whole_pipeline,
    )
    pairs = f", Q/DQ with {flavour} activations" if request.precision == "int8" else ""
    return Step(f"write the ONNX file, opset {request.opset}{pairs}", name).unless(require_exporter)


def export_file(
    request: ExportRequest, source: Path, folder: Path, *, flavour: Flavour, dynamic_batch: bool = True
) -> Path:
    """Write the ONNX file of a request: :func:`edge_harmony.export.onnx.export_onnx`.

    Raises:
        CapabilityError: the packages that export are not installed.
    """
    require_exporter()
    from edge_harmony.export.onnx import export_onnx

    return export_onnx(
        request.model,
        source,
        folder,
        precision=request.precision,  # type: ignore[arg-type]  # export_onnx refuses others
        flavour=flavour,
        size=request.working_size,
        opset=request.opset,
        dynamic_batch=dynamic_batch,
        keep_float=request.keep_float,
        whole_pipeline=request.whole_pipeline,
    )
