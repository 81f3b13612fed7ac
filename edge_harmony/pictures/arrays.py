"""Composites and masks as arrays: valid shapes, types and ranges."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.pictures.resize import resize

_CRUMB = 1e-5
Box = tuple[int, int, int, int]
Pixels = NDArray[np.uint8]
"""Levels of 8 bits."""
Floats = NDArray[np.float32]
_ASPECT_TOLERANCE = 0.03
_GRAY_TOLERANCE = 12
"""Largest difference between the channels of a mask that is gray but went through JPEG (0..255)."""


def checked_pair(
    composite: NDArray[Any], mask: NDArray[Any], *, in_place: bool = False, reader: MaskReader | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Check a user's composite and mask and convert them to the types of the pipeline.

    Args:
        composite: as for :func:`~edge_harmony.pipeline.harmonize.harmonize_pixels`.
        mask: as for :func:`~edge_harmony.pipeline.harmonize.harmonize_pixels`.
        in_place: also check that ``composite`` can be written to.

    Returns:
        Composite and mask as :func:`~edge_harmony.pipeline.harmonize.predict` and
        :func:`~edge_harmony.pipeline.apply.apply_grid` take them.

    Raises:
        InputError: shapes, types or values do not fit.
    """
    check_composite(composite)
    weight = checked_mask(mask, reader)
    if weight.shape != composite.shape[:2]:
        raise InputError(
            f"mask is {weight.shape[1]}x{weight.shape[0]} but composite is {composite.shape[1]}x{composite.shape[0]}",
            "resize it to the size of the composite",
        )
    if in_place and not composite.flags.writeable:
        raise InputError("composite cannot be written to", "give a copy of it, or leave in_place out")
    return colours_of(composite), weight


def colours_of(composite: NDArray[Any]) -> NDArray[Any]:
    """The colours of a composite as the pipeline takes them: ``(H, W, 3)`` without gaps; uint8, uint16 or float32."""
    colour = composite[..., :3]
    if composite.dtype in (np.float16, np.float64):
        colour = colour.astype(np.float32)
    return np.ascontiguousarray(colour)


def like(composite: NDArray[Any], mask: NDArray[Any], changed: NDArray[Any], *, in_place: bool = False) -> NDArray[Any]:
    """Give changed colours the type and the alpha of their composite; with ``in_place`` write them into it."""
    if in_place and np.may_share_memory(changed, composite):
        return composite
    if not in_place and changed.shape == composite.shape and changed.dtype == composite.dtype:
        return changed
    result = composite if in_place else composite.copy()
    np.copyto(result[..., :3], changed.astype(composite.dtype, copy=False), where=(mask > 0)[..., None])
    return result


def snap(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set weights that differ from 0 or 1 by rounding only to 0 or 1, and clip; others change by at most 1e-5.

    A full mask is 0.9999999 after resizing to some sizes, and thousands of such errors would add up to a background.
    :func:`edge_harmony.models.layers.masks.snap` does this in PyTorch.
    """
    return np.clip(mask * np.float32(1 + 2 * _CRUMB) - np.float32(_CRUMB), 0, 1)


def check_composite(composite: NDArray[Any]) -> None:
    """Refuse arrays that are not a picture.

    Raises:
        InputError: the array is empty, has a wrong shape or type, or float values outside [0, 1].
    """
    if composite.ndim != 3 or composite.shape[2] not in (3, 4) or 0 in composite.shape:
        raise InputError(f"composite has the shape {composite.shape}", "give (H, W, 3) RGB or (H, W, 4) RGBA")
    if composite.dtype.kind == "f":
        check_float_range(composite, "composite")
    elif composite.dtype not in (np.uint8, np.uint16):
        raise InputError(f"composite has the type {composite.dtype}", "give uint8, uint16 or float in [0, 1]")


def checked_mask(mask: NDArray[Any], reader: MaskReader | None = None) -> NDArray[Any]:
    """Masks as people have them to ``(H, W)`` uint8, uint16 or float32; ``reader`` says what their numbers mean.

    See :func:`~edge_harmony.pipeline.harmonize.harmonize_pixels`.

    Raises:
        InputError: it is no mask, or what it means is not clear.
    """
    reader = reader or MaskReader()
    if mask.ndim == 3 and mask.shape[2] == 1:
        mask = mask[..., 0]
    if mask.ndim != 2:
        raise InputError(f"mask has the shape {mask.shape}", "give (H, W), white in the foreground")
    if 0 in mask.shape:
        raise InputError(f"mask has the shape {mask.shape}", "give (H, W), white in the foreground")
    if mask.dtype.kind == "f":
        check_float_range(mask, "mask")
    elif mask.dtype.kind not in "bui":
        raise InputError(f"mask has the type {mask.dtype}", "give integers, bool or float in [0, 1]")
    return reader.read(mask)


def fit_mask(mask: NDArray[Any], composite: NDArray[Any]) -> NDArray[Any]:
    """Resize weights to the composite's size, to float32; those that have it already are returned as they are.

    Raises:
        InputError: its aspect is another, so that it would be stretched.
    """
    if mask.shape == composite.shape[:2]:
        return mask
    check_aspect((mask.shape[1], mask.shape[0]), (composite.shape[1], composite.shape[0]), "the mask")
    return snap(resize(to_unit(mask), (composite.shape[1], composite.shape[0])))


def check_aspect(size: tuple[int, int], wanted: tuple[int, int], name: str) -> None:
    """Refuse to stretch: sides may differ from the other aspect by 3 percent, or by a pixel of rounding.

    Args:
        size: (width, height) of what is to be resized.
        wanted: to what.
        name: what the error calls it.

    Raises:
        InputError: the aspect is another.
    """
    (width, height), (new_width, new_height) = size, wanted
    if abs(width * new_height - height * new_width) > max(
        _ASPECT_TOLERANCE * height * new_width, max(new_width, new_height)
    ):
        turned = abs(width * new_width - height * new_height) <= _ASPECT_TOLERANCE * height * new_height
        raise InputError(
            f"{name} is {width}x{height} but the picture is {new_width}x{new_height}: another aspect",
            "turn it by a quarter" if turned else "crop it to what the picture shows; it would be stretched",
        )


def full_scale(mask: NDArray[Any]) -> float:
    """The value of a mask in the foreground: 1 for floats, the largest value of the type for integers."""
    return 1.0 if mask.dtype.kind == "f" else float(np.iinfo(mask.dtype).max)


def rows_without_gaps(mask: NDArray[Any]) -> NDArray[Any]:
    """A mask whose neighbours in a row are adjacent in memory: itself, or a copy."""
    return mask if mask.strides[1] == mask.itemsize else np.ascontiguousarray(mask)


def foreground_box(mask: NDArray[Any]) -> Box | None:
    """The box ``(top, bottom, left, right)`` around the pixels with a mask above 0; None if there are none."""
    if mask.dtype != np.uint8:
        mask = (mask > 0).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    return (top, top + height, left, left + width) if width and height else None


def refuse_coloured(pixels: NDArray[Any], name: str) -> None:
    """Refuse ``(H, W, 3)`` pixels that cannot be a mask, because their channels differ.

    Raises:
        InputError: the channels differ.
    """
    peak = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
    first, *others = cv2.split(pixels)  # whole planes: NumPy's maximum over three neighbours takes 80 times as long
    high, low = first, first
    for channel in others:
        high, low = cv2.max(high, channel), cv2.min(low, channel)
    spread = int(255 * float(cv2.minMaxLoc(cv2.subtract(high, low))[1]) / peak)
    if spread > _GRAY_TOLERANCE:
        raise InputError(
            f"{name} is coloured (channels differ by up to {spread} of 255) and cannot be a mask",
            "save the mask in gray, white in the foreground",
        )


def check_float_range(pixels: NDArray[Any], name: str) -> None:
    """Refuse float pictures with values outside [0, 1] or NaN, instead of silently clipping them."""
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0.0 and high <= 1.0):
        raise InputError(
            f"{name} has float values from {low:g} to {high:g}",
            "scale float pictures to [0, 1] in a display-referred (sRGB-like) encoding",
        )


def like_depth(pixels: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Pixels (uint8, uint16, or float32 in [0, 1]) with the type of others, so that the two can be mixed."""
    if pixels.dtype == other.dtype:
        return pixels
    if other.dtype == np.uint8:
        return to_eight_bits(pixels)
    scaled = pixels.astype(np.float32) * np.float32(full_scale(other) / full_scale(pixels))
    return scaled if other.dtype.kind == "f" else np.rint(scaled).astype(other.dtype)


def to_unit(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Samples (uint8, uint16, or float32 in [0, 1]) as float32 in [0, 1]."""
    return samples if samples.dtype == np.float32 else samples.astype(np.float32) / np.float32(full_scale(samples))


def to_eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Any samples (uint8, uint16, or floating point in [0, 1]) as uint8, rounded to the nearest level."""
    if pixels.dtype == np.uint8:
        return pixels
    peak = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    levels: NDArray[np.uint8] = np.rint(pixels.astype(np.float32) * np.float32(255 / peak)).astype(np.uint8)
    return levels
