"""Masks at the ends of what networks meet, made from ``(N, 1, H, W)`` float32 in [0, 1]."""

import numpy as np

MASKS = {
    "full": lambda mask: np.ones_like(mask),
    "empty": lambda mask: np.zeros_like(mask),
    "one pixel": lambda mask: np.eye(1, mask.size, mask.size // 3, dtype=mask.dtype).reshape(mask.shape),
    "all but one": lambda mask: 1 - np.eye(1, mask.size, mask.size // 3, dtype=mask.dtype).reshape(mask.shape),
    "faint": lambda mask: mask * np.float32(0.01),
}
