"""Weights in 16 bits where that loses nothing.

Shipped weights are stored in 16 bits, so the layers that stay float in an INT8 file (the fully connected ones) hold
numbers that 16 bits express exactly. The file stores those, and converts each once: ONNX Runtime and OpenVINO do so
when they load it, so neither results nor times change.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

_LEAST_BYTES = 1 << 16
"""Smaller tensors are not worth a node of their own."""


def store_in_half(model: ModelProto) -> ModelProto:
    """A copy of a graph whose large float weights are stored in 16 bits, those that 16 bits do not change.

    Args:
        model: any graph; operators see float32 as before.

    Returns:
        A new model; equal to ``model`` where no weight qualifies.
    """
    result = ModelProto()
    result.CopyFrom(model)
    casts = []
    for tensor in result.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.nbytes < _LEAST_BYTES or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}_float", to=TensorProto.FLOAT))
    nodes = [*casts, *result.graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result
