"""Pasting a foreground on a background, which gives a composite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError
from edge_harmony.pictures import kernels
from edge_harmony.pictures.arrays import checked_mask, foreground_box, full_scale, rows_without_gaps
from edge_harmony.pictures.parallel_rows import share


def paste(
    foreground: NDArray[Any], background: NDArray[Any], mask: NDArray[Any], *, in_place: bool = False
) -> NDArray[Any]:
    """Paste a foreground on a background: ``m f + (1 - m) b``, on all cores.

    Args:
        foreground: ``(H, W, 3)``; uint8, uint16 or float32 in [0, 1].
        background: an array with the shape and type of ``foreground``.
        mask: ``(H, W)``; uint8, uint16 (full scale is the foreground) or floating point in [0, 1].
        in_place: change ``background`` itself; it must be contiguous.

    Returns:
        ``background``, or a new array like it. Where the mask is 0 it equals ``background`` bit for bit.

    Raises:
        InputError: sizes or types differ.
    """
    if foreground.shape != background.shape or foreground.dtype != background.dtype:
        raise InputError(
            f"the foreground is {_told(foreground)} and the background {_told(background)}",
            "bring them to the same size and depth",
        )
    weight = rows_without_gaps(checked_mask(mask))
    if weight.shape != foreground.shape[:2]:
        raise InputError(
            f"mask is {weight.shape[1]}x{weight.shape[0]} but the foreground is {_told(foreground)}",
            "resize it to the size of the foreground",
        )
    result = background if in_place else background.copy(order="C")
    box = foreground_box(weight)
    if box is None:
        return result
    top, bottom, left, right = box
    full = np.float32(1 / full_scale(weight))
    half = np.float32(0 if foreground.dtype == np.float32 else 0.5)

    front, behind = (pixels.reshape(len(pixels), -1) for pixels in (np.ascontiguousarray(foreground), result))

    def paste_part(first: int, last: int) -> None:
        rows, samples = slice(top + first, top + last), slice(3 * left, 3 * right)
        kernels.paste_rows(front[rows, samples], weight[rows, left:right], full, half, behind[rows, samples])

    share(paste_part, bottom - top)
    return result


def _told(pixels: NDArray[Any]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]} {pixels.dtype}"
