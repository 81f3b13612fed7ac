"""Convolutions, fully connected layers and resizing, which compute in 8 bits or in float."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch.fx import Node

from edge_harmony.backends.litert.elementwise import pair
from edge_harmony.backends.litert.translate import (
    ATEN,
    TO_LAST,
    LayerWeights,
    Translator,
    Value,
    arguments,
    shape_of,
    translates,
)
from edge_harmony.errors import CapabilityError

_NONE, _RELU = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU


@translates(ATEN.conv2d.default)
def _convolution(made: Translator, node: Node) -> Value | None:
    x, weight, bias, stride, padding, dilation, groups = arguments(node, None, None, None, [1, 1], [0, 0], [1, 1], 1)
    weights = made.weights(weight)
    outputs, inputs, *kernel = weights.value.shape
    depthwise = groups > 1 and inputs == 1 and outputs == groups
    if groups > 1 and not depthwise:
        raise CapabilityError(
            f"LiteRT files cannot hold {weights.layer}: it has {groups} groups of several channels",
            "choose a network without such layers",
        )
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    options = schema.DepthwiseConv2DOptionsT(depthMultiplier=1) if depthwise else schema.Conv2DOptionsT()
    options.strideH, options.strideW = stride
    options.dilationHFactor, options.dilationWFactor = dilation
    order = (1, 2, 3, 0) if depthwise else TO_LAST
    levels, rounding = made.levels(x), made.rounding(node)
    source = levels if levels is not None and rounding and weights.scales is not None else made.real(x)
    same = list(stride) == [1, 1] and all(
        2 * p == (k - 1) * d for p, k, d in zip(padding, kernel, dilation, strict=True)
    )
    if same:  # in other cases LiteRT would pad more on the right, PyTorch pads both sides alike
        options.padding = schema.Padding.SAME
    else:
        options.padding = schema.Padding.VALID
        source = _padded(made, node, source, padding)
    shape = shape_of(node)
    if source.scale is not None:
        assert rounding
        assert weights.scales is not None
        rounded, relu = rounding
        options.fusedActivationFunction = _RELU if relu else _NONE
        axis = 3 if depthwise else 0
        stored = made.file.constant(weights.layer, weights.value.transpose(order), weights.scales, axis)
        added = _whole_bias(made, weights, bias, source.scale)
        result = made.emit(
            kind, node, [source, stored, added], shape, options, scale=_scale(rounded), name=weights.layer
        )
        made.settle([relu, rounded], result)
        return result
    relu = _fused_relu(node)
    options.fusedActivationFunction = _RELU if relu else _NONE
    stored = made.float_weights(weights.layer, np.ascontiguousarray(weights.in_float().transpose(order)))
    added = made.file.constant(f"{weights.layer}.bias", _bias(made, bias, outputs))
    result = made.emit(kind, node, [source, stored, added], shape, options, name=weights.layer)
    made.settle([relu], result)
    return result


@translates(ATEN.linear.default)
def _fully_connected(made: Translator, node: Node) -> Value:
    x, weight, bias = arguments(node, None, None, None)
    weights = made.weights(weight)
    relu = _fused_relu(node)
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=_RELU if relu else _NONE)
    stored = made.float_weights(weights.layer, weights.in_float())
    added = made.file.constant(f"{weights.layer}.bias", _bias(made, bias, len(weights.value)))
    result = made.emit(
        "FULLY_CONNECTED", node, [made.real(x), stored, added], shape_of(node), options, name=weights.layer
    )
    made.settle([relu], result)
    return result


@translates(ATEN.upsample_bilinear2d.vec)
def _resize(made: Translator, node: Node) -> Value:
    x, _, align_corners = arguments(node)[:3]
    options = schema.ResizeBilinearOptionsT(alignCorners=bool(align_corners), halfPixelCenters=not align_corners)
    size = made.integers(*shape_of(node)[2:])
    levels, rounding = made.levels(x), made.rounding(node)
    if levels is not None and rounding and rounding[1] is None and _scale(rounding[0]) == levels.scale:
        result = made.emit(
            "RESIZE_BILINEAR", node, [levels, size], shape_of(node), options, scale=levels.scale, version=3
        )
        made.settle([rounding[0]], result)
        return result
    return made.emit("RESIZE_BILINEAR", node, [made.real(x), size], shape_of(node), options, version=3)


@translates(ATEN.add.Tensor)
def _sum(made: Translator, node: Node) -> Value:
    if node.kwargs.get("alpha", 1) != 1:
        raise CapabilityError("LiteRT files cannot hold a sum with a factor", "multiply before the sum")
    left, right = (made.levels(each) for each in arguments(node)[:2])
    rounding = made.rounding(node)
    if left is None or right is None or rounding is None or left.shape != right.shape:
        return made.emit("ADD", node, pair(made, node), shape_of(node), schema.AddOptionsT())
    rounded, relu = rounding
    options = schema.AddOptionsT(fusedActivationFunction=_RELU if relu else _NONE)
    result = made.emit("ADD", node, [left, right], shape_of(node), options, scale=_scale(rounded))
    made.settle([relu, rounded], result)
    return result


def _padded(made: Translator, node: Node, source: Value, padding: Any) -> Value:
    """The value with zeros around it: in levels, too, since all zero points are 0."""
    if not any(padding):
        return source
    (high, wide), (count, channels, height, width) = padding, source.shape
    around = made.file.constant("padding", np.array([(0, 0), (high, high), (wide, wide), (0, 0)], np.int32))
    shape = (count, channels, height + 2 * high, width + 2 * wide)
    return made.emit(
        "PAD", node, [source, around], shape, schema.PadOptionsT(), scale=source.scale, name=f"{node.name}.padded"
    )


def _bias(made: Translator, node: Node | None, count: int) -> Any:
    return np.zeros(count, np.float32) if node is None else made.stored(node).astype(np.float32)


def _whole_bias(made: Translator, weights: LayerWeights, node: Node | None, scale: float) -> int:
    """The bias in 32-bit levels, whose steps are those of the products."""
    assert weights.scales is not None
    steps = weights.scales.astype(np.float64) * scale
    whole = np.rint(_bias(made, node, len(steps)) / steps)
    limits = np.iinfo(np.int32)
    levels = np.clip(whole, limits.min, limits.max).astype(np.int32)
    return made.file.constant(f"{weights.layer}.bias", levels, steps.astype(np.float32))


def _fused_relu(node: Node) -> Node | None:
    readers = list(node.users)
    return readers[0] if len(readers) == 1 and readers[0].target == ATEN.relu.default else None


def _scale(rounding: Node) -> float:
    return float(arguments(rounding)[1])
