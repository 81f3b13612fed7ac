"""Run an exported network in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge_harmony.backends.artifact_runner import ArtifactRunner, PipelineRunner
from edge_harmony.backends.processor import read_processor
from edge_harmony.errors import ArtifactError, first_line
from edge_harmony.files.manifest import Manifest

# x86 CPUs without VNNI multiply unsigned by signed 8 bits with an instruction whose 16-bit sums saturate: wrong
# numbers. This option has ONNX Runtime use unsigned by unsigned there (onnxruntime_session_options_config_keys.h).
# From 1.25 on it does so on CPUs with VNNI, too, where unsigned by signed is exact and much faster.
_EXACT_WITHOUT_VNNI = ("session.x64quantprecision", "1")

# Its threads spin on after a run and occupy cores that the apply step or a decoder could use. This option stops them at
# the end of a run; the runs do not become slower.
_REST_BETWEEN_RUNS = ("session.force_spinning_stop", "1")

# They spin from when the session is made, too, for tens of milliseconds. One millisecond bridges the pauses between the
# operators of a run. Versions that do not know this option ignore it.
_REST_BEFORE_RUNS = ("session.intra_op.spin_duration_us", "1000")


class OnnxRuntimeRunner(ArtifactRunner):
    """An ONNX file on the CPU execution provider.

    Args:
        path: of the model.
        manifest: its manifest, verified by the caller.
        threads: for one operator; 0 leaves the choice to ONNX Runtime (all physical cores).

    Raises:
        ArtifactError: ONNX Runtime does not take the file.
    """

    def __init__(self, path: Path, manifest: Manifest, threads: int = 0) -> None:
        super().__init__(manifest)
        self._session: Any = open_session(path, _options(threads))

    def infer(self, composite: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        if self._session is None:
            raise RuntimeError("the runner is closed")
        self._check_size(composite, mask)
        output: NDArray[np.float32] = self._session.run(None, {"composite": composite, "mask": mask})[0]
        return output

    def close(self) -> None:
        """Free the session."""
        self._session = None


class OnnxRuntimePipeline(PipelineRunner):
    """A whole pipeline on the CPU execution provider; arguments and errors are those of :class:`OnnxRuntimeRunner`."""

    def __init__(self, path: Path, manifest: Manifest, threads: int = 0) -> None:
        super().__init__(manifest)
        self._session: Any = open_session(path, _options(threads))

    def harmonize(self, picture: NDArray[np.uint8], mask: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
        """See :class:`edge_harmony.backends.base.Runner`."""
        if self._session is None:
            raise RuntimeError("the runner is closed")
        feed = {"picture": picture, "mask": mask, "strength": np.array(strength, np.float32)}
        result: NDArray[np.uint8] = self._session.run(None, feed)[0]
        return result

    def close(self) -> None:
        """Free the session."""
        self._session = None


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not read_processor().has_vnni:
        options.add_session_config_entry(*_EXACT_WITHOUT_VNNI)
    options.add_session_config_entry(*_REST_BETWEEN_RUNS)
    options.add_session_config_entry(*_REST_BEFORE_RUNS)
    return options


def open_session(path: Path, options: Any) -> Any:
    """An ``InferenceSession`` on the CPU.

    Raises:
        ArtifactError: ONNX Runtime does not take the file.
    """
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise ArtifactError(f"ONNX Runtime does not take {path} ({first_line(error)})", "export it again") from None
