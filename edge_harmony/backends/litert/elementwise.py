"""Arithmetic by elements, means and maxima, and changes of shape; all in float."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch.fx import Node

from edge_harmony.backends.litert.translate import (
    ATEN,
    ROUND,
    TO_SECOND,
    UNROUND,
    UNROUND_CHANNELS,
    Translator,
    Value,
    arguments,
    axis_in_file,
    in_file,
    shape_of,
    translates,
)
from edge_harmony.errors import CapabilityError

_BINARY: dict[Any, tuple[str, Any]] = {
    ATEN.sub.Tensor: ("SUB", schema.SubOptionsT),
    ATEN.mul.Tensor: ("MUL", schema.MulOptionsT),
    ATEN.div.Tensor: ("DIV", schema.DivOptionsT),
}
_UNARY: dict[Any, str] = {
    ATEN.sqrt.default: "SQRT",
    ATEN.relu.default: "RELU",
    ATEN.sigmoid.default: "LOGISTIC",
}
_REDUCTIONS: dict[Any, tuple[str, str]] = {
    ATEN.mean.dim: ("MEAN", "AVERAGE_POOL_2D"),
    ATEN.sum.dim_IntList: ("SUM", ""),
    ATEN.amax.default: ("REDUCE_MAX", "MAX_POOL_2D"),
}
"""An operator over any axes, and one over rows or columns of maps, if there is one."""
_SPATIAL = (2, 3)


@translates(*_BINARY)
def _binary(made: Translator, node: Node) -> Value:
    _without_factor(node)
    kind, options = _BINARY[node.target]
    return made.emit(kind, node, pair(made, node), shape_of(node), options())


@translates(ATEN.rsub.Scalar)
def _subtracted(made: Translator, node: Node) -> Value:
    _without_factor(node)
    value, other = pair(made, node)
    return made.emit("SUB", node, [other, value], shape_of(node), schema.SubOptionsT())


@translates(*_UNARY)
def _unary(made: Translator, node: Node) -> Value:
    return made.emit(_UNARY[node.target], node, [_operand(made, arguments(node)[0])], shape_of(node))


@translates(ATEN.clamp.default, ATEN.clamp_min.default, ATEN.clamp_max.default)
def _clamp(made: Translator, node: Node) -> Value:
    value, *limits = arguments(node)
    low, high = (None, limits[0]) if node.target == ATEN.clamp_max.default else (*limits, None)[:2]
    result = _operand(made, value)
    for kind, limit in (("MAXIMUM", low), ("MINIMUM", high)):
        if limit is not None:
            bound = made.number(float(limit))
            result = made.emit(kind, node, [result, bound], shape_of(node), schema.MaximumMinimumOptionsT())
    return result


@translates(ROUND)
def _round(made: Translator, node: Node) -> Value:
    value = _operand(made, arguments(node)[0])
    return made.emit("QUANTIZE", node, [value], value.shape, schema.QuantizeOptionsT(), scale=float(arguments(node)[1]))


@translates(UNROUND, UNROUND_CHANNELS)
def _read_where_needed(made: Translator, node: Node) -> None:
    """Layers read the levels; a reader that computes in float asks for the dequantized value."""


@translates(*_REDUCTIONS)
def _reduce(made: Translator, node: Node) -> Value:
    value, axes = (
        _operand(made, arguments(node)[0]),
        [int(axis) % len(shape_of(arguments(node)[0])) for axis in arguments(node)[1]],
    )
    keep = len(shape_of(node)) == len(value.shape)
    kind, pooled = _REDUCTIONS[node.target]
    if pooled and keep and len(value.shape) == 4 and set(axes) <= set(_SPATIAL):
        window = [
            value.shape[axis] if axis in axes else 1 for axis in _SPATIAL
        ]  # kernels for means take both axes only
        return _pool(made, node, pooled, value, window, window)
    numbers = made.integers(*(axis_in_file(axis, len(value.shape)) for axis in axes))
    if len(value.shape) == 4 and not keep:
        kept = [1 if axis in axes else side for axis, side in enumerate(value.shape)]
        whole = made.emit(kind, node, [value, numbers], kept, schema.ReducerOptionsT(keepDims=True))
        return _reshape(made, node, whole)
    return made.emit(kind, node, [value, numbers], shape_of(node), schema.ReducerOptionsT(keepDims=keep))


@translates(ATEN.avg_pool2d.default)
def _average(made: Translator, node: Node) -> Value:
    value, window, stride, *rest = arguments(node)
    if rest and any(rest[0]):
        raise CapabilityError("LiteRT files cannot hold pooling with padding", "pool without it")
    return _pool(made, node, "AVERAGE_POOL_2D", _operand(made, value), window, stride or window)


def _pool(made: Translator, node: Node, kind: str, value: Value, window: Any, stride: Any) -> Value:
    if list(window) == [1, 1] == list(stride):
        return value
    options = schema.Pool2DOptionsT(padding=schema.Padding.VALID)
    (options.filterHeight, options.filterWidth), (options.strideH, options.strideW) = window, stride
    return made.emit(kind, node, [value], shape_of(node), options)


@translates(ATEN.cat.default)
def _concatenate(made: Translator, node: Node) -> Value:
    values, *axis = arguments(node)
    number = axis_in_file(int(axis[0]) if axis else 0, len(shape_of(node)))
    parts = [_operand(made, each) for each in values]
    return made.emit("CONCATENATION", node, parts, shape_of(node), schema.ConcatenationOptionsT(axis=number))


@translates(ATEN.view.default, ATEN.unsqueeze.default, ATEN.squeeze.dims)
def _new_shape(made: Translator, node: Node) -> Value:
    return _reshape(made, node, _operand(made, arguments(node)[0]))


def _reshape(made: Translator, node: Node, value: Value) -> Value:
    """The value in the node's shape: its elements follow each other as they do in PyTorch."""
    shape = shape_of(node)
    if len(value.shape) == 4 and not _same_order(value.shape):
        turned = tuple(value.shape)
        order = made.integers(*TO_SECOND)
        number = made.file.tensor(f"{node.name}.turned", turned)
        made.file.operator("TRANSPOSE", [value.number, order], number, schema.TransposeOptionsT())
        value = Value(number, turned)
    if len(shape) == 4 and not _same_order(shape):
        raise CapabilityError(f"LiteRT files cannot hold {node.name}, a map made of a list", "choose another network")
    new = in_file(shape)
    options = schema.ReshapeOptionsT(newShape=list(new))
    return made.emit("RESHAPE", node, [value, made.integers(*new)], shape, options)


def _same_order(shape: tuple[int, ...]) -> bool:
    """Whether elements follow each other alike with channels second and last."""
    return shape[1] == 1 or shape[2] * shape[3] == 1


@translates(ATEN.split.Tensor)
def _split(made: Translator, node: Node) -> None:
    """Its parts are cut out one by one, where they are read."""


@translates(operator.getitem)
def _part(made: Translator, node: Node) -> Value:
    source, index = arguments(node)
    assert isinstance(source, Node)
    value, size, *axis = arguments(source)
    along = int(axis[0]) if axis else 0
    return _cut(made, node, _operand(made, value), along, int(index) * int(size))


@translates(ATEN.slice.Tensor)
def _slice(made: Translator, node: Node) -> Value:
    value, axis, start, _, step = arguments(node, None, 0, 0, None, 1)
    if step != 1:
        raise CapabilityError("LiteRT files cannot hold slices with steps", "choose another network")
    whole = _operand(made, value)
    along = int(axis) % len(whole.shape)
    first = int(start or 0)
    return _cut(made, node, whole, along, max(first + whole.shape[along], 0) if first < 0 else first)


def _cut(made: Translator, node: Node, value: Value, axis: int, start: int) -> Value:
    shape = shape_of(node)
    begin = [0] * len(shape)
    begin[axis_in_file(axis, len(shape))] = start
    inputs: list[Value | int] = [value, made.integers(*begin), made.integers(*in_file(shape))]
    return made.emit("SLICE", node, inputs, shape, schema.SliceOptionsT())


def _operand(made: Translator, given: Any) -> Value:
    """A value in float: of a node, or a number."""
    return made.real(given) if isinstance(given, Node) else made.number(float(np.float32(given)))


def pair(made: Translator, node: Node) -> list[Value]:
    """The two operands of an operator, in float.

    Raises:
        CapabilityError: their ranks differ, and neither is a number: with channels last they meet other axes.
    """
    values = [_operand(made, each) for each in arguments(node)[:2]]
    ranks = {len(value.shape) for value in values} - {0}
    if len(ranks) > 1:
        raise CapabilityError(
            f"LiteRT files cannot hold {node.name}: it joins tensors of {' and '.join(map(str, sorted(ranks)))} axes",
            "give both the same number of axes",
        )
    return values


def _without_factor(node: Node) -> None:
    if node.kwargs.get("alpha", 1) != 1:
        raise CapabilityError("LiteRT files cannot hold a difference with a factor", "multiply before it")
