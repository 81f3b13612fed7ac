"""Operators that OpenVINO computes in integers, and rules for files that it runs slowly or wrongly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_harmony.inspection.findings import Finding
from edge_harmony.inspection.graph import Graph
from edge_harmony.inspection.layers import LayerRules
from edge_harmony.inspection.refusals import Rule, signed_activations, wrong_axes

# docs.openvino.ai, "Low Precision Transformations"
LAYERS = LayerRules(
    "OpenVINO",
    frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Resize", "Concat", "MaxPool", "AveragePool", "Add"}),
    frozenset({"Relu", "LeakyRelu", "Clip", "PRelu"}),
    needs_output=False,
)


def _signed_concat(graph: Graph) -> Iterator[Finding]:
    for node in graph.nodes:
        if node.op_type != "Concat" or not all(graph.is_quantized(name) for name in node.input):
            continue
        for name in node.input:
            zero = graph.constants.get(graph.producer[name].input[2]) if len(graph.producer[name].input) > 2 else None
            if zero is not None and np.asarray(zero).dtype == np.int8:
                problem = "a concatenation of signed 8-bit tensors gives wrong numbers"
                yield Finding(node.name, problem, "export the unsigned flavour", False)
                break


REFUSALS: tuple[Rule, ...] = (wrong_axes, signed_activations, _signed_concat)
