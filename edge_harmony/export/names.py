"""Names of the ONNX files that are exported."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from edge_harmony.files.artifacts import artifact_name

Flavour = Literal["signed", "unsigned"]
"""``signed``: TensorRT and Core ML; ``unsigned``: ONNX Runtime and OpenVINO."""
DEFAULT_OPSET = 18


def onnx_name(
    model: str,
    size: tuple[int, int],
    precision: str,
    *,
    flavour: Flavour = "unsigned",
    opset: int = DEFAULT_OPSET,
    dynamic_batch: bool = True,
    keep_float: Collection[str] = (),
    whole_pipeline: bool = False,
) -> str:
    """The name of the file that :func:`edge_harmony.export.onnx.export_onnx` writes for its arguments.

    Marks beside those of :func:`~edge_harmony.files.artifacts.artifact_name`: ``signed`` for that flavour, in ``int8``
    files and whole pipelines, ``batch1`` for a fixed batch, ``opset17`` for an operator set that is not the default.
    """
    marks = []
    if flavour == "signed" and (precision == "int8" or whole_pipeline):
        marks.append("signed")
    if not (dynamic_batch or whole_pipeline):
        marks.append("batch1")
    if opset != DEFAULT_OPSET:
        marks.append(f"opset{opset}")
    return artifact_name(
        model, *size, precision, ".onnx", whole_pipeline=whole_pipeline, keep_float=keep_float, marks=marks
    )
