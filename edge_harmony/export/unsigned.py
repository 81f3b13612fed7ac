"""From the TensorRT/Core ML flavour of a Q/DQ graph to the ONNX Runtime/OpenVINO flavour.

The exporter writes signed 8 bits with zero point 0 and float biases, which TensorRT demands. ONNX Runtime's CPU
kernels are several times faster on unsigned activations (signed ones run slower than float), and want biases as
32-bit integers. This pass changes the types and zero points and keeps every scale, so both flavours hold the same
numbers:

- activations become unsigned: zero point 0 where the tensor is provably not negative (after ReLU and through
  operators that keep the sign), else 128;
- a convolution's bias becomes int32 with the scale ``input scale * weight scale``.

Limits: a signed value saturates at 127 steps, an unsigned one with zero point 0 at 255: beyond the calibrated range
the latter follows the float network further.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

_KEEPS_SIGN = {
    "Resize",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "DepthToSpace",
    "SpaceToDepth",
    "Slice",
    "Identity",
    "Reshape",
    "Transpose",
    "Flatten",
    "QuantizeLinear",
    "DequantizeLinear",
}
_NOT_NEGATIVE = {"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Sqrt", "Exp"}
_KEEPS_IF_ALL = {"Concat", "Add", "Mul", "Max", "Min"}


def to_unsigned(model: ModelProto) -> ModelProto:
    """A copy of a signed Q/DQ graph, rewritten for ONNX Runtime and OpenVINO.

    Args:
        model: as the exporter writes it: per-tensor activations and per-channel weights, int8, zero point 0.

    Returns:
        A new model.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = _Graph(result)
    not_negative = graph.not_negative()
    for node in graph.nodes:
        is_pair = node.op_type in ("QuantizeLinear", "DequantizeLinear")
        if is_pair and node.input[0] not in graph.constants:
            graph.set_zero_point(node, 0 if node.input[0] in not_negative else 128)
    biases = [new for node in graph.nodes if node.op_type == "Conv" for new in graph.quantize_bias(node)]
    graph.finish(biases)
    return result


def unshare_zero_points(model: ModelProto) -> ModelProto:
    """A copy of a graph in which the dequantization of every weight has its own zero point.

    The exporter shares equal constants, and ONNX Runtime's pass for CPUs without VNNI (session.x64quantprecision)
    fails on a zero point that two convolutions share.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = _Graph(result)
    for node in graph.nodes:
        if node.op_type == "DequantizeLinear" and node.input[0] in graph.constants:
            graph.own_zero_point(node)
    graph.finish([])
    return result


def unshare_dequantized(model: ModelProto) -> ModelProto:
    """A copy of a graph in which every consumer of a quantized tensor has its own dequantization.

    Compilers that fuse by pattern (LiteRT, ExecuTorch) match a pair of Q and DQ only if nothing else reads it. This is
    for the signed flavour; ONNX Runtime fuses shared pairs just as well.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = _Graph(result)
    graph.split_dequantizations({output.name for output in result.graph.output})
    graph.finish([])
    return result


class _Graph:
    """A graph that is being rewritten, with an index of its constants and producers."""

    def __init__(self, model: ModelProto) -> None:
        self.graph = model.graph
        for node in self.graph.node:
            if node.op_type == "Constant":
                value = numpy_helper.to_array(node.attribute[0].t)
                self.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        self.nodes: list[NodeProto] = [node for node in self.graph.node if node.op_type != "Constant"]
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        self.producer = {name: node for node in self.nodes for name in node.output}

    def not_negative(self) -> set[str]:
        """Names of tensors that cannot be below zero; nodes come in topological order."""
        names: set[str] = set()
        for node in self.nodes:
            first = node.input[0] if node.input else ""
            if (
                node.op_type in _NOT_NEGATIVE
                or (node.op_type in _KEEPS_SIGN and first in names)
                or (node.op_type in _KEEPS_IF_ALL and all(name in names for name in node.input))
            ):
                names.update(node.output)
        return names

    def set_zero_point(self, node: NodeProto, value: int) -> None:
        name = f"zero_point_u8_{value}"
        self._add(name, np.array(value, np.uint8))
        if len(node.input) > 2:
            node.input[2] = name
        else:
            node.input.append(name)
        for attribute in [a for a in node.attribute if a.name == "output_dtype"]:
            node.attribute.remove(attribute)

    def own_zero_point(self, node: NodeProto) -> None:
        name = f"{node.input[0]}_zero_point"
        self._add(name, self.constants[node.input[2]])
        node.input[2] = name

    def split_dequantizations(self, outputs: set[str]) -> None:
        """Repeat each dequantization for every reader but the first; the graph's ``outputs`` count as readers."""
        readers: dict[str, list[tuple[NodeProto, int]]] = {}
        for node in self.nodes:
            for k, name in enumerate(node.input):
                readers.setdefault(name, []).append((node, k))
        split: list[NodeProto] = []
        for node in self.nodes:
            split.append(node)
            if node.op_type != "DequantizeLinear":
                continue
            name = node.output[0]
            for number, (reader, k) in enumerate(readers.get(name, [])[name not in outputs :], 2):
                copy = NodeProto()
                copy.CopyFrom(node)
                copy.name, copy.output[0] = f"{node.name}_{number}", f"{name}_{number}"
                reader.input[k] = copy.output[0]
                split.append(copy)
        self.nodes = split

    def quantize_bias(self, conv: NodeProto) -> list[NodeProto]:
        """Replace a float bias by int32 levels and their dequantization, if input and weights are quantized."""
        if len(conv.input) < 3 or conv.input[2] not in self.constants:
            return []
        source, weight = self.producer.get(conv.input[0]), self.producer.get(conv.input[1])
        if source is None or weight is None or {source.op_type, weight.op_type} != {"DequantizeLinear"}:
            return []
        scale = (self.constants[source.input[1]] * self.constants[weight.input[1]]).astype(np.float32).reshape(-1)
        bias = self.constants[conv.input[2]]
        scale = np.broadcast_to(scale, bias.shape).copy()
        limits = np.iinfo(np.int32)
        levels = np.clip(np.rint(bias.astype(np.float64) / scale), limits.min, limits.max).astype(np.int32)
        name = conv.input[2]
        self._add(f"{name}_levels", levels)
        self._add(f"{name}_scale", scale)
        self._add(f"{name}_zero_point", np.zeros(bias.shape, np.int32))
        inputs = [f"{name}_levels", f"{name}_scale", f"{name}_zero_point"]
        output = f"{conv.name}_bias"
        node = helper.make_node("DequantizeLinear", inputs, [output], name=f"{conv.name}_bias_dequantize", axis=0)
        conv.input[2] = output
        return [node]

    def _add(self, name: str, value: NDArray[np.generic]) -> None:
        if name not in self.constants:
            self.graph.initializer.append(numpy_helper.from_array(value, name))
            self.constants[name] = value

    def finish(self, extra: list[NodeProto]) -> None:
        """Write the nodes back, first the extra ones, which read only constants; drop unused constants."""
        del self.graph.node[:]
        self.graph.node.extend(extra + self.nodes)
        used = {name for node in self.graph.node for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        del self.graph.value_info[:]
