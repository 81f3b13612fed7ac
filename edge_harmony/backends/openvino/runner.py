"""Run an exported network in OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from edge_harmony.artifact import IOSpec, Manifest
from edge_harmony.errors import ArtifactError, InputError


class OpenVinoRunner:
    """An ONNX file on OpenVINO's CPU device.

    Float stays 32 bits: left alone, OpenVINO computes in bfloat16 on CPUs that have it
    (https://docs.openvino.ai, "Precision Control").

    Args:
        path: of the model.
        manifest: its manifest, verified by the caller.
        threads: 0 leaves the choice to OpenVINO.

    Raises:
        ArtifactError: OpenVINO does not take the file.
    """

    def __init__(self, path: Path, manifest: Manifest, threads: int = 0) -> None:
        self._core: Any = openvino.Core()
        self._settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        if threads:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        self._manifest = manifest
        self._requests: dict[int, Any] = {}
        try:
            self._model: Any = self._core.read_model(path)
            self._request(1)
        except Exception as error:  # OpenVINO raises RuntimeError and its own kinds
            first = str(error).strip().splitlines()[-1]
            raise ArtifactError(f"OpenVINO does not take {path} ({first})", "export it again") from None

    @property
    def io_spec(self) -> IOSpec:
        """Working size and kind of output."""
        return self._manifest.io

    @property
    def sha256(self) -> str:
        """Hash of the ONNX file."""
        return self._manifest.file_sha256

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
        spec = self._manifest.io
        expected = (spec.height, spec.width)
        if composite.shape[2:] != expected or mask.shape[2:] != expected:
            raise InputError(
                f"the network takes {spec.width}x{spec.height}, got {composite.shape[3]}x{composite.shape[2]}",
                "export it for this size",
            )
        request = self._request(len(composite))
        results = request.infer({"composite": composite, "mask": mask}, share_inputs=True)
        output: NDArray[np.float32] = np.array(results[0])  # a copy: the request writes into its own memory
        return output

    def synchronize(self) -> None:
        """Nothing to wait for: inference returns when it is done."""

    def close(self) -> None:
        """Free what was compiled."""
        self._requests.clear()
        self._model = None
