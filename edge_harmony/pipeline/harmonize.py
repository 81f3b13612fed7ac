"""The one way from a composite and a mask to a harmonized picture, whatever runs the network.

Any size in: picture and mask are brought to the network's working size, the network predicts something coarse, and
the apply step works at the picture's own size. Training's validation, every backend and the benchmark use these
functions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.base import Runner, submit
from edge_harmony.errors import InputError
from edge_harmony.pictures.images import check_float_range
from edge_harmony.pictures.resize import resize, resize_to_float
from edge_harmony.pipeline.apply import apply_grid, check_strength, foreground_box, full_scale

log = logging.getLogger("edge_harmony")

_SPREAD_WINDOW = (9, 9)
_CRUMB = 1e-5


def harmonize_pixels(
    runner: Runner, composite: NDArray[Any], mask: NDArray[Any], *, strength: float = 1.0, in_place: bool = False
) -> NDArray[Any]:
    """Harmonize one picture.

    Args:
        runner: a loaded network.
        composite: ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA; uint8, uint16, or floating point in [0, 1].
        mask: ``(H, W)`` or ``(H, W, 1)``; uint8 or uint16 (full scale is the foreground), bool, or floating point in
        [0, 1].
        strength: share of the change, 0 to 1.5; 1 is what the network predicts.
        in_place: change ``composite`` itself, which is faster where it is large.

    Returns:
        ``composite``, or a new array like it. Pixels with a mask of 0 are equal to it bit for bit, and so is alpha;
        with a strength of 0 all of it is, and nothing is predicted.

    Raises:
        InputError: shapes, types or values do not fit.
        UsageError: the strength is out of range.
    """
    check_strength(strength)
    working, weight = checked_pair(composite, mask, in_place=in_place)
    box = foreground_box(weight)
    if box is None:
        log.warning("the mask is empty: the picture is returned unchanged")
    if box is None or not strength:
        return composite if in_place else composite.copy()
    grid = predict(runner, working, weight)
    changed = apply_grid(working, weight, grid, box, strength=strength, in_place=in_place)
    return like(composite, weight, changed, in_place=in_place)


def checked_pair(
    composite: NDArray[Any], mask: NDArray[Any], *, in_place: bool = False
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What :func:`predict` and :func:`~edge_harmony.pipeline.apply.apply_grid` take, of what
    :func:`harmonize_pixels` takes.

    Raises:
        InputError: shapes, types or values do not fit.
    """
    check_composite(composite)
    weight = checked_mask(mask)
    if weight.shape != composite.shape[:2]:
        raise InputError(
            f"mask is {weight.shape[1]}x{weight.shape[0]} but composite is {composite.shape[1]}x{composite.shape[0]}",
            "resize it or pass --fit-mask",
        )
    if in_place and not composite.flags.writeable:
        raise InputError("composite cannot be written to", "give a copy of it, or leave in_place out")
    colour = composite[..., :3]
    if composite.dtype in (np.float16, np.float64):
        colour = colour.astype(np.float32)
    return np.ascontiguousarray(colour), weight


def like(composite: NDArray[Any], mask: NDArray[Any], changed: NDArray[Any], *, in_place: bool = False) -> NDArray[Any]:
    """Changed colours with the type and the alpha of the composite they were made from; ``in_place`` as above."""
    if in_place and np.may_share_memory(changed, composite):
        return composite
    if not in_place and changed.shape == composite.shape and changed.dtype == composite.dtype:
        return changed
    result = composite if in_place else composite.copy()
    np.copyto(result[..., :3], changed.astype(composite.dtype, copy=False), where=(mask > 0)[..., None])
    return result


def predict(runner: Runner, composite: NDArray[Any], mask: NDArray[Any]) -> NDArray[np.float32]:
    """Run the network at its working size.

    Args:
        runner: a loaded network.
        composite: ``(H, W, 3)`` RGB; uint8, uint16 or float32 in [0, 1].
        mask: ``(H, W)``; uint8 or uint16 (full scale is the foreground) or float32 in [0, 1].

    Returns:
        A grid for :func:`~edge_harmony.pipeline.apply.apply_grid`: ``(12, h, w)`` affine, ``(6, h, w)`` gains and
        offsets, or ``(3, h, w)`` difference. A network that paints a picture is turned into the difference it makes.
    """
    spec = runner.io_spec
    return predict_later(runner, *to_working_size(composite, mask, (spec.height, spec.width)))()


def predict_later(
    runner: Runner, planes: NDArray[np.float32], small_mask: NDArray[np.float32]
) -> Callable[[], NDArray[np.float32]]:
    """The same from what :func:`to_working_size` returns, begun: what is returned waits for the grid; see
    :func:`~edge_harmony.backends.base.submit`.

    Raises:
        InputError: (when waited for) the network returns values that are not finite.
    """
    waited = submit(runner, planes, small_mask)

    def grid() -> NDArray[np.float32]:
        output = waited()[0]
        if not np.isfinite(output).all():
            raise InputError(
                "the network returned values that are not finite", "report this picture, or use another model"
            )
        return _spread(output - planes[0], small_mask[0, 0]) if runner.io_spec.output == "rgb" else output

    return grid


def to_working_size(
    composite: NDArray[Any], mask: NDArray[Any], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a network takes: ``(1, 3, H, W)`` and ``(1, 1, H, W)`` float32 in [0, 1], contiguous.

    Args:
        composite: as :func:`predict` takes it.
        mask: likewise.
        size: (height, width) that the network works at.
    """
    small = _to_unit(resize(composite, size[::-1]))
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None]), mask_to_working_size(mask, size)


def mask_to_working_size(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """The mask's part of :func:`to_working_size`."""
    small = resize_to_float(mask, size[::-1]) / np.float32(full_scale(mask))
    return np.ascontiguousarray(snap(small)[None, None])


def snap(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make weights that are 0 or 1 but for rounding so again, and clip; others change by no more than 1e-5.

    Resized from ones, a mask is 0.9999999 at some sizes, and thousands of such crumbs would make a background. The
    same as :func:`edge_harmony.models.layers.masks.snap`.
    """
    return np.clip(mask * np.float32(1 + 2 * _CRUMB) - np.float32(_CRUMB), 0, 1)


def check_composite(composite: NDArray[Any]) -> None:
    """Refuse arrays that are no picture.

    Raises:
        InputError: wrong shape, empty, wrong type, or float values outside [0, 1].
    """
    if composite.ndim != 3 or composite.shape[2] not in (3, 4) or 0 in composite.shape:
        raise InputError(f"composite has the shape {composite.shape}", "give (H, W, 3) RGB or (H, W, 4) RGBA")
    if composite.dtype.kind == "f":
        check_float_range(composite, "composite")
    elif composite.dtype not in (np.uint8, np.uint16):
        raise InputError(f"composite has the type {composite.dtype}", "give uint8, uint16 or float in [0, 1]")


def checked_mask(mask: NDArray[Any]) -> NDArray[Any]:
    """Masks as people have them to ``(H, W)`` uint8, uint16 or float32; see :func:`harmonize_pixels`."""
    if mask.ndim == 3 and mask.shape[2] == 1:
        mask = mask[..., 0]
    if mask.ndim != 2:
        raise InputError(f"mask has the shape {mask.shape}", "give (H, W), white in the foreground")
    if mask.dtype == np.bool_:
        return np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255)
    if mask.dtype.kind == "f":
        check_float_range(mask, "mask")
        return np.ascontiguousarray(mask, dtype=np.float32)
    if mask.dtype not in (np.uint8, np.uint16):
        raise InputError(f"mask has the type {mask.dtype}", "give uint8, uint16, bool or float in [0, 1]")
    return np.ascontiguousarray(mask)


def fit_mask(mask: NDArray[np.float32], composite: NDArray[Any]) -> NDArray[np.float32]:
    """Resize a mask to the composite's size; one that has it already is returned as it is."""
    if mask.shape == composite.shape[:2]:
        return mask
    return snap(resize(mask, (composite.shape[1], composite.shape[0])))


def _to_unit(image: NDArray[Any]) -> NDArray[np.float32]:
    if image.dtype == np.float32:
        return image
    return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)


def _spread(difference: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Continue a difference beyond the mask, so that upsampling does not mix in what the network painted outside."""
    weight = cv2.blur(mask, _SPREAD_WINDOW)
    blurred = cv2.blur(np.ascontiguousarray((difference * mask).transpose(1, 2, 0)), _SPREAD_WINDOW)
    outside = (blurred / np.maximum(weight, 1e-6)[..., None]).transpose(2, 0, 1)
    return np.where(mask > 0.5, difference, outside).astype(np.float32)
