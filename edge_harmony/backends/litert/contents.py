"""A LiteRT file read and checked: LiteRT itself follows the numbers in a file wherever they lead.

The format is that of https://ai.google.dev/edge/litert (``schema.fbs``), whose Python classes are in ai-edge-litert.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edge_harmony.errors import ArtifactError, parsing

_IDENTIFIER = slice(4, 8)
_LEFT_OUT = -1
"""The number of an optional input that is not given."""
_BYTES = {
    schema.TensorType.FLOAT32: 4,
    schema.TensorType.FLOAT16: 2,
    schema.TensorType.INT32: 4,
    schema.TensorType.INT64: 8,
    schema.TensorType.INT8: 1,
    schema.TensorType.UINT8: 1,
    schema.TensorType.BOOL: 1,
}
_MOST_ELEMENTS = 1 << 31


def read_model(path: Path) -> Any:
    """A file as an object of the schema's ``ModelT``; what it refers to is there.

    Raises:
        ArtifactError: it is no LiteRT file, or damaged.
    """
    content = path.read_bytes()
    if content[_IDENTIFIER] != b"TFL3":
        raise ArtifactError(f"{path} is no LiteRT file", "export the network for the target, and check the .tflite")
    with parsing(f"{path} is damaged", "export it again", ArtifactError):
        model = schema.ModelT.InitFromPackedBuf(content)
        for graph in model.subgraphs:
            _check_tensors(graph.tensors, model.buffers)
            _check_operators(graph, model)
        for signature in model.signatureDefs or ():
            graph = model.subgraphs[_index(signature.subgraphIndex, model.subgraphs, "a signature's graph")]
            for entry in (*signature.inputs, *signature.outputs):
                _index(entry.tensorIndex, graph.tensors, "a signature's tensor")
    return model


def _index(number: int, things: Any, name: str) -> int:
    """A number that is one of a list.

    Raises:
        ValueError: it is not.
    """
    if not 0 <= number < len(things):
        raise ValueError(f"{name} is number {number} of {len(things)}")
    return number


def _check_tensors(tensors: Iterable[Any], buffers: list[Any]) -> None:
    """Shapes are possible, constants as long as these say, and each channel has its scale."""
    for tensor in tensors:
        shape = [] if tensor.shape is None else [int(side) for side in tensor.shape]
        count = math.prod(shape)
        if min(shape, default=1) < 0 or count >= _MOST_ELEMENTS:
            raise ValueError(f"a tensor has the shape {shape}")
        data = buffers[_index(tensor.buffer, buffers, "a tensor's buffer")].data
        if data is not None and len(data) != count * _BYTES.get(tensor.type, 0):
            raise ValueError(f"a constant of the shape {shape} has {len(data)} bytes")
        given = tensor.quantization
        if given is None or given.scale is None:
            continue
        axis = given.quantizedDimension
        scales = len(given.scale)
        if scales != 1 and scales != shape[_index(axis, shape, "the axis of scales")]:
            raise ValueError(f"a tensor of the shape {shape} has {scales} scales along axis {axis}")
        if given.zeroPoint is None or len(given.zeroPoint) != scales:
            raise ValueError(f"a tensor has {scales} scales and other zero points")


def _check_operators(graph: Any, model: Any) -> None:
    """Operators take what is given, constant, or computed before them."""
    tensors = graph.tensors
    known = {_index(number, tensors, "an input") for number in graph.inputs}
    known |= {number for number, tensor in enumerate(tensors) if model.buffers[tensor.buffer].data is not None}
    for operator in graph.operators:
        _index(operator.opcodeIndex, model.operatorCodes, "an operator's kind")
        for number in operator.inputs:
            if number != _LEFT_OUT and _index(number, tensors, "an operator's input") not in known:
                raise ValueError(f"an operator takes tensor {number} before it is computed")
        if not len(operator.outputs):
            raise ValueError("an operator has no output")
        known |= {_index(number, tensors, "an operator's output") for number in operator.outputs}
    for number in graph.outputs:
        if _index(number, tensors, "an output") not in known:
            raise ValueError(f"the output {number} is not computed")
