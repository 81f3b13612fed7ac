"""Which way up: undoing an EXIF orientation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUARTER_TURNS = (5, 6, 7, 8)
"""Orientations that exchange width and height."""


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation, 1 to 8 (EXIF 2.3, tag 0x0112).

    Args:
        pixels: ``(H, W)`` or ``(H, W, C)``, as stored.
        orientation: what the file says.

    Returns:
        Upright and contiguous.
    """
    if orientation in (2, 4, 5, 7):
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(pixels, turns))
