"""Masks that do not quite fit: grown or shrunk by some pixels, and led along the edges of the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

_PIXELS = 200_000
"""GrabCut works on a picture of at most so many pixels; its time grows with them."""
_BAND = 0.02
"""Half of the width of the band in which the edge may move, as a share of the longer side."""
_ROUNDS = 3


def grow_mask(weight: NDArray[np.float32], pixels: int) -> NDArray[np.float32]:
    """A mask whose foreground is larger on all sides.

    Args:
        weight: ``(H, W)`` in [0, 1].
        pixels: by how much; below 0 the foreground becomes smaller.

    Returns:
        A mask like it; soft edges stay soft.
    """
    if not pixels:
        return weight
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2)
    change = cv2.dilate if pixels > 0 else cv2.erode
    return change(weight, disc, borderType=cv2.BORDER_REPLICATE).astype(np.float32)


def refine_mask(composite: NDArray[np.uint8], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """A mask whose edge follows the picture, by GrabCut (Rother, Kolmogorov and Blake, SIGGRAPH 2004).

    Only a band along the edge is decided anew, from the colours on both sides.

    Args:
        composite: ``(H, W, 3)``.
        weight: ``(H, W)`` in [0, 1].

    Returns:
        A mask like it; the one that was given where it has no foreground or no background.
    """
    height, width = weight.shape
    scale = min(1.0, math.sqrt(_PIXELS / (height * width)))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(composite, size, interpolation=cv2.INTER_AREA)
    inside = (cv2.resize(weight, size, interpolation=cv2.INTER_AREA) > 0.5).astype(np.uint8)
    reach = max(2, round(_BAND * max(size)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    sure, possible = cv2.erode(inside, disc), cv2.dilate(inside, disc)
    if not sure.any() or possible.all():
        return weight
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[sure > 0], labels[possible == 0] = cv2.GC_FGD, cv2.GC_BGD
    cv2.setRNGSeed(0)  # its first clusters are drawn
    cv2.grabCut(small, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), _ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    decided = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    band = (possible > sure).astype(np.uint8)
    full = (width, height)
    found = cv2.resize(decided, full, interpolation=cv2.INTER_LINEAR)
    in_band = cv2.resize(band, full, interpolation=cv2.INTER_NEAREST) > 0
    return np.where(in_band, found, weight).astype(np.float32)
