"""The alpha channel of a cut-out: the mask that it is, and colours that were multiplied by it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pictures.arrays import full_scale

_LEAST_SOFT = 16
_RING = 5


def unmultiplied(pixels: NDArray[Any]) -> NDArray[Any]:
    """``(H, W, 4)`` with colours that are not multiplied by alpha any more."""
    peak = full_scale(pixels)
    alpha = pixels[..., 3:].astype(np.float32)
    colour = np.minimum(pixels[..., :3].astype(np.float32) * (np.float32(peak) / np.maximum(alpha, 1e-6)), peak)
    colour = np.where(alpha > 0, colour if peak == 1 else np.rint(colour), 0).astype(pixels.dtype)
    return np.concatenate([colour, pixels[..., 3:]], axis=2)


def straight(pixels: NDArray[Any]) -> NDArray[Any]:
    """A cut-out ``(H, W, 4)`` with straight colours: premultiplied ones are divided by alpha.

    Some tools write premultiplied colours into formats that define straight ones; when pasted, such edges are dark.
    Colours count as premultiplied if none is brighter than its alpha, and if division by alpha brings those at the
    edges at least twice as near to the opaque colours beside them.
    """
    peak = full_scale(pixels)
    alpha = pixels[..., 3].astype(np.float32)
    soft, opaque = (alpha > 0.05 * peak) & (alpha < 0.95 * peak), alpha >= 0.95 * peak
    if np.count_nonzero(soft) < _LEAST_SOFT or (pixels[..., :3].max(2) > alpha + 0.01 * peak)[soft].any():
        return pixels
    colour = pixels[..., :3].astype(np.float32) / np.float32(peak)
    weight = cv2.blur(opaque.astype(np.float32), (2 * _RING + 1, 2 * _RING + 1))
    beside = cv2.blur(colour * opaque[..., None], (2 * _RING + 1, 2 * _RING + 1))
    known = soft & (weight > 0)
    if not known.any():
        return pixels
    wanted = beside[known] / weight[known][:, None]
    as_is = float(np.abs(colour[known] - wanted).mean())
    divided = float(np.abs(np.minimum(colour[known] * (peak / alpha[known])[:, None], 1) - wanted).mean())
    return unmultiplied(pixels) if divided < 0.5 * as_is else pixels
