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
        12 channels: y = x + m (A x + t),  row k of [A | t] in the channels 3k, 3k+1, 3k+2 and 9+k of g

    Args:
        pixels: ``(H, W, 3)`` RGB; uint8, uint16 or float32 in [0, 1].
        mask: ``(H, W)`` float32 in [0, 1].
        grid: ``(3, h, w)`` or ``(12, h, w)`` float32.

    Returns:
        A new array like ``pixels``, equal to it bit for bit where the mask is 0.
    """
    result = pixels.copy()
    box = foreground_box(mask)
    if box is None:
        return result
    top, bottom, left, right = box
    coefficients = _rows_of_coefficients(grid)
    peak = np.float32(1.0 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max)
    columns = _Interpolation(grid.shape[2], pixels.shape[1], left, right)
    rows = _Interpolation(grid.shape[1], pixels.shape[0], top, bottom)
    step = max(1, _STRIP_PIXELS // (right - left))
    for start in range(top, bottom, step):
        stop = min(start + step, bottom)
        block = result[start:stop, left:right]
        weight = mask[start:stop, left:right]
        x = block.astype(np.float32)
        y = _transform(x, coefficients, rows, columns, start - top, stop - top, peak)
        y *= weight[..., None]
        y += x
        np.clip(y, 0, peak, out=y)
        if pixels.dtype != np.float32:
            np.rint(y, out=y)
        np.copyto(block, y.astype(pixels.dtype), where=(weight > 0)[..., None])
    return result


class _Interpolation:
    """Bilinear weights along one axis, for the output positions ``start`` to ``stop`` of ``size``."""

    def __init__(self, cells: int, size: int, start: int, stop: int) -> None:
        position = (np.arange(start, stop, dtype=np.float64) + 0.5) * (cells / size) - 0.5
        position = np.clip(position, 0, cells - 1)
        self.low = np.minimum(position.astype(np.intp), max(cells - 2, 0))
        self.high = np.minimum(self.low + 1, cells - 1)
        self.fraction = (position - self.low).astype(np.float32)


def _rows_of_coefficients(grid: Floats) -> list[Floats]:
    """Per output channel ``(h, w, 1)`` (difference) or ``(h, w, 4)`` (a row of the affine matrix)."""
    if grid.shape[0] == 3:
        return [np.ascontiguousarray(grid[k][..., None]) for k in range(3)]
    order = [[3 * k, 3 * k + 1, 3 * k + 2, 9 + k] for k in range(3)]
    return [np.ascontiguousarray(grid[channels].transpose(1, 2, 0)) for channels in order]


def _transform(
    x: Floats,
    coefficients: list[Floats],
    rows: _Interpolation,
    columns: _Interpolation,
    start: int,
    stop: int,
    peak: np.float32,
) -> Floats:
    """The change of a strip, in units of the picture's own samples."""
    change = np.empty_like(x)
    fraction = rows.fraction[start:stop, None, None]
    for channel, cells in enumerate(coefficients):
        low = cells[rows.low[start:stop]]
        narrow = low + fraction * (cells[rows.high[start:stop]] - low)
        wide = _widen(narrow, columns)
        if wide.shape[2] == 1:
            change[..., channel] = wide[..., 0] * peak
        else:
            sums = wide[..., 3] * peak
            for k in range(3):
                sums += wide[..., k] * x[..., k]
            change[..., channel] = sums
    return change


def _widen(narrow: Floats, columns: _Interpolation) -> Floats:
    low = narrow[:, columns.low]
    low += columns.fraction[None, :, None] * (narrow[:, columns.high] - low)
    return low
