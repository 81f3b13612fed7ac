"""Composites and masks at the working size of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.pictures.arrays import full_scale, snap, to_unit
from edge_harmony.pictures.resize import resize, resize_to_float


def to_working_size(
    composite: NDArray[Any], mask: NDArray[Any], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The input of a network: ``(1, 3, H, W)`` and ``(1, 1, H, W)`` float32 in [0, 1], contiguous.

    Args:
        composite: as for :func:`~edge_harmony.pipeline.harmonize.predict`.
        mask: as for :func:`~edge_harmony.pipeline.harmonize.predict`.
        size: working size of the network (height, width).
    """
    small = to_unit(resize(composite, size[::-1]))
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None]), mask_to_working_size(mask, size)


def mask_to_working_size(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """The mask at the working size, as in :func:`to_working_size`."""
    small = resize_to_float(mask, size[::-1]) / np.float32(full_scale(mask))
    return np.ascontiguousarray(snap(small)[None, None])
