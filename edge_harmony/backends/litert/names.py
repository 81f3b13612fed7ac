"""What LiteRT files are called."""

from __future__ import annotations

from edge_harmony.backends.base import ExportRequest
from edge_harmony.files.artifacts import artifact_name

LAYOUT = "NHWC"
"""The order of the axes of a file's inputs and output: pictures, rows, columns, channels."""


def file_name(request: ExportRequest) -> str:
    """The name of the file that a request makes, see :func:`edge_harmony.files.artifacts.artifact_name`."""
    return artifact_name(
        request.model, *request.working_size, request.precision, ".tflite", keep_float=request.keep_float
    )
