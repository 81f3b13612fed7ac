"""Resize pictures: area averages on all cores if they shrink, else bilinear."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pictures import kernels
from edge_harmony.pictures.parallel_rows import share

_LEAST_SAMPLES = 1 << 18
"""Smaller pictures are shrunk by OpenCV, which is as fast for them."""


def resize(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize: area averages if both sides shrink, as OpenCV's ``INTER_AREA``; else bilinear.

    Args:
        image: ``(H, W)`` or ``(H, W, C)``; uint8, uint16 or float32.
        size: (width, height).

    Returns:
        An array like ``image``; integers are rounded.
    """
    if not _is_large(image, size):
        return _by_opencv(image, size)
    means = _area_means(image, size)
    return means if image.dtype == np.float32 else np.rint(means).astype(image.dtype)


def resize_to_float(image: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize as :func:`resize` does, to float32 without rounding."""
    if not _is_large(image, size):
        return _by_opencv(image.astype(np.float32), size)
    return _area_means(image, size)


def _is_large(image: NDArray[Any], size: tuple[int, int]) -> bool:
    height, width = image.shape[:2]
    return (width, height) != size and width >= size[0] and height >= size[1] and image.size >= _LEAST_SAMPLES


def _by_opencv(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    shrinks = width >= size[0] and height >= size[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _area_means(image: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    channels = image.size // (height * width)
    flat = image.reshape(height, width * channels)
    rows, columns = np.arange(size[1] + 1) * (height / size[1]), np.arange(size[0] + 1) * (width / size[0])
    shrunk = np.empty((size[1], size[0] * channels), np.float32)
    share(lambda first, last: kernels.shrink_rows(flat, rows, columns, channels, shrunk, first, last), size[1])
    return shrunk.reshape(size[1], size[0], *image.shape[2:])
