"""Evaluating packages with Core ML itself, on a Mac."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.coreml.runner import Predictor
from edge_harmony.errors import ArtifactError, first_line

UNITS = {"all": "ALL", "cpu": "CPU_ONLY", "cpu-gpu": "CPU_AND_GPU", "cpu-ane": "CPU_AND_NE"}


class MacPredictor(Predictor):
    """A package, compiled and loaded by Core ML; each of its functions is loaded when it is first called.

    ``MLModel`` of coremltools is not used: it keeps errors of loading to itself, and ``predict`` fails later without
    the reason. https://apple.github.io/coremltools/source/coremltools.models.html

    Args:
        package: the folder.
        units: one of :data:`UNITS`.

    Raises:
        ArtifactError: Core ML does not take the package; it may need a newer system.
    """

    def __init__(self, package: Path, units: str) -> None:
        import coremltools as ct

        self._package = package
        self._units = ct.ComputeUnit[UNITS[units]]
        self._models: dict[str | None, Any] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="edge-harmony-")
        self._compiled = str(Path(self._folder.name) / f"{package.stem}.mlmodelc")
        try:
            ct.models.utils.compile_model(str(package), self._compiled)
        except Exception as error:  # Core ML's own errors come as RuntimeError, those of files as others
            self.close()
            raise self._refused(error) from None

    def prepare(self, feed: Mapping[str, NDArray[Any]]) -> Mapping[str, Any]:
        """See :class:`Predictor`: pictures as Pillow images."""
        from PIL import Image

        return {name: Image.fromarray(value) if value.dtype == np.uint8 else value for name, value in feed.items()}

    def predict(self, function: str | None, prepared: Mapping[str, Any]) -> NDArray[Any]:
        """See :class:`Predictor`.

        Raises:
            ArtifactError: Core ML does not load or run the function.
        """
        try:
            if function not in self._models:
                from coremltools.models import CompiledMLModel

                self._models[function] = CompiledMLModel(self._compiled, self._units, function_name=function)
            (result,) = self._models[function].predict(dict(prepared)).values()
        except Exception as error:  # Core ML's own errors come as RuntimeError
            raise self._refused(error) from None
        return np.asarray(result if isinstance(result, np.ndarray) else result.convert("RGB"))

    def close(self) -> None:
        """See :class:`Predictor`."""
        self._models.clear()
        self._folder.cleanup()

    def _refused(self, error: Exception) -> ArtifactError:
        return ArtifactError(
            f"Core ML does not take {self._package} ({first_line(error)})", "export it for this system"
        )
