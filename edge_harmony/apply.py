"""The apply step: upsample a coarse prediction and blend it into the picture, at the picture's own size.

Only the bounding box of the foreground is touched, in strips that stay in cache, on all cores
(:mod:`edge_harmony.rows`); nothing of full size is ever held in floating point.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.rows import share

Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]

_STRIP_PIXELS = 1 << 16
"""Pixels per strip: its planes and its mask stay in a core's second-level cache."""


def full_scale(mask: NDArray[Any]) -> float:
    """What a mask holds in the foreground: 1 for floats, the largest value of integers."""
    return 1.0 if mask.dtype.kind == "f" else float(np.iinfo(mask.dtype).max)


def foreground_box(mask: NDArray[Any]) -> Box | None:
    """``(top, bottom, left, right)`` of the pixels with a mask above 0; None if there are none."""
    if mask.dtype != np.uint8:
        mask = (mask > 0).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    return (top, top + height, left, left + width) if width and height else None


def apply_grid(pixels: NDArray[Any], mask: NDArray[Any], grid: Floats, box: Box | None = None) -> NDArray[Any]:
    """Apply a coarse colour transform to the foreground.

    With ``x`` the picture in [0, 1], ``m`` the mask in [0, 1] and ``g`` the grid, bilinearly upsampled (half-pixel
    centres, as ``align_corners=False``)::

        3 channels:  y = x + m g
        6 channels:  y = x + m (a x + t), gains a in the first three, offsets t in the others
        12 channels: y = x + m (A x + t),  row k of [A | t] in the channels 3k, 3k+1, 3k+2 and 9+k of g

    Args:
        pixels: ``(H, W, 3)`` RGB; uint8, uint16 or float32 in [0, 1].
        mask: ``(H, W)``; uint8, uint16 or float32, see :func:`full_scale`.
        grid: ``(3, h, w)``, ``(6, h, w)`` or ``(12, h, w)`` float32.
        box: the mask's :func:`foreground_box`, if it is known already.

    Returns:
        A new array like ``pixels``, equal to it bit for bit where the mask is 0; elsewhere within one level (or
        2e-6) of the same in float64.
    """
    from edge_harmony.compiled import change_planes

    box = box or foreground_box(mask)
    if box is None:
        return pixels.copy()
    top, bottom, left, right = box
    result = np.empty_like(pixels)
    transforms = np.ascontiguousarray(_affine(grid).transpose(1, 2, 0))
    rows, on_rows = _axis(grid.shape[1], pixels.shape[0], top, bottom)
    columns, on_columns = _axis(grid.shape[2], pixels.shape[1], left, right)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(columns)) + 1, [right - left]])
    cells = columns[starts[:-1]]
    is_float = pixels.dtype == np.float32
    peak, half = np.float32(1.0 if is_float else np.iinfo(pixels.dtype).max), np.float32(0.0 if is_float else 0.5)
    full = np.float32(1 / full_scale(mask))

    def change(first: int, last: int) -> None:
        np.copyto(result[first:last], pixels[first:last])
        first, last = max(first, top), min(last, bottom)
        if first >= last:
            return
        block = result[first:last, left:right]
        planes = np.empty((3, *block.shape[:2]), pixels.dtype)
        cv2.split(block, list(planes))
        low, along = rows[first - top : last - top], on_rows[first - top : last - top, None, None]
        above, below = transforms[low], transforms[np.minimum(low + 1, len(transforms) - 1)]
        lines = above + along * (below - above)
        lines = np.concatenate([lines, lines[:, -1:]], axis=1)
        change_planes(planes, mask[first:last, left:right], lines, cells, starts, on_columns, full, peak, half)
        cv2.merge(list(planes), block)

    share(change, pixels.shape[0], max(1, _STRIP_PIXELS // (right - left)))
    return result


def _affine(grid: Floats) -> Floats:
    """Any grid as one of 12 channels."""
    if len(grid) == 12:
        return grid
    whole = np.zeros((12, *grid.shape[1:]), np.float32)
    whole[9:] = grid[-3:]
    if len(grid) == 6:
        whole[[0, 4, 8]] = grid[:3]
    return whole


def _axis(cells: int, size: int, start: int, stop: int) -> tuple[NDArray[np.intp], Floats]:
    """For the positions ``start`` to ``stop`` of an axis of ``size``: the cell before, and the way to the next."""
    position = (np.arange(start, stop, dtype=np.float64) + 0.5) * (cells / size) - 0.5
    position = np.clip(position, 0, cells - 1)
    low = position.astype(np.intp)
    return low, (position - low).astype(np.float32)
