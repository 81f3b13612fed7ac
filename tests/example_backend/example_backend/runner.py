"""Running a file of the example backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_harmony.backends.artifact_runner import ArtifactRunner
from edge_harmony.files.manifest import Manifest


class ExampleRunner(ArtifactRunner):
    """A session that fuses nothing; :class:`ArtifactRunner` has the rest of a runner."""

    def __init__(self, path: Path, manifest: Manifest, threads: int) -> None:
        super().__init__(manifest)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if manifest.engine == {"order": "priority"}:
            options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
        self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """One batch; the session may be used by several threads."""
        self._check_size(composite, mask)
        return self._session.run(None, {"composite": composite, "mask": mask})[0]

    def close(self) -> None:
        """Free the session."""
        self._session = None
