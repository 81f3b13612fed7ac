"""Which operators TensorRT computes in integers, which graphs it refuses, and which it computes wrongly in silence.

The rules were tried with the parser and builder of TensorRT for RTX 1.7; versions come from NVIDIA's release notes
("Working with Quantized Types", "ONNX operator support").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from onnx import TensorProto

from edge_harmony.inspection.findings import Finding
from edge_harmony.inspection.graph import Graph
from edge_harmony.inspection.layers import LayerRules
from edge_harmony.inspection.refusals import Rule, quantizers, wrong_axes

_TOPK_LIMIT = 3840

# docs.nvidia.com/deeplearning/tensorrt, "Working with Quantized Types"
LAYERS = LayerRules(
    "TensorRT",
    frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Resize", "Concat", "MaxPool", "AveragePool", "Add"}),
    frozenset({"Relu", "LeakyRelu", "Clip"}),
    needs_output=False,
)


def _silent_axes(graph: Graph) -> Iterator[Finding]:
    """TensorRT takes any axis and computes along the output channels."""
    return (replace(finding, fatal=True) for finding in wrong_axes(graph))


def _nonzero_zero_points(graph: Graph) -> Iterator[Finding]:
    for node in quantizers(graph):
        if len(node.input) > 2:
            zero = graph.constants.get(node.input[2])
            if zero is not None and np.asarray(zero).any():
                yield Finding(node.name, "its zero point is not 0", "export the signed flavour")


def _unsigned_types(graph: Graph) -> Iterator[Finding]:
    for node in quantizers(graph):
        if len(node.input) > 2:
            zero = graph.constants.get(node.input[2])
            if zero is not None and np.asarray(zero).dtype == np.uint8 and not np.asarray(zero).any():
                yield Finding(node.name, "it quantizes to unsigned 8 bits", "export the signed flavour")


def _integer_biases(graph: Graph) -> Iterator[Finding]:
    for node in graph.nodes:
        if node.op_type == "DequantizeLinear" and graph.types.get(node.input[0]) == TensorProto.INT32:
            yield Finding(node.name, "it dequantizes a 32-bit bias", "export the signed flavour: float biases")


def _integer_operators(graph: Graph) -> Iterator[Finding]:
    for node in graph.nodes:
        if node.op_type.startswith("QLinear") or node.op_type in ("ConvInteger", "MatMulInteger"):
            yield Finding(node.name, f"{node.op_type} is not read", "export Q/DQ pairs")
        if node.op_type == "NonZero":
            yield Finding(node.name, "NonZero has a result of unknown size", "use a mask instead")


def _large_topk(graph: Graph) -> Iterator[Finding]:
    for node in graph.nodes:
        if node.op_type == "TopK" and len(node.input) > 1:
            k = graph.constants.get(node.input[1])
            if k is not None and int(np.asarray(k).ravel()[0]) > _TOPK_LIMIT:
                yield Finding(node.name, f"TopK takes at most {_TOPK_LIMIT}", "use fewer neighbours")


def _byte_inputs(graph: Graph) -> Iterator[Finding]:
    bytes_in = {value.name for value in graph.model.graph.input if graph.types.get(value.name) == TensorProto.UINT8}
    for node in graph.nodes:
        if node.op_type == "Transpose" and node.input[0] in bytes_in:
            yield Finding(node.name, "Transpose reads 8-bit pictures", "cast to float first")
    bytes_out = {value.name for value in graph.model.graph.output if graph.types.get(value.name) == TensorProto.UINT8}
    for node in graph.nodes:
        before = graph.producer.get(node.input[0]) if node.input else None
        if node.op_type == "Transpose" and node.output[0] in bytes_out and before is not None:
            yield Finding(node.name, "Transpose makes 8-bit pictures", "transpose in float, cast last")


def _antialias(graph: Graph) -> Iterator[Finding]:
    for node in graph.nodes:
        if node.op_type == "Resize" and any(a.name == "antialias" and a.i for a in node.attribute):
            yield Finding(node.name, "Resize with antialias is not read", "average pool, then resize")


def _mixed_halves(graph: Graph) -> Iterator[Finding]:
    for node in graph.nodes:
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            kinds = {graph.types.get(name) for name in node.input[:2]}
            if kinds == {TensorProto.FLOAT, TensorProto.FLOAT16}:
                yield Finding(
                    node.name, "its input and its weights have different types", "export fp16 with this package"
                )


def _open_shapes(graph: Graph) -> Iterator[Finding]:
    for value in graph.model.graph.input:
        dimensions = value.type.tensor_type.shape.dim
        if any(not dimension.HasField("dim_value") for dimension in dimensions):
            yield Finding(
                value.name, "its shape is open", "give shapes when building: --minShapes --optShapes --maxShapes", False
            )


REFUSALS: tuple[Rule, ...] = (
    _silent_axes,
    _nonzero_zero_points,
    _unsigned_types,
    _integer_biases,
    _integer_operators,
    _large_topk,
    _byte_inputs,
    _antialias,
    _mixed_halves,
    _open_shapes,
)
