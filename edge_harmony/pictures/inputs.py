"""Pictures and masks in the forms that Python programs have them: arrays, Pillow images, torch tensors, files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_harmony.errors import InputError
from edge_harmony.pictures.images import read_mask, read_picture

_COLOURS = (3, 4)
_DEEP_MODES = {"I;16": np.uint16, "I;16L": np.uint16, "I;16B": np.uint16, "I;16N": np.uint16}
"""Pillow's modes of 16 bits, which masks may have."""
_NO_COLOURS = ("I", "F")
"""Pillow's modes of 32 bits, whose range is not known."""

Back = Callable[[NDArray[Any]], Any]


def as_composite(given: Any) -> tuple[NDArray[Any], Back]:
    """A composite as an array, and the function that gives a result the form of the composite.

    Args:
        given: an array as :func:`~edge_harmony.pipeline.harmonize.harmonize_pixels` takes it; a Pillow image; a torch
            tensor ``(3 or 4, H, W)`` or ``(H, W, 3 or 4)``; a path of a picture, which is read upright.

    Returns:
        ``(H, W, 3)`` or ``(H, W, 4)``. Results for a path are arrays.

    Raises:
        InputError: it is none of these, or a file is damaged.
        UsageError: there is no such file.
    """
    if isinstance(given, np.ndarray):
        return given, lambda result: result
    if isinstance(given, str | os.PathLike):
        return read_picture(os.fspath(given)).pixels, lambda result: result
    if isinstance(given, Image.Image):
        return _of_image(given), Image.fromarray
    if _is_tensor(given):
        return _of_tensor(given)
    raise InputError(f"composite is a {type(given).__name__}", _FORMS)


def as_mask(given: Any) -> NDArray[Any]:
    """A mask as an array; of the forms of :func:`as_composite`, a tensor being ``(H, W)`` or ``(1, H, W)``.

    Raises:
        InputError: it is none of these, or a file is damaged.
        UsageError: there is no such file.
    """
    if isinstance(given, np.ndarray):
        return given
    if isinstance(given, str | os.PathLike):
        return read_mask(os.fspath(given))
    if isinstance(given, Image.Image):
        if given.mode in _DEEP_MODES:
            return np.asarray(given).astype(_DEEP_MODES[given.mode])
        return np.asarray(given if given.mode in ("1", "L", "P", "F", "I") else given.convert("L"))
    if _is_tensor(given):
        array: NDArray[Any] = given.detach().cpu().numpy()
        return array[0] if array.ndim == 3 and len(array) == 1 else array
    raise InputError(f"mask is a {type(given).__name__}", _FORMS)


_FORMS = "give a NumPy array, a Pillow image, a torch tensor or a path"


def _of_image(image: Image.Image) -> NDArray[Any]:
    """Pixels of an image, in RGBA where it has transparency.

    Raises:
        InputError: it is of more than 8 bits, which Pillow would cut off.
    """
    if image.mode in _NO_COLOURS or image.mode in _DEEP_MODES:
        raise InputError(f"composite is a Pillow image of the mode {image.mode}", "give an array (H, W, 3) or a path")
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    mode = "RGBA" if has_alpha else "RGB"
    return np.array(image if image.mode == mode else image.convert(mode))


def _is_tensor(given: Any) -> bool:
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    return torch is not None and isinstance(given, torch.Tensor)


def _of_tensor(tensor: Any) -> tuple[NDArray[Any], Back]:
    """Channels come first where the first of three sides is 3 or 4, as everywhere in torch; else last."""
    first = tensor.ndim == 3 and tensor.shape[0] in _COLOURS
    array = tensor.detach().cpu().numpy()

    def back(result: NDArray[Any]) -> Any:
        import torch

        ordered = np.ascontiguousarray(result.transpose(2, 0, 1) if first else result)
        return torch.from_numpy(ordered).to(tensor.device)

    return (np.ascontiguousarray(array.transpose(1, 2, 0)) if first else array), back
