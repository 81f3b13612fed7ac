"""The common part of runners of files with a manifest: working size, hash, and a check of the inputs' size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import LoadRequest, Runner, backend_of
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.manifest import IOSpec, Manifest, read_manifest


def manifest_of(request: LoadRequest, path: Path) -> Manifest:
    """The verified manifest of the file that is loaded for a request.

    Args:
        request: if it carries the manifest of its artifact, that is not read and the file not hashed again.
        path: of the file: the request's artifact, or one that is shipped.

    Raises:
        UsageError: the file is missing.
        ArtifactError: the manifest is missing, damaged, or of another file.
    """
    return request.manifest if request.manifest and path == request.artifact else read_manifest(path)


def refuse_whole_pipeline(path: Path, manifest: Manifest) -> None:
    """Refuse a file that holds more than a network.

    Raises:
        UsageError: it holds a whole pipeline.
    """
    if manifest.io.is_whole_pipeline:
        raise UsageError(
            f"{path} is a whole pipeline, not a network",
            "run it with --backend onnxruntime (or tensorrt, an engine of it), see docs/whole-pipeline.md",
        )


def refuse_others(path: Path, manifest: Manifest, backend: str, *makers: str) -> None:
    """Refuse an artifact of another backend, which the runtime would call damaged.

    Args:
        path: of the artifact.
        manifest: its manifest.
        backend: name of the backend that should run it.
        makers: what the manifests of its artifacts name as their backend.

    Raises:
        UsageError: the artifact is none of these.
    """
    if manifest.backend not in makers:
        raise UsageError(
            f"{path} was made for the {backend_of(manifest)} backend, and {backend} does not run it",
            f"leave --backend out, or use --backend {backend_of(manifest)}",
        )


class ArtifactRunner(Runner):
    """Base of a runner of a file with a manifest.

    Args:
        manifest: of the file, verified by the caller.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    @property
    def io_spec(self) -> IOSpec:
        """Working size and kind of output."""
        return self._manifest.io

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return self._manifest.file_sha256

    def _check_size(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> None:
        spec = self._manifest.io
        expected = (spec.height, spec.width)
        if composite.shape[2:] != expected or mask.shape[2:] != expected:
            raise InputError(
                f"the network takes {spec.width}x{spec.height}, got {composite.shape[3]}x{composite.shape[2]}",
                "export it for this size",
            )


class PipelineRunner(ArtifactRunner):
    """Base of a runner of a file that holds a whole pipeline: a subclass has ``harmonize``."""

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`.

        Raises:
            UsageError: always: there is no network to be run alone.
        """
        raise UsageError(
            f"the file holds a whole pipeline of {self._manifest.model}, and its network cannot be run alone",
            "give an export without --whole-pipeline",
        )
