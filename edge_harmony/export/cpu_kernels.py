"""Changes to a graph with which the kernels of CPU runtimes compute equal results in less time.

They are for the unsigned flavour; graphs for other targets stay as the exporter writes them. What they bring is in
``docs/quantization.md``.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, numpy_helper

_CHANNELS = 4
"""ONNX Runtime's direct integer convolutions take input channels by fours (``FilterInputChannelPackCount`` in
onnxruntime/core/mlas/lib/convsym.cpp); for other numbers it copies every window of the input first."""


def for_cpu_kernels(model: ModelProto) -> ModelProto:
    """A copy of a Q/DQ graph for CPU runtimes, with results that are equal but for the order of sums in means.

    - A mean over axis 2 of a tensor that has one element along axis 3 becomes a mean over both axes, because ONNX
      Runtime is fast for axes at the end.
    - A convolution of concatenated planes reads the last plane again, with weights of zero, as often as it takes for a
      number of channels that is a multiple of four.

    Args:
        model: as :func:`~edge_harmony.export.unsigned.to_unsigned` returns it.

    Returns:
        A new model.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = _Graph(result)
    for node in result.graph.node:
        if node.op_type == "ReduceMean":
            graph.reduce_at_the_end(node)
        elif node.op_type == "Conv":
            graph.pad_channels(node)
    return result


class _Graph:
    """A graph that is being changed, with its constants, shapes, producers and numbers of readers by tensor."""

    def __init__(self, model: ModelProto) -> None:
        self.graph = model.graph
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.producer = {name: node for node in self.graph.node for name in node.output}
        self.readers = Counter(name for node in self.graph.node for name in node.input)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self.shapes = {
            value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
            for value in (*inferred.input, *inferred.value_info)
        }

    def reduce_at_the_end(self, mean: NodeProto) -> None:
        axes = self.constants.get(mean.input[1]) if len(mean.input) > 1 else None
        if axes is None or numpy_helper.to_array(axes).tolist() != [2] or not _is(mean, "keepdims", 1):
            return
        if self.shapes.get(mean.input[0], [])[3:] != [1]:
            return
        mean.input[1] = "axes_2_3"
        if "axes_2_3" not in self.constants:
            tensor = self.graph.initializer.add()
            tensor.CopyFrom(numpy_helper.from_array(np.array([2, 3], np.int64), "axes_2_3"))
            self.constants[tensor.name] = tensor

    def pad_channels(self, conv: NodeProto) -> None:
        planes, pair = self._planes(conv), self.producer.get(conv.input[1])
        tensor = None if pair is None else self.constants.get(pair.input[0])
        if planes is None or tensor is None or self.readers[tensor.name] > 1 or not _is(conv, "group", 1):
            return
        levels = numpy_helper.to_array(tensor)
        missing = -levels.shape[1] % _CHANNELS
        planes.input.extend([planes.input[-1]] * missing)
        levels = np.pad(levels, ((0, 0), (0, missing), (0, 0), (0, 0)))
        tensor.CopyFrom(numpy_helper.from_array(levels, tensor.name))

    def _planes(self, conv: NodeProto) -> NodeProto | None:
        """The concatenation, last of a single plane, that a convolution reads through a pair, and nothing else does."""
        node = conv
        for kind in ("DequantizeLinear", "QuantizeLinear", "Concat"):
            name = node.input[0]
            if name not in self.producer or self.producer[name].op_type != kind or self.readers[name] > 1:
                return None
            node = self.producer[name]
        return node if _is(node, "axis", 1) and self.shapes.get(node.input[-1], [])[1:2] == [1] else None


def _is(node: NodeProto, attribute: str, value: int) -> bool:
    return all(found.i == value for found in node.attribute if found.name == attribute)
