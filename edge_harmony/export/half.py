"""A float graph with its convolutions in half precision: typed FP16, as strongly typed TensorRT networks need it.

Convolutions, and the activations, resizes, sums and concatenations after them, compute in 16 bits. Everything else
stays in 32 bits: masked statistics sum tens of thousands of pixels and their squares, which exceeds the range (65,504)
and the resolution of half precision. Where the two meet, tensors are cast, each one once.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edge_harmony.errors import CapabilityError

_ALWAYS = {"Conv", "ConvTranspose"}
_AFTER_HALF = {"Relu", "LeakyRelu", "Resize", "MaxPool"}
_IF_ALL_HALF = {"Add", "Concat"}
_DATA_INPUTS = {"Resize": 1, "Relu": 1, "LeakyRelu": 1, "MaxPool": 1}
"""Number of inputs that carry data, for operators whose other inputs are sizes or settings."""


def to_half(model: ModelProto) -> ModelProto:
    """A copy of a float graph in half precision; inputs and outputs of the graph stay float32.

    Args:
        model: as the exporter writes it for ``fp32``.

    Returns:
        A new model.

    Raises:
        CapabilityError: weights exceed the range of half precision.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    half_nodes, half_tensors = _choose(graph.node, set(constants))
    nodes: list[NodeProto] = []
    casts: dict[tuple[str, int], str] = {}
    halved: dict[str, str] = {}

    def cast(name: str, to: int) -> str:
        if (name, to) not in casts:
            target = f"{name}_{'half' if to == TensorProto.FLOAT16 else 'float'}"
            nodes.append(helper.make_node("Cast", [name], [target], name=f"cast_{target}", to=to))
            casts[name, to] = target
        return casts[name, to]

    for node in graph.node:
        is_half = node.name in half_nodes
        count = _DATA_INPUTS.get(node.op_type, len(node.input)) if is_half else len(node.input)
        for k, name in enumerate(node.input):
            if not name or k >= count:
                continue
            if is_half and name in constants:
                halved.setdefault(name, f"{name}_half")
                node.input[k] = halved[name]
            elif is_half and name not in half_tensors:
                node.input[k] = cast(name, TensorProto.FLOAT16)
            elif not is_half and name in half_tensors:
                node.input[k] = cast(name, TensorProto.FLOAT)
        nodes.append(node)
    for output in graph.output:
        if output.name in half_tensors:
            _rename_result(nodes, output.name)
    for name, new in halved.items():
        graph.initializer.append(numpy_helper.from_array(_to_half(name, constants[name]), new))
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in graph.node for name in node.input}
    initializers = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    del graph.value_info[:]
    return result


def _choose(nodes: list[NodeProto], constants: set[str]) -> tuple[set[str], set[str]]:
    """Names of the nodes that compute in half precision, and of their outputs; ``nodes`` in topological order."""
    chosen: set[str] = set()
    tensors: set[str] = set()
    for node in nodes:
        inputs = [name for name in node.input if name and name not in constants]
        if (
            node.op_type in _ALWAYS
            or (node.op_type in _AFTER_HALF and node.input[0] in tensors)
            or (node.op_type in _IF_ALL_HALF and inputs and all(name in tensors for name in inputs))
        ):
            chosen.add(node.name)
            tensors.update(node.output)
    return chosen, tensors


def _rename_result(nodes: list[NodeProto], name: str) -> None:
    """Cast a graph output that is computed in half precision to float32; it keeps its name."""
    inner = f"{name}_half"
    for node in nodes:
        for names in (node.input, node.output):
            for k, other in enumerate(names):
                if other == name:
                    names[k] = inner
    nodes.append(helper.make_node("Cast", [inner], [name], name=f"cast_{name}", to=TensorProto.FLOAT))


def _to_half(name: str, value: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        result = value.astype(np.float16)
    if not np.isfinite(result).all():
        raise CapabilityError(f"{name} exceeds the range of half precision", "export fp32 or int8")
    return result
