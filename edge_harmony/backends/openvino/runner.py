"""Run an exported network in OpenVINO."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.artifact_runner import ArtifactRunner
from edge_harmony.backends.openvino.library import openvino
from edge_harmony.errors import ArtifactError, last_line
from edge_harmony.files.manifest import Manifest


class OpenVinoRunner(ArtifactRunner):
    """An ONNX file on OpenVINO's CPU device.

    Float layers compute in 32 bits. By default OpenVINO computes in bfloat16 on CPUs that support it
    (https://docs.openvino.ai, "Precision Control").

    Args:
        path: of the model.
        manifest: its manifest, verified by the caller.
        threads: 0 leaves the choice to OpenVINO.

    Raises:
        ArtifactError: OpenVINO does not take the file.
    """

    def __init__(self, path: Path, manifest: Manifest, threads: int = 0) -> None:
        super().__init__(manifest)
        self._core: Any = openvino.Core()
        self._settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        if threads:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        self._requests: dict[int, Any] = {}
        self._one_at_a_time = threading.Lock()  # a request has one set of buffers
        try:
            self._model: Any = self._core.read_model(path)
            self._request(1)
        except Exception as error:  # OpenVINO raises RuntimeError and its own kinds
            raise ArtifactError(f"OpenVINO does not take {path} ({last_line(error)})", "export it again") from None

    def _request(self, batch: int) -> Any:
        """An inference request for a batch size; a fixed one is faster than an open one, and compiled once."""
        if batch not in self._requests:
            model, spec = self._model.clone(), self._manifest.io
            sides = [spec.height, spec.width]
            model.reshape({"composite": [batch, 3, *sides], "mask": [batch, 1, *sides]})
            self._requests[batch] = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        return self._requests[batch]

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        if self._model is None:
            raise RuntimeError("the runner is closed")
        self._check_size(composite, mask)
        with self._one_at_a_time:
            request = self._request(len(composite))
            results = request.infer({"composite": composite, "mask": mask}, share_inputs=True)
            output: NDArray[np.float32] = np.array(results[0])  # a copy: the request writes into its own memory
        return output

    def close(self) -> None:
        """Free the compiled networks."""
        self._requests.clear()
        self._model = None
