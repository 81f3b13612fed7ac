"""The pipeline from a composite and a mask to a harmonized picture, for every backend.

Pictures have any size. Picture and mask are resized to the network's working size, the network predicts a coarse
transform, and the apply step works at the picture's own size. Validation during training, every backend and the
benchmark use these functions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import Runner
from edge_harmony.errors import InputError
from edge_harmony.pictures.arrays import checked_pair, foreground_box, like, to_eight_bits
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.pipeline.apply import apply_grid, check_strength

log = logging.getLogger(__name__)

_SPREAD_WINDOW = (9, 9)


def harmonize_pixels(
    runner: Runner, composite: NDArray[Any], mask: NDArray[Any], *, strength: float = 1.0, in_place: bool = False
) -> NDArray[Any]:
    """Harmonize one picture.

    Args:
        runner: a loaded network, or a whole pipeline, which then does all of it.
        composite: ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA; uint8, uint16, or floating point in [0, 1].
        mask: ``(H, W)`` or ``(H, W, 1)``; integers (full scale is the foreground, or the larger one of two values),
            bool, or floating point in [0, 1].
        strength: share of the change, 0 to 1.5; 1 is what the network predicts.
        in_place: change ``composite`` itself, which is faster where it is large.

    Returns:
        ``composite``, or a new array like it. Alpha, and pixels with a mask of 0, are unchanged bit for bit. With a
        strength of 0 nothing changes and nothing is predicted.

    Raises:
        InputError: shapes, types or values do not fit; a whole pipeline takes 8-bit pictures, none below its working
            size.
        UsageError: the strength is out of range.
    """
    check_strength(strength)
    working, weight = checked_pair(composite, mask, in_place=in_place)
    return harmonize_checked(runner, composite, working, weight, strength=strength, in_place=in_place)


def harmonize_checked(
    runner: Runner,
    composite: NDArray[Any],
    working: NDArray[Any],
    weight: NDArray[Any],
    *,
    strength: float,
    in_place: bool,
) -> NDArray[Any]:
    """The work of :func:`harmonize_pixels` after its checks.

    Args:
        runner: as there.
        composite: as there.
        working: colours of the composite, from :func:`~edge_harmony.pictures.arrays.checked_pair`.
        weight: the mask, from that function.
        strength: as there, and in range.
        in_place: as there.
    """
    box = foreground_box(weight)
    if box is None:
        log.warning("the mask is empty: the picture is returned unchanged")
    if box is None or not strength:
        return composite if in_place else composite.copy()
    if runner.io_spec.is_whole_pipeline:
        changed = _by_whole_pipeline(runner, working, weight, strength)
        return like(composite, weight, changed, in_place=in_place)
    grid = predict(runner, working, weight)
    changed = apply_grid(working, weight, grid, box, strength=strength, in_place=in_place)
    return like(composite, weight, changed, in_place=in_place)


def _by_whole_pipeline(runner: Runner, pixels: NDArray[Any], mask: NDArray[Any], strength: float) -> NDArray[np.uint8]:
    spec = runner.io_spec
    height, width = mask.shape
    if pixels.dtype != np.uint8:
        raise InputError(
            f"a whole pipeline takes 8-bit pictures, and this one is {pixels.dtype}",
            "use an export without --whole-pipeline, or convert the picture",
        )
    if height < spec.height or width < spec.width:
        raise InputError(
            f"a whole pipeline takes pictures of at least {spec.width}x{spec.height}, and this one is {width}x{height}",
            "use an export without --whole-pipeline",
        )
    return runner.harmonize(np.ascontiguousarray(pixels), np.ascontiguousarray(to_eight_bits(mask)), strength)


def predict(runner: Runner, composite: NDArray[Any], mask: NDArray[Any]) -> NDArray[np.float32]:
    """Run the network at its working size.

    Args:
        runner: a loaded network.
        composite: ``(H, W, 3)`` RGB; uint8, uint16 or float32 in [0, 1].
        mask: ``(H, W)``; uint8 or uint16 (full scale is the foreground) or float32 in [0, 1].

    Returns:
        A grid for :func:`~edge_harmony.pipeline.apply.apply_grid`: ``(12, h, w)`` affine, ``(6, h, w)`` gains and
        offsets, or ``(3, h, w)`` difference. If the network paints a picture, this is the picture's difference to the
        composite.
    """
    spec = runner.io_spec
    return predict_later(runner, *to_working_size(composite, mask, (spec.height, spec.width)))()


def predict_later(
    runner: Runner, planes: NDArray[np.float32], small_mask: NDArray[np.float32]
) -> Callable[[], NDArray[np.float32]]:
    """Start a prediction; call the returned function to wait for its grid. See
    :meth:`edge_harmony.backends.base.Runner.submit`.

    Args:
        runner: a loaded network.
        planes: ``(1, 3, H, W)``, the composite from :func:`~edge_harmony.pictures.working_size.to_working_size`.
        small_mask: ``(1, 1, H, W)``, the mask from that function.

    Returns:
        A function that returns the grid, as :func:`predict` does.

    Raises:
        InputError: (from the returned function) the network's values are not finite.
    """
    waited = runner.submit(planes, small_mask)

    def grid() -> NDArray[np.float32]:
        output = waited()[0]
        if not np.isfinite(output).all():
            raise InputError(
                "the network returned values that are not finite", "report this picture, or use another model"
            )
        return _spread(output - planes[0], small_mask[0, 0]) if runner.io_spec.output == "rgb" else output

    return grid


def _spread(difference: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Extend a difference beyond the mask, so that upsampling does not mix in the network's values from outside it."""
    weight = cv2.blur(mask, _SPREAD_WINDOW)
    blurred = cv2.blur(np.ascontiguousarray((difference * mask).transpose(1, 2, 0)), _SPREAD_WINDOW)
    outside = (blurred / np.maximum(weight, 1e-6)[..., None]).transpose(2, 0, 1)
    return np.where(mask > 0.5, difference, outside).astype(np.float32)
