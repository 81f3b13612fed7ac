"""What a target refuses to load, or takes silently and gets wrong, found in the file before it is built.

The TensorRT rules were tried with the parser and builder of TensorRT for RTX 1.7; versions come from NVIDIA's release
notes ("Working with Quantized Types", "ONNX operator support").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from onnx import NodeProto, TensorProto

from edge_harmony.inspection.graph import Graph

_TOPK_LIMIT = 3840


@dataclass(frozen=True)
class Finding:
    """Something about a file that a target will not take.

    Attributes:
        node: where.
        problem: what it is.
        fix: what to do.
        fatal: the target refuses the file, or computes something else; otherwise it is merely slow.
    """

    node: str
    problem: str
    fix: str
    fatal: bool = True


Rule = Callable[[Graph], Iterator[Finding]]


def find_refusals(graph: Graph, runtime: str, opset_ceiling: int | None = None) -> list[Finding]:
    """All findings for a runtime (a key of :data:`RULES`).

    Args:
        graph: the file.
        runtime: whose rules.
        opset_ceiling: the newest ai.onnx opset that the target's version reads; None for no limit.
    """
    findings = [finding for rule in (*COMMON, *RULES.get(runtime, ())) for finding in rule(graph)]
    if opset_ceiling is not None and graph.opset > opset_ceiling:
        findings.insert(
            0,
            Finding("the file", f"opset {graph.opset} is above {opset_ceiling}", f"export with opset {opset_ceiling}"),
        )
    return findings


def _quantizers(graph: Graph) -> Iterator[NodeProto]:
    return (node for node in graph.nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear"))


def _scales(graph: Graph) -> Iterator[Finding]:
    for node in _quantizers(graph):
        scale = graph.constants.get(node.input[1])
        if scale is not None and not (np.isfinite(scale).all() and (np.asarray(scale) > 0).all()):
            yield Finding(node.name, "its scale is not positive and finite", "calibrate again")


def _axes(graph: Graph) -> Iterator[Finding]:
    """Per-channel scales along another axis than the weights' output channels: taken silently, and wrong."""
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


def _nonzero_zero_points(graph: Graph) -> Iterator[Finding]:
    for node in _quantizers(graph):
        if len(node.input) > 2:
            zero = graph.constants.get(node.input[2])
            if zero is not None and np.asarray(zero).any():
                yield Finding(node.name, "its zero point is not 0", "export the signed flavour")


def _unsigned_types(graph: Graph) -> Iterator[Finding]:
    for node in _quantizers(graph):
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


def _signed_activations(graph: Graph) -> Iterator[Finding]:
    for node in graph.nodes:
        if node.op_type != "QuantizeLinear" or len(node.input) < 3:
            continue
        zero = graph.constants.get(node.input[2])
        if zero is not None and np.asarray(zero).dtype == np.int8:
            yield Finding(
                node.name, "signed activations run slower than float here", "export the unsigned flavour", False
            )
            return


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


def _silent_axes(graph: Graph) -> Iterator[Finding]:
    """TensorRT takes any axis and computes along the output channels."""
    return (replace(finding, fatal=True) for finding in _axes(graph))


COMMON: tuple[Rule, ...] = (_scales,)
_TENSORRT: tuple[Rule, ...] = (
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
RULES: dict[str, tuple[Rule, ...]] = {
    "onnxruntime": (_axes, _signed_activations),
    "openvino": (_axes, _signed_activations, _signed_concat),
    "tensorrt": _TENSORRT,
    "tensorrt-rtx": _TENSORRT,
}
