"""The Core ML backend: packages are made anywhere, and run on macOS."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Literal

from edge_harmony.backends.artifact_runner import manifest_of, refuse_others
from edge_harmony.backends.base import Backend, CheckRequest, ExportRequest, LoadRequest, Probe, Runner, Step
from edge_harmony.backends.coreml.mac import UNITS, MacPredictor
from edge_harmony.backends.coreml.options import PackageOptions
from edge_harmony.backends.coreml.runner import package_runner
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.export.quiet import quiet
from edge_harmony.extras import install_hint, is_installed, require_torch, signals_held
from edge_harmony.files.manifest import Manifest
from edge_harmony.inspection.findings import Inspection

PRECISIONS = ("fp32", "fp16", "int8")
Units = Literal["all", "cpu", "cpu-gpu", "cpu-ane"]


class CoreMLBackend(Backend):
    """Apple devices through Core ML."""

    name = "coreml"
    options = PackageOptions
    packages = ("coremltools",)
    elsewhere = "on a Mac"
    runs_whole_pipelines = True

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

    def steps(self, request: ExportRequest) -> list[Step]:
        """See :class:`edge_harmony.backends.base.Backend`."""
        options: PackageOptions = request.options or PackageOptions()
        options.check(request)
        step = Step(f"convert to Core ML for {options.minimum}", options.name_of(request))
        return [step.unless(_require_converter)]

    def build(self, request: ExportRequest, source: Path, folder: Path) -> Path:
        """Convert weights; see :func:`edge_harmony.backends.coreml.convert.convert`.

        Raises:
            CapabilityError: torch or coremltools is not installed.
            ArtifactError: the weights do not fit.
            UsageError: options that contradict each other.
        """
        _require_converter()
        with quiet("coremltools"), signals_held():  # it warns of versions, and that predictions need macOS
            from edge_harmony.backends.coreml.convert import convert

        return convert(request, source, folder)

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`~edge_harmony.backends.base.Backend`; devices are ``all``, ``cpu``, ``cpu-gpu``, ``cpu-ane``."""
        package, manifest = find_package(request, self.name)
        units = "all" if request.device == "auto" else request.device
        if units not in UNITS:
            raise UsageError(f"Core ML has no device {request.device}", f"choose from {', '.join(UNITS)}")
        if platform.system() != "Darwin":
            raise CapabilityError(
                "Core ML predictions need macOS",
                "copy the package to a Mac; --backend coreml-reference computes here what it returns, slowly",
            )
        return package_runner(manifest, MacPredictor(package, units))

    def inspect(self, request: CheckRequest) -> Inspection:
        """Judge a package by its own contents; see :func:`edge_harmony.backends.coreml.judge.judge_package`."""
        if not request.file.exists():
            raise UsageError(f"there is no package {request.file}", "check the path")
        if request.file.is_file():
            raise UsageError(
                f"{request.file} is no Core ML package, and Core ML reads no other files",
                "export the network for the target, and check the .mlpackage",
            )
        _require_coremltools()
        with quiet("coremltools"), signals_held():
            from edge_harmony.backends.coreml.judge import judge_package

        return judge_package(request.file, request.precision, request.options)


def find_package(request: LoadRequest, backend: str) -> tuple[Path, Manifest]:
    """The package that a request names, with its verified manifest.

    Args:
        request: what to load.
        backend: name of the backend that runs it.

    Raises:
        CapabilityError: coremltools is not installed.
        UsageError: the request names no artifact, one of another backend, or weights.
        ArtifactError: the manifest is missing, damaged, or of another file.
    """
    _require_coremltools()
    if request.weights is not None or request.artifact is None:
        raise UsageError(f"the {backend} backend runs a package", "make one with edge-harmony export, then --artifact")
    manifest = manifest_of(request, request.artifact)
    refuse_others(request.artifact, manifest, backend, CoreMLBackend.name)
    return request.artifact, manifest


def _require_converter() -> None:
    require_torch()
    _require_coremltools()


def _require_coremltools() -> None:
    if not is_installed("coremltools"):
        raise CapabilityError(
            "the coreml backend needs coremltools, which is not installed", install_hint("coremltools")
        )
