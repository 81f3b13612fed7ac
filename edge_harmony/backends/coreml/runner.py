"""Runners of packages: what a network or a whole pipeline is fed, whatever evaluates it."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.artifact_runner import ArtifactRunner, PipelineRunner
from edge_harmony.backends.coreml.options import Size
from edge_harmony.errors import InputError
from edge_harmony.files.manifest import Manifest


class Predictor(ABC):
    """Something that evaluates the functions of a package."""

    def prepare(self, feed: Mapping[str, NDArray[Any]]) -> Mapping[str, Any]:
        """Inputs in the form that :meth:`predict` takes: by default arrays as they are, pictures among them."""
        return feed

    @abstractmethod
    def predict(self, function: str | None, prepared: Mapping[str, Any]) -> NDArray[Any]:
        """The output of a function; None for the only one. Pictures are ``(H, W, 3)`` uint8."""

    @abstractmethod
    def close(self) -> None:
        """Free what is held."""


class PackageNetwork(ArtifactRunner):
    """See :class:`edge_harmony.backends.base.Runner`. One picture at a time, at any working size of the package.

    Args:
        manifest: of the package, verified by the caller.
        predictor: evaluates its functions.
    """

    def __init__(self, manifest: Manifest, predictor: Predictor) -> None:
        super().__init__(manifest)
        self._predictor = predictor
        self._functions = _functions(manifest)
        self._takes_pictures = (manifest.engine or {}).get("inputs") == "image"

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        return self.infer_parts(composite, mask)[0]

    def infer_parts(
        self, composite: NDArray[np.float32], mask: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """See :class:`edge_harmony.backends.base.Runner`; ``copy`` is the time in which pictures are made of arrays."""
        function = self._functions.get((composite.shape[2], composite.shape[3]))
        if function is None:
            self._check_size(composite, mask)
        if len(composite) != 1:
            raise InputError(f"Core ML packages take one picture, got {len(composite)}", "call it for each")
        began = time.perf_counter()
        feed: dict[str, NDArray[Any]] = {"composite": composite, "mask": mask}
        if self._takes_pictures:
            feed = {"composite": _levels(composite[0].transpose(1, 2, 0)), "mask": _levels(mask[0, 0])}
        prepared = self._predictor.prepare(feed)
        ready = time.perf_counter()
        output = np.asarray(self._predictor.predict(function, prepared), np.float32)
        parts = {"copy": 1e3 * (ready - began), "infer": 1e3 * (time.perf_counter() - ready)}
        return output, parts

    def close(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._predictor.close()


class PackagePipeline(PipelineRunner):
    """A whole pipeline in a package; arguments are those of :class:`PackageNetwork`."""

    def __init__(self, manifest: Manifest, predictor: Predictor) -> None:
        super().__init__(manifest)
        self._predictor = predictor
        self._functions = _functions(manifest)
        self._sizes = [tuple(size) for size in (manifest.engine or {}).get("picture_sizes", [])]
        self._largest: Size | None = (manifest.engine or {}).get("largest_picture")

    def harmonize(self, picture: NDArray[np.uint8], mask: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
        """See :class:`edge_harmony.backends.base.Runner`.

        Raises:
            InputError: the package does not take pictures of this size.
        """
        height, width = mask.shape
        if self._sizes and (height, width) not in self._sizes:
            sizes = ", ".join(f"{one[1]}x{one[0]}" for one in self._sizes)
            raise InputError(f"the package takes pictures of {sizes}, got {width}x{height}", "resize the picture")
        if self._largest is not None and (height > self._largest[0] or width > self._largest[1]):
            raise InputError(
                f"the package takes pictures of up to {self._largest[1]}x{self._largest[0]}, got {width}x{height}",
                "export it with this size in picture_sizes, or export the network alone, which takes any",
            )
        feed: dict[str, NDArray[Any]] = {"picture": picture, "mask": mask, "strength": np.array([strength], np.float32)}
        result = self._predictor.predict(self._functions.get((height, width)), self._predictor.prepare(feed))
        return np.asarray(result, np.uint8)

    def close(self) -> None:
        """See :class:`edge_harmony.backends.base.Runner`."""
        self._predictor.close()


def package_runner(manifest: Manifest, predictor: Predictor) -> PackageNetwork | PackagePipeline:
    """The runner of what a package holds."""
    kind = PackagePipeline if manifest.io.is_whole_pipeline else PackageNetwork
    return kind(manifest, predictor)


def _functions(manifest: Manifest) -> dict[Size, str]:
    """The functions of a package for several sizes, ``h192w256`` and so on, by height and width."""
    names = (manifest.engine or {}).get("functions", [])
    sizes = [re.fullmatch(r"h(\d+)w(\d+)", name) for name in names]
    return {(int(size[1]), int(size[2])): size[0] for size in sizes if size is not None}


def _levels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(values * 255).astype(np.uint8)
