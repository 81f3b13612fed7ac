"""What the runtimes that read ONNX files share: building the unsigned flavour, and finding the file of a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_harmony.backends.artifact_runner import read_network_manifest
from edge_harmony.backends.base import LoadRequest, Step
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError
from edge_harmony.extras import require_exporter
from edge_harmony.files.manifest import Manifest, artifact_name
from edge_harmony.models.registry import find_model, weights_folder

PRECISIONS = ("fp32", "fp16", "int8")
UNSIGNED = ", Q/DQ with unsigned activations"


def build_unsigned(source: Path, output: Path, **options: Any) -> Path:
    """Export weights to the flavour that CPU runtimes are fast on.

    Args:
        source: weights file.
        output: folder.
        options: ``model``, ``precision``, ``size``, ``opset``, ``keep_float`` of
            :func:`edge_harmony.export.onnx.export_onnx`.

    Raises:
        CapabilityError: the packages that export are not installed.
    """
    require_exporter()
    from edge_harmony.export.onnx import export_onnx

    return export_onnx(options.pop("model"), source, output, flavour="unsigned", **options)


def plan_export(*, does: str = "", **options: Any) -> Step:
    """The step that :func:`~edge_harmony.export.onnx.export_onnx` does with these options."""
    height, width = options.get("size") or find_model(options["model"]).size
    written = f"write the ONNX file, opset {options.get('opset', 18)}{does}"
    whole = bool(options.get("whole_pipeline"))
    name = artifact_name(options["model"], height, width, options["precision"], ".onnx", whole_pipeline=whole)
    return Step(written, name).unless(require_exporter)


def find_artifact(request: LoadRequest, backend: str) -> tuple[Path, Manifest]:
    """The ONNX file that a request names, or the shipped one, with its verified manifest.

    Raises:
        CapabilityError: a CPU runtime was asked for another device or precision.
        UsageError: the request names weights, or nothing is shipped.
        ArtifactError: the file is damaged or not the one its manifest describes.
    """
    if request.device not in ("auto", "cpu"):
        raise CapabilityError(f"the {backend} backend does not run on {request.device}", "use --device cpu")
    if request.weights is not None:
        raise UsageError(f"the {backend} backend runs an artifact, not weights", "export them first, then --artifact")
    path = request.artifact or _shipped(request, backend)
    manifest = read_network_manifest(path)
    if request.artifact is None and (manifest.model, manifest.precision) != (request.model, request.precision):
        raise ArtifactError(f"{path} holds {manifest.model} in {manifest.precision}", "reinstall edge-harmony")
    return path, manifest


def _shipped(request: LoadRequest, backend: str) -> Path:
    entry = find_model(request.model)
    if request.precision not in PRECISIONS:
        raise CapabilityError(
            f"the {backend} backend does not run {request.precision}", f"use one of {', '.join(PRECISIONS)}"
        )
    path = weights_folder() / artifact_name(entry.name, *entry.size, request.precision, ".onnx")
    if not path.is_file():
        raise UsageError(
            f"no {request.precision} ONNX file of {request.model} is shipped",
            "make one with edge-harmony export and pass it with --artifact",
        )
    return path
