"""The apply step: upsample a coarse prediction and blend it into the picture, at the picture's own size.

Only the bounding box of the foreground is touched, in strips that stay in cache, on all cores
(:mod:`edge_harmony.pictures.parallel_rows`). No full-size picture in floating point is ever allocated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import UsageError
from edge_harmony.pictures import kernels
from edge_harmony.pictures.arrays import Box, Floats, foreground_box, full_scale, rows_without_gaps
from edge_harmony.pictures.parallel_rows import share

STRONGEST = 1.5
"""Largest strength of a predicted transform; beyond it colours get out of hand."""

_STRIP_PIXELS = 1 << 18
"""Pixels per strip: few enough that a copied strip is in the cache when it is changed."""


def check_strength(strength: float) -> None:
    """Refuse a strength that is out of range.

    Raises:
        UsageError: it is not within 0 and :data:`STRONGEST`, or not finite.
    """
    if not 0 <= strength <= STRONGEST:
        raise UsageError(
            f"strength is {strength}", f"give 0 (no change) to {STRONGEST}; 1 is what the network predicts"
        )


def apply_grid(
    pixels: NDArray[Any],
    mask: NDArray[Any],
    grid: Floats,
    box: Box | None = None,
    *,
    strength: float = 1.0,
    in_place: bool = False,
) -> NDArray[Any]:
    """Apply a coarse colour transform to the foreground.

    With ``x`` the picture in [0, 1], ``m`` the mask in [0, 1] and ``g`` the grid, bilinearly upsampled (half-pixel
    centres, as ``align_corners=False``) and times ``strength``::

        3 channels:  y = x + m g
        6 channels:  y = x + m (a x + t), gains a in the first three, offsets t in the others
        12 channels: y = x + m (A x + t),  row k of [A | t] in the channels 3k, 3k+1, 3k+2 and 9+k of g

    Args:
        pixels: ``(H, W, 3)`` RGB; uint8, uint16 or float32 in [0, 1].
        mask: ``(H, W)``; uint8, uint16 or float32, see :func:`full_scale`.
        grid: ``(3, h, w)``, ``(6, h, w)`` or ``(12, h, w)`` float32.
        box: the mask's :func:`foreground_box`, if it is known already.
        strength: factor for the transform, 0 to :data:`STRONGEST`. A grid holds the difference from the identity, so
            0 is the identity and 1 the grid itself.
        in_place: change ``pixels`` itself: nothing is copied, and only the foreground is written.

    Returns:
        ``pixels``, or a new array like it. Where the mask is 0 it equals ``pixels`` bit for bit; elsewhere it is
        within one level (for floats 2e-6) of a computation in float64. With a strength of 0 it is equal everywhere.

    Raises:
        UsageError: the strength is out of range.
    """
    check_strength(strength)
    box = box or foreground_box(mask)
    if box is None or not strength:
        return pixels if in_place else pixels.copy()
    top, bottom, left, right = box
    result = pixels if in_place else np.empty(pixels.shape, pixels.dtype)
    mask = rows_without_gaps(mask)
    transforms = np.ascontiguousarray(_affine(grid * np.float32(strength)).transpose(1, 2, 0))
    rows, on_rows = _axis(grid.shape[1], pixels.shape[0], top, bottom)
    columns, on_columns = _axis(grid.shape[2], pixels.shape[1], left, right)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(columns)) + 1, [right - left]])
    cells = columns[starts[:-1]]
    is_float = pixels.dtype == np.float32
    peak, half = np.float32(1.0 if is_float else np.iinfo(pixels.dtype).max), np.float32(0.0 if is_float else 0.5)
    full = np.float32(1 / full_scale(mask))

    step = max(1, _STRIP_PIXELS // (right - left))

    def change(begin: int, end: int) -> None:
        for start in range(begin, end, step):
            stop = min(start + step, end)
            if not in_place:
                np.copyto(result[start:stop], pixels[start:stop])
            start, stop = max(start, top), min(stop, bottom)
            if start < stop:
                block, weights = result[start:stop, left:right], mask[start:stop, left:right]
                inside = slice(start - top, stop - top)
                on = (transforms, rows[inside], on_rows[inside], cells, starts, on_columns)
                kernels.change_pixels(block, weights, *on, full, peak, half)

    first, last = (top, bottom) if in_place else (0, pixels.shape[0])
    share(lambda begin, end: change(first + begin, first + end), last - first)
    return result


def _affine(grid: Floats) -> Floats:
    """Convert a grid of 3, 6 or 12 channels to 12 channels."""
    if len(grid) == 12:
        return grid
    whole = np.zeros((12, *grid.shape[1:]), np.float32)
    whole[9:] = grid[-3:]
    if len(grid) == 6:
        whole[[0, 4, 8]] = grid[:3]
    return whole


def _axis(cells: int, size: int, start: int, stop: int) -> tuple[NDArray[np.intp], Floats]:
    """For the pixels ``start`` to ``stop`` of an axis of ``size`` pixels: the cell before each, and the fraction of the
    distance to the next cell.
    """
    position = (np.arange(start, stop, dtype=np.float64) + 0.5) * (cells / size) - 0.5
    position = np.clip(position, 0, cells - 1)
    low = position.astype(np.intp)
    return low, (position - low).astype(np.float32)
