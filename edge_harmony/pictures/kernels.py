"""Loops for which NumPy and OpenCV have no function, compiled by Numba at first use and kept in its cache.

Each call works on its own rows, uses no Python objects and releases Python's lock, so that
:mod:`edge_harmony.pictures.parallel_rows` can divide the rows among the cores. No loop is compiled with
``parallel=True``, because two threads must not enter Numba's thread pool at a time.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache
from numpy.typing import NDArray

log = logging.getLogger(__name__)

_FAST = {"contract", "nsz", "arcp", "reassoc"}
"""Optimizations of sums and products that the compiler may use; infinities and NaN keep their meaning."""


_CodeCache: Any = FunctionCache


class _ForgivingCache(_CodeCache):  # type: ignore[misc]
    """Numba's cache of compiled code, which is only a cache: damaged files are compiled again, unwritable ones left."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What was compiled before; None if there is nothing that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a file that is cut off makes pickle raise anything
            log.debug("compiled code in %s is damaged, and compiled again", self.cache_path, exc_info=True)
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, if that can be written."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


def _compile(function: Callable[..., None]) -> Callable[..., None]:
    compiled: Any = njit(nogil=True, fastmath=_FAST, error_model="numpy")(function)
    with contextlib.suppress(RuntimeError):  # no folder can be written: every process compiles for itself
        compiled._cache = _ForgivingCache(function)
    kept: Callable[..., None] = compiled
    return kept


@_compile
def change_planes(
    planes: NDArray[Any],
    mask: NDArray[Any],
    grid: NDArray[np.float32],
    above: NDArray[np.intp],
    down: NDArray[np.float32],
    cells: NDArray[np.intp],
    starts: NDArray[np.intp],
    fractions: NDArray[np.float32],
    full: np.float32,
    peak: np.float32,
    half: np.float32,
) -> None:
    """``y = x + m (A x + t)`` in place; A and t are interpolated bilinearly between the cells of a grid.

    Args:
        planes: ``(3, rows, columns)``, red, green, blue; changed in place.
        mask: ``(rows, columns)``.
        grid: ``(h, w, 12)``: a transform per cell.
        above: ``(rows,)``: the cell above every row.
        down: ``(rows,)``: a row's position between that cell (0) and the next one (1).
        cells: ``(segments,)``: the cell to the left of every run of columns.
        starts: ``(segments + 1,)``: first column of every run, and the end of the last one.
        fractions: ``(columns,)``: a column's position between its cell (0) and the next one (1).
        full: factor that scales the mask to [0, 1]: 1 divided by the mask's foreground value.
        peak: largest value of a sample.
        half: added before truncation, to round: 0.5 for integers, 0 for floats.
    """
    low = np.float32(0)
    line = np.zeros((grid.shape[1] + 1, 12), np.float32)
    for row in range(mask.shape[0]):
        upper, lower = grid[above[row]], grid[min(above[row] + 1, grid.shape[0] - 1)]
        for cell in range(cells[0], min(cells[-1] + 2, grid.shape[1])):
            for k in range(12):
                line[cell, k] = upper[cell, k] + down[row] * (lower[cell, k] - upper[cell, k])
        line[-1] = line[-2]
        for segment in range(cells.shape[0]):
            left, right = line[cells[segment]], line[cells[segment] + 1]
            a0, a1, a2 = left[0], left[1], left[2]
            a3, a4, a5 = left[3], left[4], left[5]
            a6, a7, a8 = left[6], left[7], left[8]
            t0, t1, t2 = left[9] * peak, left[10] * peak, left[11] * peak
            b0, b1, b2 = right[0] - a0, right[1] - a1, right[2] - a2
            b3, b4, b5 = right[3] - a3, right[4] - a4, right[5] - a5
            b6, b7, b8 = right[6] - a6, right[7] - a7, right[8] - a8
            s0, s1, s2 = right[9] * peak - t0, right[10] * peak - t1, right[11] * peak - t2
            begin, end = starts[segment], starts[segment + 1]
            reds, greens, blues = planes[0, row, begin:end], planes[1, row, begin:end], planes[2, row, begin:end]
            weights, along = mask[row, begin:end], fractions[begin:end]
            for x in range(end - begin):
                f = along[x]
                m = np.float32(weights[x]) * full
                r, g, b = np.float32(reds[x]), np.float32(greens[x]), np.float32(blues[x])
                new_r = r + m * ((a0 + f * b0) * r + (a1 + f * b1) * g + (a2 + f * b2) * b + (t0 + f * s0))
                new_g = g + m * ((a3 + f * b3) * r + (a4 + f * b4) * g + (a5 + f * b5) * b + (t1 + f * s1))
                new_b = b + m * ((a6 + f * b6) * r + (a7 + f * b7) * g + (a8 + f * b8) * b + (t2 + f * s2))
                reds[x] = min(max(new_r, low), peak) + half
                greens[x] = min(max(new_g, low), peak) + half
                blues[x] = min(max(new_b, low), peak) + half


@_compile
def shrink_rows(
    picture: NDArray[Any],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    channels: int,
    shrunk: NDArray[np.float32],
    first: int,
    last: int,
) -> None:
    """Area averages: the weight of a sample is the share of it that the output pixel covers.

    Args:
        picture: ``(H, W * channels)``.
        rows: ``(h + 1,)``: where each output row begins in the picture, and where the last one ends.
        columns: ``(w + 1,)``: where each output column begins, and where the last one ends.
        channels: samples per pixel.
        shrunk: ``(h, w * channels)``, the output.
        first: first output row.
        last: output row after the last one.
    """
    width = picture.shape[1]
    total = np.empty(width, np.float32)
    for row in range(first, last):
        total[:] = np.float32(0)
        top, bottom = rows[row], rows[row + 1]
        for y in range(int(top), min(int(np.ceil(bottom)), picture.shape[0])):
            weight = np.float32((min(bottom, y + 1.0) - max(top, float(y))) / (bottom - top))
            line = picture[y]
            for x in range(width):
                total[x] += weight * np.float32(line[x])
        for column in range(columns.shape[0] - 1):
            left, right = columns[column], columns[column + 1]
            begin, end = int(left), min(int(np.ceil(right)), width // channels)
            share = 1 / (right - left)
            of_first, of_last = share * (min(right, begin + 1.0) - left), share * (right - end + 1)
            if end - 1 == begin:
                of_last = 0.0
            if channels == 3:  # three independent sums, so that no addition waits for the one before
                i, j = 3 * begin, 3 * (end - 1)
                red = of_first * total[i] + of_last * total[j]
                green = of_first * total[i + 1] + of_last * total[j + 1]
                blue = of_first * total[i + 2] + of_last * total[j + 2]
                for x in range(begin + 1, end - 1):
                    red += share * total[3 * x]
                    green += share * total[3 * x + 1]
                    blue += share * total[3 * x + 2]
                shrunk[row, 3 * column] = np.float32(red)
                shrunk[row, 3 * column + 1] = np.float32(green)
                shrunk[row, 3 * column + 2] = np.float32(blue)
                continue
            for channel in range(channels):
                value = of_first * total[begin * channels + channel] + of_last * total[(end - 1) * channels + channel]
                for x in range(begin + 1, end - 1):
                    value += share * total[x * channels + channel]
                shrunk[row, column * channels + channel] = np.float32(value)


@_compile
def paste_rows(
    foreground: NDArray[Any], mask: NDArray[Any], full: np.float32, half: np.float32, result: NDArray[Any]
) -> None:
    """``m f + (1 - m) b`` in place.

    Args:
        foreground: ``(rows, 3 * columns)``.
        mask: ``(rows, columns)``.
        full: factor that scales the mask to [0, 1]: 1 divided by the mask's foreground value.
        half: added before truncation, to round: 0.5 for integers, 0 for floats.
        result: ``(rows, 3 * columns)``: the background, replaced by the result.
    """
    width = mask.shape[1]
    weights = np.empty(3 * width, np.float32)
    for row in range(mask.shape[0]):
        for x in range(width):
            m = np.float32(mask[row, x]) * full
            weights[3 * x], weights[3 * x + 1], weights[3 * x + 2] = m, m, m
        front, back = foreground[row], result[row]
        for x in range(3 * width):
            b = np.float32(back[x])
            back[x] = b + weights[x] * (np.float32(front[x]) - b) + half
