"""Before and after in one picture, for people to look at."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.images import Picture

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
    panels = [_eight_bits(composite), cv2.cvtColor(_eight_bits(mask), cv2.COLOR_GRAY2RGB), _eight_bits(result)]
    scale = min(1.0, _HEIGHT / composite.shape[0])
    size = (max(1, round(composite.shape[1] * scale)), max(1, round(composite.shape[0] * scale)))
    panels = [cv2.resize(panel, size, interpolation=cv2.INTER_AREA) for panel in panels]
    gap = np.full((size[1], _GAP, 3), _WHITE, np.uint8)
    return Picture(np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1))


def _eight_bits(image: NDArray[Any]) -> NDArray[np.uint8]:
    image = image[..., :3] if image.ndim == 3 else image
    peak = 1.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)
    return np.ascontiguousarray(np.rint(image.astype(np.float32) * np.float32(255 / peak)).astype(np.uint8))
