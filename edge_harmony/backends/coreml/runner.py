"""Running Core ML packages, on macOS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.artifact_runner import ArtifactRunner
from edge_harmony.errors import ArtifactError, InputError
from edge_harmony.files.manifest import Manifest

UNITS = {"all": "ALL", "cpu": "CPU_ONLY", "cpu-gpu": "CPU_AND_GPU", "cpu-ane": "CPU_AND_NE"}


class CoreMLRunner(ArtifactRunner):
    """See :class:`edge_harmony.backends.base.Runner`. One picture at a time."""

    def __init__(self, package: Path, manifest: Manifest, units: str) -> None:
        super().__init__(manifest)
        import coremltools as ct

        self._is_image = (manifest.engine or {}).get("inputs") == "image"
        try:
            self._model: Any = ct.models.MLModel(str(package), compute_units=ct.ComputeUnit[UNITS[units]])
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
