"""The Core ML backend: packages are made anywhere, and run on macOS."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any, Literal

from edge_harmony.backends.artifact_runner import read_network_manifest
from edge_harmony.backends.base import LoadRequest, Probe, Runner, Step
from edge_harmony.backends.coreml.runner import UNITS, CoreMLRunner
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.export.quiet import quiet
from edge_harmony.extras import install_hint, is_installed, require_torch
from edge_harmony.files.manifest import artifact_name
from edge_harmony.models.registry import find_model

PRECISIONS = ("fp32", "fp16", "int8")
Units = Literal["all", "cpu", "cpu-gpu", "cpu-ane"]


class CoreMLBackend:
    """Apple devices through Core ML."""

    name = "coreml"

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if not is_installed("coremltools"):
            return Probe(False, "coremltools is not installed", install_hint("coremltools"))
        import importlib.metadata

        version = importlib.metadata.version("coremltools")
        if platform.system() != "Darwin":
            return Probe(
                False, f"coremltools {version} converts here; predictions need macOS", "use a Mac to run packages"
            )
        return Probe(True, f"coremltools {version} on macOS {platform.mac_ver()[0]}", precisions=PRECISIONS)

    def build(self, source: Path, output: Path, **options: Any) -> Path:
        """Convert weights; see :func:`edge_harmony.backends.coreml.convert.convert` for the options.

        Raises:
            CapabilityError: torch or coremltools is not installed.
        """
        _require_converter()
        with quiet("coremltools"):  # it warns of versions, and that predictions need macOS
            from edge_harmony.backends.coreml.convert import convert

        options.pop("opset", None)  # of ONNX files
        return convert(options.pop("model"), source, output, **options)

    def plan(self, **options: Any) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        height, width = options.get("size") or find_model(options["model"]).size
        whole = bool(options.get("whole_pipeline"))
        name = artifact_name(options["model"], height, width, options["precision"], ".mlpackage", whole_pipeline=whole)
        return [Step(f"convert to Core ML for {options.get('minimum', 'iOS17')}", name).unless(_require_converter)]

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`~edge_harmony.backends.base.Backend`; devices are ``all``, ``cpu``, ``cpu-gpu``, ``cpu-ane``."""
        _require_coremltools()
        if request.weights is not None or request.artifact is None:
            raise UsageError("the coreml backend runs a package", "make one with edge-harmony export, then --artifact")
        units = "all" if request.device == "auto" else request.device
        if units not in UNITS:
            raise UsageError(f"Core ML has no device {request.device}", f"choose from {', '.join(UNITS)}")
        manifest = read_network_manifest(request.artifact)
        if platform.system() != "Darwin":
            raise CapabilityError(
                "Core ML predictions need macOS", "copy the package to a Mac; here its contents can be read"
            )
        return CoreMLRunner(request.artifact, manifest, units)


def _require_converter() -> None:
    require_torch()
    _require_coremltools()


def _require_coremltools() -> None:
    if not is_installed("coremltools"):
        raise CapabilityError(
            "the coreml backend needs coremltools, which is not installed", install_hint("coremltools")
        )
