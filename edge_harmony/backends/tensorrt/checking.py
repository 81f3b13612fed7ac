"""Our own check of an ONNX file before TensorRT reads it."""

from __future__ import annotations

from pathlib import Path

from edge_harmony.backends.tensorrt.bridge import TensorRT
from edge_harmony.errors import ArtifactError, name_some
from edge_harmony.inspection.graph import Graph, read_graph
from edge_harmony.inspection.refusals import find_refusals


def check_file(onnx: Path, tensorrt: TensorRT) -> tuple[Graph, tuple[str, ...]]:
    """Read an ONNX file and find what TensorRT refuses obscurely, or takes and computes wrongly.

    Returns:
        The graph, and notes on what is merely slow or must be chosen.

    Raises:
        UsageError: there is no such file.
        ArtifactError: it is damaged, or has findings of the first kind; the message names the nodes.
    """
    graph = read_graph(onnx)
    findings = find_refusals(graph, "tensorrt")
    fatal = [finding for finding in findings if finding.fatal]
    if fatal:
        said = name_some([f"{finding.node}: {finding.problem}" for finding in fatal])
        raise ArtifactError(f"{tensorrt} cannot build {onnx} rightly: {said}", fatal[0].fix)
    inputs = {value.name for value in graph.model.graph.input}  # open shapes are for the build to judge
    notes = [f"{found.node}: {found.problem}; {found.fix}" for found in findings if found.node not in inputs]
    if graph.opset > tensorrt.opset_ceiling:
        notes.append(f"opset {graph.opset} is newer than what {tensorrt} documents ({tensorrt.opset_ceiling})")
    return graph, tuple(notes)
