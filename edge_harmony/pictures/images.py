"""Reading users' pictures and masks: any depth, alpha, EXIF orientation, ICC profile.

How bytes become pixels says :mod:`edge_harmony.pictures.decode`; :mod:`edge_harmony.pictures.encode` writes pictures.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.regular import read_regular
from edge_harmony.pictures import heif
from edge_harmony.pictures.arrays import fit_mask, refuse_coloured, to_unit
from edge_harmony.pictures.decode import decode_pixels
from edge_harmony.pictures.headers import PILLOW_ERRORS, open_header
from edge_harmony.pictures.icc import between_profiles
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.pictures.metadata import Metadata
from edge_harmony.pictures.orientation import QUARTER_TURNS, upright

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", *heif.SUFFIXES)
"""File name suffixes that are read and written."""

_GRAY_MODES = ("1", "L", "I;16", "I;16B")
"""Pillow's modes of files that hold one channel."""


@dataclass(frozen=True)
class Picture(Metadata):
    """A decoded picture, upright, and what its file says of it.

    Attributes:
        pixels: ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA; uint8, uint16, or float32 in [0, 1].
    """

    pixels: NDArray[Any]

    def with_pixels(self, pixels: NDArray[Any]) -> Picture:
        """A picture with other pixels and the metadata of this one."""
        return replace(self, pixels=pixels)


def list_pictures(folder: Path) -> Iterator[Path]:
    """The pictures of a folder in the order of their names; hidden and other files are skipped."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            yield path


def read_picture(path: Path | str) -> Picture:
    """Read a colour or gray picture and turn it upright.

    Raises:
        UsageError: there is no such file, or it is a folder.
        InputError: the file is empty, truncated, not a picture, or too large.
    """
    return decode_picture(read_bytes(Path(path)), str(path))


def decode_picture(data: bytes, name: str) -> Picture:
    """Decode the bytes of a picture file and turn the picture upright; ``name`` is its name in error messages.

    Raises:
        InputError: the bytes are empty, truncated, not a picture, or too large.
    """
    pixels, fields = decode_pixels(data, name)
    return Picture(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.shape[2] == 1 else pixels, **fields)


def read_mask(path: Path | str, reader: MaskReader | None = None) -> NDArray[np.float32]:
    """Read a mask in floating point, as :func:`decode_mask` reads it.

    Args:
        path: of the file.
        reader: picks a class id, or inverts.

    Returns:
        ``(H, W)`` float32 in [0, 1], upright.

    Raises:
        UsageError: there is no such file, or it is a folder.
        InputError: the file is broken, the mask is coloured, or what it means is not clear.
    """
    return to_unit(decode_mask(read_bytes(Path(path)), str(path), reader))


def decode_mask(data: bytes, name: str, reader: MaskReader | None = None) -> NDArray[Any]:
    """Read a mask from the bytes of its file: gray, or gray stored as RGB or RGBA; white is the foreground.

    An RGBA file of one colour holds its mask in the alpha channel. In a file with a coloured palette the indices are
    the values. What values mean says :class:`~edge_harmony.pictures.masks.MaskReader`.

    Args:
        data: the file.
        name: what errors call it.
        reader: picks a class id, or inverts.

    Returns:
        ``(H, W)``, upright: weights as the pipeline takes them, which are not to be read as a mask again. uint8 or
        uint16 (full scale is the foreground), or float32 in [0, 1]; integers stay integers, because a picture's size in
        floating point takes time and four times the memory.

    Raises:
        InputError: the file is broken, the mask is coloured, or what it means is not clear.
    """
    pixels, fields = decode_pixels(data, name)
    mode, indices = _mode_and_indices(data)
    gray = (
        _gray_of(pixels, name, mode)
        if indices is None or pixels.shape[2] == 4
        else upright(indices, fields.get("turned", 1))
    )
    return (reader or MaskReader()).read(gray, name)


def _gray_of(pixels: NDArray[Any], name: str, mode: str) -> NDArray[Any]:
    colour = pixels[..., :3]
    if pixels.shape[2] == 1 or (mode in _GRAY_MODES and pixels.shape[2] == 3):  # three channels are copies of one
        return np.ascontiguousarray(colour[..., 0])
    if pixels.shape[2] == 4 and np.ptp(pixels[..., 3]) > 0:
        shown = colour[pixels[..., 3] > 0]
        if not np.ptp(shown, axis=0).any():
            return np.ascontiguousarray(pixels[..., 3])
    refuse_coloured(colour, name)
    return np.ascontiguousarray(colour[..., 1])


def _mode_and_indices(data: bytes) -> tuple[str, NDArray[np.uint8] | None]:
    """Pillow's mode of a file, empty where Pillow cannot read it; and the indices of a file whose palette is coloured,
    as label maps are saved.
    """
    try:
        with open_header(data) as header:
            if header.mode != "P":
                return header.mode, None
            palette = np.array(header.getpalette("RGB") or [], np.int16).reshape(-1, 3)
            indices = np.asarray(header)
    except PILLOW_ERRORS:
        return "", None
    used = palette[np.unique(indices).clip(0, max(0, len(palette) - 1))] if len(palette) else palette
    return "P", indices if used.size and np.ptp(used, axis=1).max() else None


def match_mask(weight: NDArray[Any], picture: Picture, name: str, *, fit: bool = False) -> NDArray[Any]:
    """Turn and resize a mask so that it fits its picture.

    Tools that ignore the orientation of a photograph make masks of it as the sensor stored it. Where the photograph was
    turned by a quarter, the size of such a mask gives it away; it is turned too, with a line in the log.

    Args:
        weight: ``(H, W)``, as :func:`decode_mask` returns it.
        picture: its picture.
        name: what errors call the mask.
        fit: resize a mask of another size instead of refusing it.

    Raises:
        InputError: the sizes differ, or with ``fit`` the aspects.
    """
    height, width = picture.pixels.shape[:2]
    if picture.turned in QUARTER_TURNS and width != height and weight.shape == (width, height):
        log.warning(
            "%s is %dx%d, as the picture was stored before it was turned upright (%dx%d): it is turned too",
            *(name, height, width, width, height),
        )
        weight = upright(weight, picture.turned)
    if fit:
        return fit_mask(weight, picture.pixels)
    if weight.shape != (height, width):
        raise InputError(
            f"{name} is {weight.shape[1]}x{weight.shape[0]} but composite is {width}x{height}",
            "turn it by a quarter" if weight.shape == (width, height) else "resize it or pass fit=True",
        )
    return weight


def in_profile(picture: Picture, icc: bytes | None) -> NDArray[Any]:
    """A picture's pixels in the numbers of another ICC profile (None: sRGB), to be mixed with pixels that have it."""
    if picture.icc == icc:
        return picture.pixels
    pixels = picture.pixels
    if pixels.dtype != np.uint8:
        log.warning("two pictures of different ICC profiles are mixed, and more than 8 bits are not converted")
        return pixels
    colour = between_profiles(np.ascontiguousarray(pixels[..., :3]), picture.icc, icc)
    return colour if pixels.shape[2] == 3 else np.dstack([colour, pixels[..., 3]])


def read_bytes(path: Path) -> bytes:
    """Read a picture file.

    Raises:
        UsageError: the file does not exist, is a folder, or cannot be read.
    """
    try:
        return read_regular(path)
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder where a picture is expected", "name a file") from None
    except FileNotFoundError:
        other = _same_name(path)
        if other is not None:
            return read_bytes(other)
        raise UsageError(f"{path} does not exist", "check the path") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check its permissions") from None


def _same_name(path: Path) -> Path | None:
    """A file whose name is the same but for its Unicode form: one system composes accents, another does not."""
    wanted = unicodedata.normalize("NFC", path.name)
    if wanted.isascii() or not path.parent.is_dir():
        return None
    return next(
        (x for x in path.parent.iterdir() if x.name != path.name and unicodedata.normalize("NFC", x.name) == wanted),
        None,
    )
