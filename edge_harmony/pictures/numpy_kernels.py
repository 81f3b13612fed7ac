"""The loops of :mod:`edge_harmony.pictures.kernels` in NumPy, for installations that have no compiled ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_PIXELS = 1 << 15
"""Pixels that are worked on at a time, so that floats of theirs stay in the cache."""


def change_pixels(
    pixels: NDArray[Any],
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
        pixels: ``(rows, columns, 3)`` uint8, uint16 or float32; changed in place. The samples of a row are adjacent.
        mask: ``(rows, columns)`` uint8, uint16 or float32. The weights of a row are adjacent.
        grid: ``(h, w, 12)``: a transform per cell, a row-major 3x3 matrix and an offset; differences from the identity.
        above: ``(rows,)``: the cell above every row.
        down: ``(rows,)``: a row's position between that cell (0) and the next one (1).
        cells: ``(segments,)``: the cell to the left of every run of columns, from left to right.
        starts: ``(segments + 1,)``: first column of every run, and the end of the last one.
        fractions: ``(columns,)``: a column's position between its cell (0) and the next one (1).
        full: factor that scales the mask to [0, 1]: 1 divided by the mask's foreground value.
        peak: largest value of a sample.
        half: added before truncation, to round: 0.5 for integers, 0 for floats.
    """
    below = np.minimum(above + 1, len(grid) - 1)
    lines = grid[above] + down[:, None, None] * (grid[below] - grid[above])
    lines[..., 9:] *= peak
    for cell, begin, end in zip(cells, starts, starts[1:], strict=False):
        step = max(1, _PIXELS // int(end - begin))
        for first in range(0, len(pixels), step):
            rows = slice(first, first + step)
            left = lines[rows, cell, :, None]
            grows = lines[rows, min(cell + 1, lines.shape[1] - 1), :, None] - left
            block = pixels[rows, begin:end]
            weights = mask[rows, begin:end].astype(np.float32) * full
            samples = [block[..., channel].astype(np.float32) for channel in range(3)]
            along = fractions[begin:end]
            for channel, sample in enumerate(samples):
                change = left[:, 9 + channel] + along * grows[:, 9 + channel]
                for other in range(3):
                    k = 3 * channel + other
                    change += (left[:, k] + along * grows[:, k]) * samples[other]
                changed = sample + weights * change
                block[..., channel] = np.clip(changed, np.float32(0), peak) + half


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
        picture: ``(H, W * channels)`` uint8, uint16 or float32. The samples of a row are adjacent.
        rows: ``(h + 1,)``: where each output row begins in the picture, and where the last one ends; ``h <= H``.
        columns: ``(w + 1,)``: where each output column begins, and where the last one ends; ``w <= W``.
        channels: samples per pixel.
        shrunk: ``(h, w * channels)``, the output.
        first: first output row.
        last: output row after the last one.
    """
    begins = columns[:-1].astype(np.intp)
    ends = np.append(begins[1:], begins[-1])  # the pixel that a column shares with the next one; the last has none
    before = (columns[:-1] - begins)[:, None]
    after = np.append(columns[1:-1] - begins[1:], 0.0)[:, None]
    shares = 1 / np.diff(columns)[:, None]
    for row in range(first, last):
        top, bottom = rows[row], rows[row + 1]
        y = np.arange(int(top), min(int(np.ceil(bottom)), len(picture)))
        weights = ((np.minimum(bottom, y + 1) - np.maximum(top, y)) / (bottom - top)).astype(np.float32)
        total = (weights @ picture[y[0] : y[-1] + 1].astype(np.float32)).reshape(-1, channels).astype(np.float64)
        sums = np.add.reduceat(total, begins) - before * total[begins] + after * total[ends]
        shrunk[row] = (shares * sums).ravel()


def paste_rows(
    foreground: NDArray[Any], mask: NDArray[Any], full: np.float32, half: np.float32, result: NDArray[Any]
) -> None:
    """``m f + (1 - m) b`` in place.

    Args:
        foreground: ``(rows, 3 * columns)`` uint8, uint16 or float32. The samples of a row are adjacent.
        mask: ``(rows, columns)`` uint8, uint16 or float32. The weights of a row are adjacent.
        full: factor that scales the mask to [0, 1]: 1 divided by the mask's foreground value.
        half: added before truncation, to round: 0.5 for integers, 0 for floats.
        result: ``(rows, 3 * columns)``, of the type of ``foreground``: the background, replaced by the result.
    """
    step = max(1, _PIXELS // mask.shape[1])
    for first in range(0, len(mask), step):
        rows = slice(first, first + step)
        weights = np.repeat(mask[rows].astype(np.float32) * full, 3, axis=1)
        back = result[rows].astype(np.float32)
        result[rows] = back + weights * (foreground[rows].astype(np.float32) - back) + half
