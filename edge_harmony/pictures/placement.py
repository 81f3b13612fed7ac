"""Where the foreground stands on a background of another size."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError, UsageError
from edge_harmony.pictures.arrays import full_scale
from edge_harmony.pictures.resize import resize

log = logging.getLogger(__name__)

ANCHORS = {
    "top-left": (0.0, 0.0),
    "top": (0.5, 0.0),
    "top-right": (1.0, 0.0),
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "right": (1.0, 0.5),
    "bottom-left": (0.0, 1.0),
    "bottom": (0.5, 1.0),
    "bottom-right": (1.0, 1.0),
}
"""Points of a picture as shares of its width and height."""
_LONGEST_SIDE = 30_000
"""Pixels; OpenCV resizes to sides below 32,768."""
_CUT_OFF = 0.99
"""Share of the foreground on the background below which a warning says so."""


@dataclass(frozen=True)
class Placement:
    """Where a foreground picture stands on a background.

    Attributes:
        position: the pixel (x, y) of the background, from its top left, on which the anchor comes to lie; None for the
            point that the anchor names on the background: ``bottom`` puts bottom on bottom.
        scale: size of the foreground, as a multiple of its own.
        anchor: a point of the foreground picture, of :data:`ANCHORS`.

    Raises:
        UsageError: the scale is not above 0, or there is no such anchor.
    """

    position: tuple[int, int] | None = None
    scale: float = 1.0
    anchor: str = "center"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise UsageError(f"the scale {self.scale:g} is not above 0", "give a multiple of the foreground's size")
        if self.anchor not in ANCHORS:
            raise UsageError(f"there is no anchor {self.anchor!r}", f"choose from {', '.join(ANCHORS)}")

    def place(
        self, foreground: NDArray[Any], mask: NDArray[Any], size: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Foreground and mask on a canvas of the background's size; what stands out of it is cut off.

        Args:
            foreground: ``(H, W, 3)``; uint8, uint16 or float32 in [0, 1].
            mask: ``(H, W)``; uint8, uint16 (full scale is the foreground) or float32 in [0, 1].
            size: (width, height) of the background.

        Returns:
            ``(height, width, 3)`` and ``(height, width)``, with the types of the arguments; 0 around the foreground.

        Raises:
            UsageError: the scaled foreground is too large.
            InputError: none of the foreground is on the background.
        """
        if self.scale != 1:
            foreground, mask = _scaled(foreground, mask, self.scale)
        height, width = mask.shape
        across, down = ANCHORS[self.anchor]
        x, y = self.position or (across * size[0], down * size[1])
        left, top = math.floor(x - across * width + 0.5), math.floor(y - down * height + 0.5)
        if (left, top, width, height) == (0, 0, *size):
            return foreground, mask
        to_columns, from_columns = _overlap(left, width, size[0])
        to_rows, from_rows = _overlap(top, height, size[1])
        pixels = np.zeros((size[1], size[0], 3), foreground.dtype)
        weight = np.zeros((size[1], size[0]), mask.dtype)
        pixels[to_rows, to_columns] = foreground[from_rows, from_columns]
        weight[to_rows, to_columns] = mask[from_rows, from_columns]
        whole = float(mask.sum(dtype=np.float64))
        share = float(weight.sum(dtype=np.float64)) / whole if whole else 1.0
        if not share:
            raise InputError(
                f"none of the foreground is on the background: its picture of {width}x{height} begins at "
                f"{left},{top} of {size[0]}x{size[1]}",
                "give another position, or a smaller scale",
            )
        if share < _CUT_OFF:
            fits = self.scale * min(size[0] / width, size[1] / height)
            log.warning("%.0f %% of the foreground is on the background; a scale of %.2g fits it", 100 * share, fits)
        return pixels, weight


def _overlap(start: int, length: int, room: int) -> tuple[slice, slice]:
    """What of a stretch lies within ``room``: there, and counted from its own beginning."""
    first, last = max(start, 0), min(start + length, room)
    last = max(first, last)
    return slice(first, last), slice(first - start, last - start)


def _scaled(pixels: NDArray[Any], mask: NDArray[Any], scale: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Resized by a factor; colours are weighted by the mask, so that none of what is around the foreground leaks in."""
    height, width = mask.shape
    size = max(1, round(scale * width)), max(1, round(scale * height))
    if max(size) > _LONGEST_SIDE:
        raise UsageError(f"a scale of {scale:g} makes the foreground {size[0]}x{size[1]}", "give a smaller one")
    weight = mask.astype(np.float32) / np.float32(full_scale(mask))
    thin = resize(weight, size)
    colours = resize(pixels.astype(np.float32) * weight[..., None], size)
    colours /= np.maximum(thin, np.finfo(np.float32).tiny)[..., None]
    return _typed(colours, pixels), _typed(thin, mask)


def _typed(values: NDArray[np.float32], like: NDArray[Any]) -> NDArray[Any]:
    """Values within the range and of the type of others; floats of the mask are on its own scale."""
    full = full_scale(like)
    scaled = values if values.ndim == 3 else values * np.float32(full)
    clipped = np.clip(scaled, 0, full)
    return clipped.astype(like.dtype) if like.dtype.kind == "f" else np.rint(clipped).astype(like.dtype)
