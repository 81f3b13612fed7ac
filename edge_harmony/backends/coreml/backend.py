"""The Core ML backend: packages are made anywhere, and run on macOS."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.artifact_runner import ArtifactRunner, read_network_manifest
from edge_harmony.backends.base import LoadRequest, Probe, Runner, Step
from edge_harmony.errors import ArtifactError, CapabilityError, InputError, UsageError
from edge_harmony.export.quiet import quiet
from edge_harmony.extras import require_torch
from edge_harmony.files.manifest import Manifest, artifact_name

PRECISIONS = ("fp32", "fp16", "int8")
Units = Literal["all", "cpu", "cpu-gpu", "cpu-ane"]
_UNITS = {"all": "ALL", "cpu": "CPU_ONLY", "cpu-gpu": "CPU_AND_GPU", "cpu-ane": "CPU_AND_NE"}
_FIX = "pip install 'edge-harmony[coreml]'"


class CoreMLBackend:
    """Apple devices through Core ML."""

    name = "coreml"

    def probe(self) -> Probe:
        """See :class:`edge_harmony.backends.base.Backend`."""
        if find_spec("coremltools") is None:
            return Probe(False, "coremltools is not installed", _FIX)
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
        height, width = options.get("size", (256, 256))
        fused = bool(options.get("fuse_io"))
        name = artifact_name(options["model"], height, width, options["precision"], ".mlpackage", fuse_io=fused)
        return [Step(f"convert to Core ML for {options.get('minimum', 'iOS17')}", name).unless(_require_converter)]

    def load(self, request: LoadRequest) -> Runner:
        """See :class:`~edge_harmony.backends.base.Backend`; devices are ``all``, ``cpu``, ``cpu-gpu``, ``cpu-ane``."""
        _require_coremltools()
        if request.weights is not None or request.artifact is None:
            raise UsageError("the coreml backend runs a package", "make one with edge-harmony export, then --artifact")
        units = "all" if request.device == "auto" else request.device
        if units not in _UNITS:
            raise UsageError(f"Core ML has no device {request.device}", f"choose from {', '.join(_UNITS)}")
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
    if find_spec("coremltools") is None:
        raise CapabilityError("the coreml backend needs coremltools, which is not installed", _FIX)


class CoreMLRunner(ArtifactRunner):
    """See :class:`edge_harmony.backends.base.Runner`. One picture at a time."""

    def __init__(self, package: Path, manifest: Manifest, units: str) -> None:
        super().__init__(manifest)
        import coremltools as ct

        self._is_image = (manifest.engine or {}).get("inputs") == "image"
        try:
            self._model: Any = ct.models.MLModel(str(package), compute_units=ct.ComputeUnit[_UNITS[units]])
        except Exception as error:  # Core ML's own errors come as RuntimeError
            raise ArtifactError(f"Core ML does not take {package} ({error})", "export it for this system") from None

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._check_size(composite, mask)
        if len(composite) != 1:
            raise InputError(f"Core ML packages take one picture, got {len(composite)}", "call it for each")
        feed: dict[str, Any] = {"composite": composite, "mask": mask}
        if self._is_image:
            from PIL import Image

            planes = np.rint(composite[0].transpose(1, 2, 0) * 255).astype(np.uint8)
            feed = {
                "composite": Image.fromarray(planes),
                "mask": Image.fromarray(np.rint(mask[0, 0] * 255).astype(np.uint8)),
            }
        result = self._model.predict(feed)
        return np.asarray(next(iter(result.values())), np.float32)

    def close(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._model = None
