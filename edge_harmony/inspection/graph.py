"""An ONNX graph with its constants, types, producers and consumers at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from edge_harmony.errors import ArtifactError, UsageError, parsing

CONVERTERS = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast"})
"""Operators that only change the type of a tensor."""

BOOKKEEPING = frozenset({"Constant", "Shape", "Gather", "Unsqueeze", "Squeeze", "Slice", "Reshape", "Identity", "Size"})
"""Operators that only move numbers or handle sizes."""


@dataclass
class Graph:
    """A graph with an index.

    Attributes:
        model: the ONNX model.
        nodes: in topological order, named.
        constants: initializers and constant nodes by name.
        types: element type by tensor name, as far as type inference knows it.
        producer: node that writes a tensor, by the tensor's name.
        consumers: nodes that read a tensor, by the tensor's name.
    """

    model: ModelProto
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    producer: dict[str, NodeProto] = field(default_factory=dict)
    consumers: dict[str, list[NodeProto]] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """Version of the ai.onnx operators."""
        return next((entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx")), 0)

    def source(self, name: str) -> NodeProto | None:
        """The node that computes a tensor; casts and quantization in between are skipped."""
        node = self.producer.get(name)
        while node is not None and node.op_type in CONVERTERS:
            node = self.producer.get(node.input[0])
        return node

    def is_quantized(self, name: str) -> bool:
        """Whether a tensor is the output of a DequantizeLinear."""
        node = self.producer.get(name)
        return node is not None and node.op_type == "DequantizeLinear"

    def is_requantized(self, name: str) -> bool:
        """Whether a tensor is read, and only by QuantizeLinear nodes."""
        readers = self.consumers.get(name, [])
        return bool(readers) and all(node.op_type == "QuantizeLinear" for node in readers)


def read_graph(path: Path) -> Graph:
    """Read and index an ONNX file.

    Raises:
        UsageError: there is no such file.
        ArtifactError: it is damaged or not ONNX.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder, no ONNX file", "name a file that ends in .onnx")
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "check the path")
    with parsing(f"{path} is no usable ONNX file", "export it again", ArtifactError):
        model = onnx.load(path)
        onnx.checker.check_model(model)
        inferred = onnx.shape_inference.infer_shapes(model)
        constants = read_constants(model)
    return index(model, inferred, constants)


def read_constants(model: ModelProto) -> dict[str, NDArray[np.generic]]:
    """Initializers and constant nodes of a model by name."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            tensors[node.output[0]] = node.attribute[0].t
    return {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}


def index(
    model: ModelProto, inferred: ModelProto | None = None, constants: dict[str, NDArray[np.generic]] | None = None
) -> Graph:
    """Index a model.

    Args:
        model: the model.
        inferred: this model with the types of its tensors; by default they are inferred now.
        constants: its constants; by default they are read now.
    """
    graph = Graph(model, constants=read_constants(model) if constants is None else constants)
    for tensor in model.graph.initializer:
        graph.types[tensor.name] = tensor.data_type
    typed = (inferred or onnx.shape_inference.infer_shapes(model)).graph
    for value in (*typed.input, *typed.value_info, *typed.output):
        graph.types[value.name] = value.type.tensor_type.elem_type
    for number, node in enumerate(model.graph.node):
        if not node.name:
            node.name = f"{node.op_type}_{number}"
        graph.nodes.append(node)
        for name in node.output:
            graph.producer[name] = node
        for name in dict.fromkeys(node.input):
            graph.consumers.setdefault(name, []).append(node)
    return graph
