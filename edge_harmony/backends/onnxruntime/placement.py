"""The operators of the graph into which ONNX Runtime optimizes a file."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import onnx
import onnxruntime

from edge_harmony.backends.onnxruntime.runner import open_session


def placed_operators(path: Path) -> dict[str, int]:
    """Operators of the graph after ONNX Runtime's optimizations on this machine's CPU, most frequent first.

    Raises:
        ArtifactError: ONNX Runtime does not take the file.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(optimized)
        open_session(path, options)
        counts = Counter(node.op_type for node in onnx.load(optimized).graph.node)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
