"""MIL operations over the rows and columns of a map, and matrix products; see :mod:`.elementwise` for their source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edge_harmony.backends.coreml.interpreter.elementwise import Array, along, integers, wide
from edge_harmony.extras import require

_PAIR = (1, 1)


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Any = _PAIR,
    pad_type: str = "valid",
    pad: Any = None,
    dilations: Any = _PAIR,
    groups: Any = 1,
) -> Array:
    """Convolution over one or two axes."""
    torch = _torch()
    axes = x.ndim - 2
    strides, dilations = integers(strides)[:axes], integers(dilations)[:axes]
    padded = np.pad(wide(x), _padding(x, weight.shape[2:], strides, dilations, pad_type, pad))
    function = (torch.nn.functional.conv1d, torch.nn.functional.conv2d)[axes - 1]
    result: Array = function(*_tensors(padded, weight, bias), strides, 0, dilations, int(groups)).numpy()
    return result


def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Any = _PAIR,
    pad_type: str = "valid",
    pad: Any = None,
    dilations: Any = _PAIR,
    groups: Any = 1,
    output_shape: Any = None,
) -> Array:
    """Transposed convolution over two axes: every position of ``x`` paints the kernel, and ``pad`` is cut off."""
    if pad_type.startswith("same"):
        raise NotImplementedError(f"padding {pad_type}")
    cut = [0] * 4 if pad is None or pad_type == "valid" else integers(pad)
    painted: Array = (
        _torch()
        .nn.functional.conv_transpose2d(
            *_tensors(x, weight, bias), integers(strides), 0, 0, int(groups), integers(dilations)
        )
        .numpy()
    )
    size = [n - before - after for n, before, after in zip(painted.shape[2:], cut[::2], cut[1::2], strict=True)]
    if output_shape is not None:
        size = integers(output_shape)[2:]
    missing = [max(0, at + n - have) for at, n, have in zip(cut[::2], size, painted.shape[2:], strict=True)]
    if any(missing) and bias is not None:
        raise NotImplementedError("an output beyond what the kernel reaches")
    painted = np.pad(painted, [(0, 0), (0, 0), (0, missing[0]), (0, missing[1])])
    return painted[:, :, cut[0] : cut[0] + size[0], cut[2] : cut[2] + size[1]]


def max_pool(
    x: Array, kernel_sizes: Any, pad_type: str, strides: Any = None, pad: Any = None, ceil_mode: Any = False
) -> Array:
    """The largest value of every window."""
    windows = _windows(x, kernel_sizes, pad_type, strides, pad, ceil_mode, -np.inf)
    return np.asarray(windows.max((-2, -1)))


def avg_pool(
    x: Array,
    kernel_sizes: Any,
    pad_type: str,
    strides: Any = None,
    pad: Any = None,
    ceil_mode: Any = False,
    exclude_padding_from_average: Any = False,
) -> Array:
    """The mean of every window."""
    where = (kernel_sizes, pad_type, strides, pad, ceil_mode, 0.0)
    count: Any = np.prod(kernel_sizes)
    if exclude_padding_from_average:
        count = _windows(np.ones_like(wide(x)), *where).sum((-2, -1))
    return np.asarray(_windows(x, *where).sum((-2, -1)) / np.float32(count))


def resize_bilinear(x: Array, target_size_height: Any, target_size_width: Any, sampling_mode: str = "DEFAULT") -> Array:
    """Between the two nearest rows and columns."""
    x = wide(x)
    for axis, size in ((x.ndim - 2, int(target_size_height)), (x.ndim - 1, int(target_size_width))):
        last = x.shape[axis] - 1
        at = np.clip(_positions(x.shape[axis], size, sampling_mode), 0, last)
        low = np.floor(at).astype(np.int64)
        share = along((at - low).astype(np.float32), x.ndim, axis)
        x = np.take(x, low, axis) * (1 - share) + np.take(x, np.minimum(low + 1, last), axis) * share
    return x


def upsample_bilinear(
    x: Array,
    scale_factor_height: Any = 1,
    scale_factor_width: Any = 1,
    align_corners: Any = True,
    half_pixel_centers: Any = None,
) -> Array:
    """To a multiple of the size; with half-pixel centres unless corners are aligned, if nothing else is said."""
    centred = not align_corners if half_pixel_centers is None else bool(half_pixel_centers)
    mode = "ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if centred else "DEFAULT"
    height, width = x.shape[2:]
    size = (np.floor(height * float(scale_factor_height)), np.floor(width * float(scale_factor_width)))
    return resize_bilinear(x, size[0], size[1], mode)


def upsample_nearest(x: Array, scale_factor_height: Any = 1, scale_factor_width: Any = 1) -> Array:
    """To a multiple of the size, by repeating values."""
    for axis, factor in ((2, float(scale_factor_height)), (3, float(scale_factor_width))):
        x = np.take(x, np.floor(np.arange(int(x.shape[axis] * factor)) / factor).astype(np.int64), axis)
    return x


def instance_norm(x: Array, gamma: Any = None, beta: Any = None, epsilon: Any = 1e-5) -> Array:
    """Every map with mean 0 and variance 1, then scaled and shifted."""
    axes = tuple(range(2, x.ndim))
    mean, variance = wide(x).mean(axes, keepdims=True), wide(x).var(axes, keepdims=True)
    return _normalized(x, mean, variance, gamma, beta, epsilon)


def batch_norm(x: Array, mean: Any, variance: Any, gamma: Any = None, beta: Any = None, epsilon: Any = 1e-5) -> Array:
    """Every channel with a mean and variance that are given, then scaled and shifted."""
    return _normalized(x, along(mean, x.ndim, 1), along(variance, x.ndim, 1), gamma, beta, epsilon)


def matmul(x: Array, y: Array, transpose_x: Any = False, transpose_y: Any = False) -> Array:
    """The product of matrices."""
    left = np.swapaxes(wide(x), -1, -2) if transpose_x else wide(x)
    right = np.swapaxes(wide(y), -1, -2) if transpose_y else wide(y)
    return np.asarray(np.matmul(left, right))


def _torch() -> Any:
    return require("torch", "interpreting Core ML packages needs torch, which is not installed")


def _tensors(*arrays: Array | None) -> list[Any]:
    return [None if each is None else _torch().from_numpy(np.array(wide(each))) for each in arrays]


def _normalized(x: Array, mean: Array, variance: Array, gamma: Any, beta: Any, epsilon: Any) -> Array:
    scale = 1.0 if gamma is None else along(gamma, x.ndim, 1)
    shift = 0.0 if beta is None else along(beta, x.ndim, 1)
    return np.asarray((wide(x) - mean) / np.sqrt(variance + np.float32(epsilon)) * scale + shift)


def _padding(
    x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pad_type: str, pad: Any
) -> list[tuple[int, int]]:
    """Rows and columns to add before and after, for each axis."""
    pairs = [(0, 0), (0, 0)]
    for axis, (size, k, s, d) in enumerate(zip(x.shape[2:], kernel, strides, dilations, strict=True)):
        if pad_type == "custom":
            pairs.append((int(pad[2 * axis]), int(pad[2 * axis + 1])))
            continue
        total = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size) if pad_type.startswith("same") else 0
        less, more = total // 2, total - total // 2
        pairs.append((more, less) if pad_type == "same_lower" else (less, more))
    return pairs


def _windows(x: Array, kernel_sizes: Any, pad_type: str, strides: Any, pad: Any, ceil_mode: Any, fill: float) -> Array:
    """The window of every position, in two more axes; outside of the map it is filled."""
    kernel = integers(kernel_sizes)
    steps = kernel if strides is None else integers(strides)
    pairs = _padding(x, kernel, steps, _PAIR, pad_type, pad)
    if ceil_mode:  # windows that reach beyond the end count too
        sizes = [n + sum(pair) for n, pair in zip(x.shape[2:], pairs[2:], strict=True)]
        more = [-(n - k) % s for n, k, s in zip(sizes, kernel, steps, strict=True)]
        pairs[2:] = [(before, after + extra) for (before, after), extra in zip(pairs[2:], more, strict=True)]
    padded = np.pad(wide(x), pairs, constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, kernel, (2, 3))  # type: ignore[call-overload]
    return np.asarray(view[:, :, :: steps[0], :: steps[1]])


def _positions(cells: int, size: int, mode: str) -> Array:
    """Where the positions of an axis of ``size`` lie on one of ``cells``."""
    at = np.arange(size, dtype=np.float64)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        return at * ((cells - 1) / (size - 1)) if size > 1 else at
    if mode == "UNALIGN_CORNERS":
        return (at + 0.5) * (cells / size) - 0.5
    return (at + 0.5) * ((cells - 1) / size) if mode == "OFFSET_CORNERS" else at * (cells / size)


SPATIAL: dict[str, Callable[..., Any]] = {
    "conv": conv,
    "conv_transpose": conv_transpose,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "resize_bilinear": resize_bilinear,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest,
    "instance_norm": instance_norm,
    "batch_norm": batch_norm,
    "matmul": matmul,
    "linear": lambda x, weight, bias=0.0: wide(x) @ wide(weight).T + wide(bias),
    "einsum": lambda values, equation: np.einsum(equation, *map(wide, values), optimize=True),
}
"""What evaluates an operation, by its type."""
