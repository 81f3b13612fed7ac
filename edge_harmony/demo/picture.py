"""A picture on the page: from the editor and a mask to before and after; at another strength without a prediction."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.demo.looks import BRUSH_ALPHA
from edge_harmony.demo.offers import Loaded, Offer
from edge_harmony.errors import InputError
from edge_harmony.pictures.arrays import checked_pair, fit_mask
from edge_harmony.pictures.images import read_mask
from edge_harmony.pictures.mask_edges import grow_mask, refine_mask
from edge_harmony.pipeline.apply import apply_grid
from edge_harmony.pipeline.harmonize import predict

Slides = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Before and after."""


@dataclass(frozen=True)
class MaskEdge:
    """What is done to the edge of a mask before it is used.

    Attributes:
        grow: pixels by which the foreground becomes larger, or smaller below 0; after the refinement.
        refine: whether the edge is led along the edges of the picture.
    """

    grow: int = 0
    refine: bool = False

    def of(self, weight: NDArray[np.float32], composite: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The mask ``(H, W)`` of a composite ``(H, W, 3)`` with another edge."""
        return grow_mask(refine_mask(composite, weight) if self.refine else weight, self.grow)


@dataclass(frozen=True)
class Prediction:
    """The data kept of a picture, so that another strength needs no new prediction.

    Attributes:
        composite: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` float32 in [0, 1].
        grid: the network's prediction; see :func:`~edge_harmony.pipeline.apply.apply_grid`.
    """

    composite: NDArray[np.uint8]
    mask: NDArray[np.float32]
    grid: NDArray[np.float32]


def harmonize(
    loaded: Loaded,
    edited: dict[str, Any] | None,
    mask: str | None,
    offer: Offer,
    strength: float = 1.0,
    edge: MaskEdge | None = None,
) -> tuple[Slides, str, Prediction]:
    """Harmonize the picture in the editor; the button calls this.

    Args:
        loaded: the networks.
        edited: contents of the editor: ``background`` ``(H, W, 4)``, and the ``layers`` painted on it.
        mask: path of a mask; it is united with the painted one.
        offer: network, backend and precision.
        strength: size of the change.
        edge: what is done to the edge of the mask; None for nothing.

    Returns:
        Composite and result, ``(H, W, 3)`` uint8, a message about them, and the input of :func:`apply_again`.

    Raises:
        InputError: there is no picture, or it has no foreground.
        UsageError: the strength is out of range.
    """
    if not edited or edited.get("background") is None:
        raise InputError("there is no composite yet", "drop one, or take a sample")
    composite = np.ascontiguousarray(edited["background"][..., :3])
    weight = painted(edited["layers"], composite.shape[:2])
    note = ""
    if mask:
        given = read_mask(mask)
        if given.shape != composite.shape[:2]:
            note = f" The mask was resized from {given.shape[1]} x {given.shape[0]}."
        weight = np.maximum(weight, fit_mask(given, composite))
    if not weight.any():
        raise InputError("nothing is foreground yet", "paint over it, or give its mask")
    if edge is not None:
        weight = edge.of(weight, composite)
        if not weight.any():
            raise InputError("nothing of the mask is left", "shrink it by less")
    runner = loaded.get(offer).runner
    start = time.perf_counter()
    prediction = Prediction(composite, weight, predict(runner, *checked_pair(composite, weight)))
    result = apply_grid(composite, weight, prediction.grid, strength=strength)
    milliseconds = 1e3 * (time.perf_counter() - start)
    share = 100 * float((weight > 0).mean())
    told = (
        f"**{milliseconds:.0f} ms** for {composite.shape[1]} x {composite.shape[0]} pixels, {share:.0f} % of them "
        f"foreground: {' '.join(offer)}.{note}"
    )
    return (composite, result), told, prediction


def apply_again(prediction: Prediction, strength: float) -> tuple[Slides, str]:
    """Apply the kept grid at another strength, without a prediction; the slider of the strength calls this.

    Returns:
        Composite and result, and a message about them.

    Raises:
        UsageError: the strength is out of range.
    """
    start = time.perf_counter()
    result = apply_grid(prediction.composite, prediction.mask, prediction.grid, strength=strength)
    milliseconds = 1e3 * (time.perf_counter() - start)
    told = f"**{milliseconds:.0f} ms** to apply the same prediction at strength {strength:.2f}."
    return (prediction.composite, result), told


def painted(layers: list[NDArray[np.uint8]], size: tuple[int, int]) -> NDArray[np.float32]:
    """The mask ``(H, W)`` in [0, 1] of the pixels painted in layers ``(H, W, 4)``; the brush's alpha counts as 1."""
    alpha = np.zeros(size, np.float32)
    for layer in layers:
        if layer.shape[:2] == size and layer.shape[2:] == (4,):
            alpha = np.maximum(alpha, layer[..., 3])
    return np.minimum(alpha / np.float32(255 * BRUSH_ALPHA), np.float32(1))
