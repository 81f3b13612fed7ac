"""Colour transforms over time: smooth from frame to frame, restarted at a scene cut."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pictures.arrays import Floats

_THUMBNAIL = 64
_BARELY = 1e-3


class SceneCuts:
    """Finds the frames that begin a new scene: their colours differ from the frame before, all over the picture.

    Args:
        threshold: mean absolute difference of the thumbnails, as a share of the full scale, above which there is a
            cut. Moving cameras stay below a tenth; 0 finds no cuts.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._before: Floats | None = None

    def is_new(self, frame: NDArray[Any]) -> bool:
        """Whether a frame ``(H, W, 3)`` begins a scene; the first frame does."""
        step = max(1, min(frame.shape[:2]) // _THUMBNAIL)
        peak = 1.0 if frame.dtype.kind == "f" else float(np.iinfo(frame.dtype).max)
        now = cv2.blur(np.ascontiguousarray(frame[::step, ::step], np.float32), (3, 3)) / np.float32(peak)
        before, self._before = self._before, now
        if before is None or before.shape != now.shape:
            return True
        return bool(self._threshold) and float(np.abs(now - before).mean()) > self._threshold


class Smoother:
    """A running mean of colour transforms, cell by cell, weighted by the share of the cell that is foreground.

    The network's values for cells without foreground mean nothing. So a cell that the foreground has just reached
    takes the new prediction, not a mean with the cell's old values.

    Args:
        keep: share of the mean that is kept from frame to frame, in [0, 1); 0 turns smoothing off.
    """

    def __init__(self, keep: float) -> None:
        if not 0 <= keep < 1:
            raise ValueError(f"keep must be in [0, 1), got {keep}")
        self._keep = np.float32(keep)
        self._sums: tuple[Floats, Floats] | None = None

    def reset(self) -> None:
        """Forget the mean, because a new scene begins."""
        self._sums = None

    def step(self, grid: Floats, mask: Floats) -> Floats:
        """Add a frame and return the new mean.

        Args:
            grid: ``(C, h, w)``, the network's prediction for the frame.
            mask: ``(H, W)`` in [0, 1], at the network's working size.

        Returns:
            The mean, ``(C, h, w)``.
        """
        covered = cv2.resize(mask, grid.shape[:0:-1], interpolation=cv2.INTER_AREA)
        reached = cv2.dilate(covered, np.ones((3, 3), np.uint8))
        weight: Floats = np.asarray(np.maximum(reached, _BARELY), np.float32)
        total: Floats = grid * weight
        if self._sums is not None and self._sums[0].shape == grid.shape:
            total = self._keep * self._sums[0] + (1 - self._keep) * total
            weight = self._keep * self._sums[1] + (1 - self._keep) * weight
        self._sums = total, weight
        return total / weight


class Flicker:
    """The change from frame to frame that harmonizing adds to the input's.

    With ``d = harmonized - composite`` in a frame's foreground, this measures how ``d`` changes between successive
    frames: its mean colour, which is the visible flicker, and pixel by pixel. The second also contains motion, because
    even a constant transform changes different colours by different amounts.
    """

    def __init__(self) -> None:
        self._before: tuple[NDArray[np.bool_], Floats] | None = None
        self._changes: list[tuple[float, float]] = []

    def add(self, composite: NDArray[Any], harmonized: NDArray[Any], mask: NDArray[Any]) -> None:
        """Add the next frame: composite and result ``(H, W, 3)`` uint8, and the mask ``(H, W)`` uint8."""
        inside = mask > 127
        difference = harmonized.astype(np.float32) - composite
        if self._before is not None:
            both = inside & self._before[0]
            if both.any():
                change = difference[both] - self._before[1][both]
                self._changes.append((float(np.abs(change.mean(0)).mean()), float(np.abs(change).mean())))
        self._before = inside, difference

    @property
    def colour(self) -> float:
        """Mean absolute change of the foreground's mean difference, in levels of 8 bits; NaN before two frames."""
        return float(np.mean([colour for colour, _ in self._changes])) if self._changes else float("nan")

    @property
    def pixels(self) -> float:
        """Mean absolute change of a pixel's difference, in levels of 8 bits; NaN before two frames."""
        return float(np.mean([pixels for _, pixels in self._changes])) if self._changes else float("nan")
