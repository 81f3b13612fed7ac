"""Run a LiteRT file in the interpreter of ai-edge-litert."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edge_harmony.backends.artifact_runner import ArtifactRunner
from edge_harmony.backends.litert.contents import read_model
from edge_harmony.errors import ArtifactError, parsing
from edge_harmony.files.manifest import Manifest
from edge_harmony.files.stderr import silent_libraries


class LiteRTRunner(ArtifactRunner):
    """A LiteRT file on the CPU, by the kernels of XNNPACK where it has them.

    Args:
        path: of the file.
        manifest: its manifest, verified by the caller.
        threads: 0 leaves the choice to LiteRT, which takes one.

    Raises:
        ArtifactError: LiteRT does not take the file.
    """

    def __init__(self, path: Path, manifest: Manifest, threads: int = 0) -> None:
        super().__init__(manifest)
        self._one_at_a_time = threading.Lock()  # an interpreter has one set of tensors
        read_model(path)  # LiteRT does not check what it is given
        with parsing(f"LiteRT does not take {path}", "export it again", ArtifactError):
            with silent_libraries():  # LiteRT says which kernels it chose
                self._interpreter: Any = Interpreter(model_path=str(path), num_threads=threads or None)
                self._interpreter.allocate_tensors()
            self._network: Any = self._interpreter.get_signature_runner()

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`; the pictures of a batch are run one after another."""
        if self._network is None:
            raise RuntimeError("the runner is closed")
        self._check_size(composite, mask)
        channels_last = [np.ascontiguousarray(each.transpose(0, 2, 3, 1)) for each in (composite, mask)]
        results = []
        with self._one_at_a_time:
            for picture, its_mask in zip(*channels_last, strict=True):
                (result,) = self._network(composite=picture[None], mask=its_mask[None]).values()
                results.append(result)
        return np.ascontiguousarray(np.concatenate(results).transpose(0, 3, 1, 2))

    def close(self) -> None:
        """Free the interpreter."""
        self._network = self._interpreter = None
