"""Before and after in one picture, for people to look at."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.images import Picture, to_eight_bits

_GAP = 8
_HEIGHT = 720
_WHITE = 255


def before_after(composite: NDArray[Any], result: NDArray[Any], mask: NDArray[np.float32]) -> Picture:
    """Composite, mask and result side by side, at most 720 pixels high, 8 bits.

    Args:
        composite: ``(H, W, 3)`` or ``(H, W, 4)``; uint8, uint16 or floating point in [0, 1].
        result: like ``composite``.
        mask: ``(H, W)`` in [0, 1].
    """
    panels = [to_eight_bits(image) for image in (composite[..., :3], np.dstack([mask] * 3), result[..., :3])]
    scale = min(1.0, _HEIGHT / composite.shape[0])
    size = (max(1, round(composite.shape[1] * scale)), max(1, round(composite.shape[0] * scale)))
    before, middle, after = (
        cv2.resize(np.ascontiguousarray(panel), size, interpolation=cv2.INTER_AREA) for panel in panels
    )
    gap = np.full((size[1], _GAP, 3), _WHITE, np.uint8)
    return Picture(np.concatenate([before, gap, middle, gap, after], axis=1))
