"""Operators that ONNX Runtime computes in integers, and rules for files that it runs slowly or wrongly."""

from __future__ import annotations

from edge_harmony.inspection.layers import LayerRules
from edge_harmony.inspection.refusals import Rule, signed_activations, wrong_axes

# onnxruntime/core/optimizer/qdq_transformer/selectors_actions: the groups that become QLinear operators
LAYERS = LayerRules(
    "ONNX Runtime",
    frozenset({"Conv", "Gemm", "MatMul", "Resize", "Concat", "MaxPool", "AveragePool", "Add", "Mul"}),
    frozenset({"Relu", "Clip"}),
    needs_output=True,
)
REFUSALS: tuple[Rule, ...] = (wrong_axes, signed_activations)
