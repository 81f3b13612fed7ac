"""Inspection of an ONNX file by the rules of a runtime."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_harmony.inspection.findings import Inspection
from edge_harmony.inspection.graph import read_graph
from edge_harmony.inspection.layers import LayerRules, broken_chains, float_islands, report_layers
from edge_harmony.inspection.refusals import Rule, find_refusals


def inspect_onnx(
    path: Path, layer_rules: LayerRules, refusals: Iterable[Rule], opset_ceiling: int | None = None
) -> Inspection:
    """Inspect an ONNX file.

    Args:
        path: the file.
        layer_rules: the operators that the runtime computes in integers.
        refusals: rules that find what it refuses or runs slowly.
        opset_ceiling: the newest operator set that it reads; None for no limit.

    Raises:
        UsageError: there is no such file.
        ArtifactError: it is damaged or not ONNX.
    """
    graph = read_graph(path)
    return Inspection(
        layers=report_layers(graph, layer_rules),
        findings=find_refusals(graph, refusals, opset_ceiling),
        reformats=broken_chains(graph),
        islands=float_islands(graph),
        opset=graph.opset,
    )
