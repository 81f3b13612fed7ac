"""Pictures to a network's working size: area averages where they shrink, on all cores; else bilinear."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.rows import share, threads

_LEAST_SAMPLES = 1 << 18
"""Fewer are shrunk by OpenCV: it is as fast there, and has nothing to compile."""


def resize(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Area averages where both sides shrink, as OpenCV's ``INTER_AREA``; else bilinear.

    Args:
        image: ``(H, W)`` or ``(H, W, C)``; uint8, uint16 or float32.
        size: (width, height).

    Returns:
        An array like ``image``; integers are rounded.
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    if width < size[0] or height < size[1]:
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    if image.size < _LEAST_SAMPLES:
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return _shrink(np.ascontiguousarray(image), size)


def _shrink(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    from edge_harmony.compiled import shrink_rows

    height, width = image.shape[:2]
    channels = image.size // (height * width)
    flat = image.reshape(height, width * channels)
    rows, columns = np.arange(size[1] + 1) * (height / size[1]), np.arange(size[0] + 1) * (width / size[0])
    shrunk = np.empty((size[1], size[0] * channels), np.float32)
    share(
        lambda first, last: shrink_rows(flat, rows, columns, channels, shrunk, first, last),
        size[1],
        -(-size[1] // (4 * threads())),
    )
    result = shrunk.reshape(size[1], size[0], *image.shape[2:])
    return result if image.dtype == np.float32 else np.rint(result).astype(image.dtype)
