"""The first picture of a server, which nobody waits for."""

from __future__ import annotations

import numpy as np

from edge_harmony.harmonizer import Harmonizer


def warm_up(harmonizer: Harmonizer) -> None:
    """Harmonize a picture of 600 x 600 pixels, so that libraries and buffers are there before the first request."""
    harmonizer.harmonize(np.zeros((600, 600, 3), np.uint8), np.ones((600, 600), np.float32))
