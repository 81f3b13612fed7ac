"""Rules that find, before a build, what a runtime refuses to load, computes wrongly without a word, or runs slowly.

Rules that several runtimes share are here; the folder of a backend holds its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from onnx import NodeProto

from edge_harmony.inspection.findings import Finding
from edge_harmony.inspection.graph import Graph

Rule = Callable[[Graph], Iterator[Finding]]


def find_refusals(graph: Graph, rules: Iterable[Rule], opset_ceiling: int | None = None) -> list[Finding]:
    """All findings of a runtime's rules and of the rules for every runtime.

    Args:
        graph: the graph of the file.
        rules: the rules of the runtime.
        opset_ceiling: the newest ai.onnx opset that the target's version reads; None for no limit.
    """
    findings = [finding for rule in (_scales, *rules) for finding in rule(graph)]
    if opset_ceiling is not None and graph.opset > opset_ceiling:
        findings.insert(
            0,
            Finding("the file", f"opset {graph.opset} is above {opset_ceiling}", f"export with opset {opset_ceiling}"),
        )
    return findings


def quantizers(graph: Graph) -> Iterator[NodeProto]:
    """The nodes that quantize or dequantize."""
    return (node for node in graph.nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear"))


def _scales(graph: Graph) -> Iterator[Finding]:
    for node in quantizers(graph):
        scale = graph.constants.get(node.input[1])
        if scale is not None and not (np.isfinite(scale).all() and (np.asarray(scale) > 0).all()):
            yield Finding(node.name, "its scale is not positive and finite", "calibrate again")


def wrong_axes(graph: Graph) -> Iterator[Finding]:
    """Per-channel scales along another axis than the weights' output channels: accepted, and computed wrongly."""
    for node in graph.nodes:
        if node.op_type not in ("Conv", "ConvTranspose") or len(node.input) < 2:
            continue
        source = graph.producer.get(node.input[1])
        if source is None or source.op_type != "DequantizeLinear":
            continue
        scale = graph.constants.get(source.input[1])
        if scale is None or np.asarray(scale).size == 1:
            continue
        axis = next((a.i for a in source.attribute if a.name == "axis"), 1)
        expected = 0 if node.op_type == "Conv" else 1
        if axis != expected:
            problem = f"the scales of its weights lie along axis {axis}, its output channels along {expected}"
            yield Finding(node.name, problem, "quantize per output channel", fatal=False)


def signed_activations(graph: Graph) -> Iterator[Finding]:
    """Signed activations, which CPU runtimes compute more slowly than float."""
    for node in graph.nodes:
        if node.op_type != "QuantizeLinear" or len(node.input) < 3:
            continue
        zero = graph.constants.get(node.input[2])
        if zero is not None and np.asarray(zero).dtype == np.int8:
            yield Finding(
                node.name, "signed activations run slower than float here", "export the unsigned flavour", False
            )
            return
