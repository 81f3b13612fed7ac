"""MIL operations that move values and compute none; see :mod:`.elementwise` for their source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_harmony.backends.coreml.interpreter.elementwise import Array, integers, wide


def concat(values: list[Array], axis: Any, interleave: Any = False) -> Array:
    """One tensor after the other along an axis."""
    if interleave:
        raise NotImplementedError("interleaved concatenation")
    return np.concatenate(values, int(axis))


def split(x: Array, axis: Any, num_splits: Any = None, split_sizes: Any = None) -> list[Array]:
    """Parts along an axis, equal ones or of the sizes that are given."""
    where: Any = int(num_splits) if split_sizes is None else np.cumsum(split_sizes)[:-1]
    return np.split(x, where, int(axis))


def slice_by_index(
    x: Array,
    begin: Any,
    end: Any,
    stride: Any = None,
    begin_mask: Any = None,
    end_mask: Any = None,
    squeeze_mask: Any = None,
) -> Array:
    """A part along every axis; masks say where the beginning or the end is that of the axis, or the axis goes."""
    index: list[Any] = []
    for axis in range(len(begin)):
        if squeeze_mask is not None and squeeze_mask[axis]:
            index.append(int(begin[axis]))
            continue
        first = None if begin_mask is not None and begin_mask[axis] else int(begin[axis])
        last = None if end_mask is not None and end_mask[axis] else int(end[axis])
        index.append(slice(first, last, 1 if stride is None else int(stride[axis])))
    return np.asarray(x[tuple(index)])


def pad(x: Array, pad: Any, mode: str = "constant", constant_val: Any = 0.0) -> Array:
    """Values around a tensor, for the last axes."""
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2)
    pairs += [(int(before), int(after)) for before, after in zip(pad[::2], pad[1::2], strict=True)]
    if mode == "constant":
        return np.pad(x, pairs, constant_values=constant_val)
    kinds: dict[str, Any] = {"reflect": "reflect", "replicate": "edge"}
    return np.pad(x, pairs, mode=kinds[mode])


def topk(x: Array, k: Any = 1, axis: Any = -1, ascending: Any = False, **_: Any) -> list[Array]:
    """The largest (or smallest) values along an axis in order, and where they are."""
    keys = wide(x) if ascending else -wide(x)
    order = np.argsort(keys, int(axis), kind="stable").take(np.arange(int(k)), int(axis))
    return [np.take_along_axis(x, order, int(axis)), order.astype(np.int32)]


def gather(x: Array, indices: Any, axis: Any = 0, batch_dims: Any = 0, **_: Any) -> Array:
    """Values at positions of an axis."""
    if int(batch_dims):
        raise NotImplementedError("gathering in batches")
    return np.take(x, np.asarray(indices, np.int64), int(axis))


def reshape(x: Array, shape: Any) -> Array:
    """Another shape; 0 keeps the size of an axis."""
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(integers(shape))])


LAYOUT: dict[str, Callable[..., Any]] = {
    "concat": concat,
    "split": split,
    "slice_by_index": slice_by_index,
    "pad": pad,
    "topk": topk,
    "gather": gather,
    "gather_along_axis": lambda x, indices, axis=0, **_: np.take_along_axis(x, indices.astype(np.int64), int(axis)),
    "reshape": reshape,
    "stack": lambda values, axis: np.stack(values, int(axis)),
    "transpose": lambda x, perm: np.transpose(x, integers(perm)),
    "expand_dims": lambda x, axes: np.expand_dims(x, tuple(integers(axes))),
    "squeeze": lambda x, axes=None: np.squeeze(x, None if axes is None else tuple(integers(axes))),
    "tile": lambda x, reps: np.tile(x, integers(reps)),
    "fill": lambda shape, value=0.0: np.full(integers(shape), value),
    "range_1d": lambda start, end, step: np.arange(*(wide(one).item() for one in (start, end, step))),
    "shape": lambda x: np.array(x.shape, np.int32),
}
"""What evaluates an operation, by its type."""
