"""Composites without a rim of true colours: the area around an object is filled from the background.

Masks of data sets miss the edge of their objects by a few pixels. So a rim of every object lies outside its mask, in
its true colours, and a network can read the correction off it. A user's composite has no such rim.
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.pictures.arrays import Pixels, foreground_box

INPAINT_RADIUS = 3
"""Radius of Telea's method in pixels; part of the definition of the scores."""

_MARGIN = 4 * INPAINT_RADIUS
"""Telea's method looks no further than its radius around a filled pixel, and measures distances within twice that."""

Sealed = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]


def shrink_mask(inside: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Remove every pixel with a background pixel within ``pixels`` of it, in rows, columns or diagonally.

    The edge of the picture is no background: an object that the edge cuts off has no rim there.
    """
    return cv2.erode(inside.astype(np.uint8), _square(pixels)) > 0


def grow_mask(inside: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Add every pixel with a foreground pixel within ``pixels`` of it, in rows, columns or diagonally."""
    return cv2.dilate(inside.astype(np.uint8), _square(pixels)) > 0


def fill(picture: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """Fill a hole from its surroundings (Telea, 2004). The old pixels inside the hole have no influence.

    Args:
        picture: ``(H, W, 3)`` uint8.
        hole: ``(H, W)``; a hole as large as the picture is filled with mid-gray.
    """
    box = foreground_box(hole)
    if box is None:
        return picture
    if hole.all():
        return np.full_like(picture, 128)
    top, bottom, left, right = box
    part = (slice(max(0, top - _MARGIN), bottom + _MARGIN), slice(max(0, left - _MARGIN), right + _MARGIN))
    filled = picture.copy()
    filled[part] = cv2.inpaint(
        np.ascontiguousarray(picture[part]), hole[part].astype(np.uint8), INPAINT_RADIUS, cv2.INPAINT_TELEA
    )
    return filled


def sealed(composite: Pixels, mask: NDArray[np.float32], real: Pixels, pixels: int) -> Sealed | None:
    """A sample without a leak at the rim.

    The mask (above 0.5) is shrunk by ``pixels``. The object's place and ``pixels`` around it are filled from the
    composite's background. The shrunk foreground is pasted on that: the composite's for the new composite, the real one
    for the new real picture.

    Args:
        composite: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` in [0, 1].
        real: like ``composite``.
        pixels: how far to shrink the mask, at least 1.

    Returns:
        Composite, mask (0 and 1) and real picture; None if nothing is left of the object.
    """
    inside = mask > 0.5
    kept = shrink_mask(inside, pixels)
    if not kept.any():
        return None
    background = fill(composite, grow_mask(inside, pixels))
    return _on(background, composite, kept), kept.astype(np.float32), _on(background, real, kept)


def moved(composite: Pixels, mask: NDArray[np.float32], real: Pixels, pixels: int, name: str) -> Sealed | None:
    """A sample whose object is moved within the picture, so that natural background surrounds it.

    The old place is filled as in :func:`sealed`. The object moves left, right, up or down by its own extent and the
    filled rim, or as far as the picture reaches if that is less. It takes the direction with the most room; among equal
    ones, a hash of the name decides.

    Args:
        composite: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` in [0, 1].
        real: like ``composite``.
        pixels: how far to shrink the mask, at least 1.
        name: name of the sample.

    Returns:
        As :func:`sealed`; also None if the object spans the picture both ways.
    """
    inside = mask > 0.5
    kept = shrink_mask(inside, pixels)
    step = _step(kept, pixels, name)
    if step is None:
        return None
    background = fill(composite, grow_mask(inside, pixels))
    place = _shifted(kept, step)
    shown, truth = (_on(background, _shifted(picture, step), place) for picture in (composite, real))
    return shown, place.astype(np.float32), truth


def _step(kept: NDArray[np.bool_], pixels: int, name: str) -> tuple[int, int] | None:
    """The rows and columns by which the object moves; None if it cannot move."""
    box = foreground_box(kept)
    if box is None:
        return None
    top, bottom, left, right = box
    height, width = kept.shape
    tall, wide = bottom - top + 3 * pixels, right - left + 3 * pixels  # both rims: 2 pixels shrunk, 1 beyond
    steps = [
        (0, -min(wide, left)),
        (0, min(wide, width - right)),
        (-min(tall, top), 0),
        (min(tall, height - bottom), 0),
    ]
    room = [abs(right) / wide + abs(down) / tall for down, right in steps]
    if max(room) == 0:
        return None
    best = [step for step, share in zip(steps, room, strict=True) if share == max(room)]
    return best[hashlib.sha256(name.encode()).digest()[0] % len(best)]


def _shifted(array: NDArray, step: tuple[int, int]) -> NDArray:  # type: ignore[type-arg]
    """Shift by rows and columns. The object never crosses the edge, so the pixels that wrap around are never shown."""
    return np.roll(array, step, (0, 1))


def _on(background: Pixels, picture: Pixels, inside: NDArray[np.bool_]) -> Pixels:
    return np.where(inside[..., None], picture, background)


def _square(pixels: int) -> NDArray[np.uint8]:
    return np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
