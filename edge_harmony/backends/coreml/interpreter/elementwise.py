"""MIL operations that combine or reduce values, and conversions between numbers and levels.

After https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html; arguments have the names
that they have there. Floating-point operations take 16 or 32 bits and return 32, which the caller rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_TYPES = {"fp16": "float16", "fp32": "float32", "bool": "bool"}


def wide(value: Any) -> Array:
    """16-bit floats as 32-bit ones, everything else as it is."""
    array: Array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def integers(values: Any) -> list[int]:
    """A scalar or vector as a list."""
    return [int(value) for value in np.atleast_1d(values)]


def along(vector: Any, rank: int, axis: Any) -> Array:
    """A vector shaped to be combined with a tensor along ``axis``; a scalar stays one."""
    vector = wide(vector)
    return vector.reshape([-1 if i == int(axis) % rank else 1 for i in range(rank)]) if vector.ndim else vector


def cast(x: Array, dtype: str) -> Array:
    """To another type; floats are cut to integers."""
    return np.asarray(x).astype(_TYPES.get(dtype, dtype))


def softmax(x: Array, axis: Any = -1) -> Array:
    """Shares that add up to 1 along an axis."""
    powers = np.exp(wide(x) - wide(x).max(int(axis), keepdims=True))
    return np.asarray(powers / powers.sum(int(axis), keepdims=True))


def quantize(input: Array, scale: Array, output_dtype: str, zero_point: Any = 0, axis: Any = 0) -> Array:
    """To 8-bit levels: rounded to even, then saturated."""
    least, most = (-128, 127) if output_dtype == "int8" else (0, 255)
    levels = np.rint(wide(input) / along(scale, input.ndim, axis)) + along(zero_point, input.ndim, axis)
    return np.clip(levels, least, most).astype(output_dtype)


def dequantize(input: Array, scale: Array, zero_point: Any = 0, axis: Any = 0) -> Array:
    """From 8-bit levels."""
    offset = along(zero_point, input.ndim, axis).astype(np.float32)
    return np.asarray((input.astype(np.float32) - offset) * along(scale, input.ndim, axis))


def from_blocks(data: Array, scale: Array, offset: Array | None = None) -> Array:
    """Weights stored as levels, with a scale for each block of them (iOS 18)."""

    def spread(blocks: Array) -> Array:
        for axis, size in enumerate(data.shape):
            blocks = np.repeat(blocks, size // blocks.shape[axis], axis)
        return blocks.astype(np.float32)

    levels = data.astype(np.float32)
    return np.asarray((levels if offset is None else levels - spread(offset)) * spread(scale))


def from_palette(indices: Array, lut: Array, shape: Any = None, vector_axis: Any = None) -> Array:
    """Weights stored as indices into a palette: packed into bytes up to iOS 17, as they are since iOS 18."""
    if shape is None:
        if vector_axis is not None or lut.size != lut.shape[-2]:
            raise NotImplementedError("palettes by group, or of vectors")
        return np.asarray(lut.reshape(-1)[indices.astype(np.int64)])
    width, count = int(np.log2(len(lut))), int(np.prod(shape))
    bits = np.unpackbits(indices.reshape(-1).view(np.uint8), bitorder="little")[: count * width].reshape(count, width)
    return np.asarray(lut[bits @ (1 << np.arange(width))].reshape(integers(shape)))


def _binary(function: Callable[..., Any], x: Any, y: Any) -> Array:
    return np.asarray(function(wide(x), wide(y)))


def _unary(function: Callable[..., Any], x: Any) -> Array:
    return np.asarray(function(wide(x)))


def _reduced(function: Callable[..., Any], x: Array, axes: Any = None, keep_dims: Any = False) -> Array:
    return np.asarray(function(wide(x), axis=None if axes is None else tuple(integers(axes)), keepdims=bool(keep_dims)))


_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "real_div": np.divide, "floor_div": np.floor_divide,
    "maximum": np.maximum, "minimum": np.minimum, "pow": np.power, "mod": np.mod, "equal": np.equal,
    "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
}  # fmt: skip
_UNARY: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "exp": np.exp, "sqrt": np.sqrt, "square": np.square, "sign": np.sign, "floor": np.floor,
    "ceil": np.ceil, "round": np.rint, "tanh": np.tanh, "logical_not": np.logical_not, "identity": np.asarray,
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6), "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}  # fmt: skip
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_sum": np.sum, "reduce_mean": np.mean, "reduce_max": np.max, "reduce_min": np.min,
    "reduce_l2_norm": lambda x, **over: np.sqrt(np.sum(x * x, **over)),
    "reduce_sum_square": lambda x, **over: np.sum(x * x, **over),
}  # fmt: skip
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    **{name: partial(_binary, function) for name, function in _BINARY.items()},
    **{name: partial(_unary, function) for name, function in _UNARY.items()},
    **{name: partial(_reduced, function) for name, function in _REDUCTIONS.items()},
    "inverse": lambda x, epsilon=1e-4: 1 / (wide(x) + np.float32(epsilon)),
    "rsqrt": lambda x, epsilon=1e-12: 1 / np.sqrt(wide(x) + np.float32(epsilon)),
    "log": lambda x, epsilon=1e-45: np.log(wide(x) + np.float32(epsilon)),
    "clip": lambda x, alpha, beta: np.clip(wide(x), wide(alpha), wide(beta)),
    "leaky_relu": lambda x, alpha=0.01: np.where(wide(x) >= 0, wide(x), wide(x) * wide(alpha)),
    "select": lambda cond, a, b: np.where(cond, wide(a), wide(b)),
    "cast": cast,
    "softmax": softmax,
    "quantize": quantize,
    "dequantize": dequantize,
    "constexpr_affine_dequantize": lambda quantized_data, zero_point, scale, axis: dequantize(
        quantized_data, scale, zero_point, axis
    ),
    "constexpr_blockwise_shift_scale": from_blocks,
    "constexpr_lut_to_dense": from_palette,
    "constexpr_cast": lambda source_val, output_dtype: cast(source_val, output_dtype),
}
"""What evaluates an operation, by its type; arguments are the operation's inputs by name."""
