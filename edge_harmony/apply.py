"""The apply step: upsample a coarse prediction and blend it into the picture, at the picture's own size.

Only the bounding box of the foreground is touched, in strips that stay in cache; nothing of full size is ever
held in floating point.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_STRIP_PIXELS = 1 << 16
"""Pixels per strip: its coefficients and samples together take a few MiB."""


def foreground_box(mask: NDArray[Any]) -> tuple[int, int, int, int] | None:
    """``(top, bottom, left, right)`` of the pixels with a mask above 0; None if there are none."""
    if mask.dtype != np.uint8:
        mask = (mask > 0).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    return (top, top + height, left, left + width) if width and height else None


def apply_grid(pixels: NDArray[Any], mask: Floats, grid: Floats) -> NDArray[Any]:
    """Apply a coarse colour transform to the foreground.

    With ``x`` the picture in [0, 1], ``m`` the mask and ``g`` the grid, bilinearly upsampled (half-pixel centres,
    as ``align_corners=False``)::

        3 channels:  y = x + m g
        6 channels:  y = x + m (a x + t), gains a in the first three, offsets t in the others
        12 channels: y = x + m (A x + t),  row k of [A | t] in the channels 3k, 3k+1, 3k+2 and 9+k of g

    Args:
        pixels: ``(H, W, 3)`` RGB; uint8, uint16 or float32 in [0, 1].
        mask: ``(H, W)`` float32 in [0, 1].
        grid: ``(3, h, w)``, ``(6, h, w)`` or ``(12, h, w)`` float32.

    Returns:
        A new array like ``pixels``, equal to it bit for bit where the mask is 0.
    """
    result = pixels.copy()
    box = foreground_box(mask)
    if box is None:
        return result
    top, bottom, left, right = box
    peak = np.float32(1.0 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max)
    rows = _interpolation(grid.shape[1], pixels.shape[0], top, bottom).T
    columns = _interpolation(grid.shape[2], pixels.shape[1], left, right)
    step = max(1, _STRIP_PIXELS // (right - left))
    for start in range(top, bottom, step):
        stop = min(start + step, bottom)
        block = result[start:stop, left:right]
        weight = mask[start:stop, left:right]
        x = block.astype(np.float32)
        field = (rows[start - top : stop - top] @ grid @ columns).astype(np.float32, copy=False)
        y = _change(x, field, peak)
        y *= weight[..., None]
        y += x
        np.clip(y, 0, peak, out=y)
        if pixels.dtype != np.float32:
            np.rint(y, out=y)
        np.copyto(block, y.astype(pixels.dtype), where=(weight > 0)[..., None])
    return result


def _interpolation(cells: int, size: int, start: int, stop: int) -> Floats:
    """Bilinear weights ``(cells, stop - start)`` for the positions ``start`` to ``stop`` of an axis of ``size``.

    Upsampling is then a matrix product, which a BLAS does several times faster than gathering the two neighbours.
    """
    position = (np.arange(start, stop, dtype=np.float64) + 0.5) * (cells / size) - 0.5
    position = np.clip(position, 0, cells - 1)
    low = np.minimum(position.astype(np.intp), max(cells - 2, 0))
    fraction = position - low
    weights = np.zeros((cells, stop - start))
    index = np.arange(stop - start)
    weights[low, index] = 1 - fraction
    weights[np.minimum(low + 1, cells - 1), index] += fraction
    return weights.astype(np.float32)


def _change(x: Floats, field: Floats, peak: np.float32) -> Floats:
    """What a strip ``x`` ``(h, w, 3)`` gains, in its own units, under the upsampled field ``(3, 6 or 12, h, w)``."""
    change = np.empty_like(x)
    if len(field) == 3:
        np.multiply(field.transpose(1, 2, 0), peak, out=change)
        return change
    if len(field) == 6:
        for channel in range(3):
            np.multiply(field[channel], x[..., channel], out=change[..., channel])
            change[..., channel] += field[3 + channel] * peak
        return change
    for channel in range(3):
        total = field[9 + channel] * peak
        for k in range(3):
            total += field[3 * channel + k] * x[..., k]
        change[..., channel] = total
    return change
