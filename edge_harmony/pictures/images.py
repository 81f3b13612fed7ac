"""Reading and writing users' pictures: any depth, alpha, EXIF orientation, ICC profile.

How bytes become pixels says :mod:`edge_harmony.pictures.decode`, how metadata get into files
:mod:`edge_harmony.pictures.embed`.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import InputError, UsageError, is_out_of_memory
from edge_harmony.files.atomic import atomic_write
from edge_harmony.files.names import LONGEST
from edge_harmony.files.regular import read_regular, refuse_special
from edge_harmony.pictures import heif
from edge_harmony.pictures.arrays import fit_mask, refuse_coloured, to_eight_bits
from edge_harmony.pictures.decode import decode_pixels
from edge_harmony.pictures.embed import embed
from edge_harmony.pictures.headers import PILLOW_ERRORS, open_header
from edge_harmony.pictures.icc import between_profiles
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.pictures.metadata import Metadata
from edge_harmony.pictures.orientation import QUARTER_TURNS, upright

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", *heif.SUFFIXES)
"""File name suffixes that are read and written."""

_DEEP = (".png", ".tif", ".tiff", ".heic", ".heif", ".hif")
_ALPHA = (".png", ".tif", ".tiff", ".webp", *heif.SUFFIXES)
_PNG = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
"""6 % smaller than with OpenCV's own choice for 4 % more time: ``benchmarks/file_parts.py``."""
_DEEP_TIFF = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_NONE]
"""LZW, OpenCV's choice, makes noise in the low bits larger, and takes twenty times as long as none."""
_GRAY_MODES = ("1", "L", "I;16", "I;16B")
"""Pillow's modes of files that hold one channel."""
_LARGEST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".png": 1_000_000, ".webp": 16383, ".avif": 32768}
_LARGEST_SIDE |= dict.fromkeys(heif.HEVC_SUFFIXES, 65528)
"""Pixels. Limits of libraries are those of JPEG (``JPEG_MAX_DIMENSION``), PNG (``PNG_USER_WIDTH_MAX``) and HEIC: x265
fills sides to a multiple of 8, and libde265 reads 65,535."""


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
    if not data:
        raise InputError(f"{name} is empty", "export it again")
    pixels, fields = decode_pixels(data, name)
    return Picture(pixels, **fields)


def read_mask(path: Path | str, reader: MaskReader | None = None) -> NDArray[np.float32]:
    """Read a mask: gray, or gray stored as RGB or RGBA; white is the foreground.

    An RGBA file of one colour holds its mask in the alpha channel. In a file with a coloured palette the indices are
    the values. What values mean says :class:`~edge_harmony.pictures.masks.MaskReader`.

    Args:
        path: of the file.
        reader: picks a class id, or inverts.

    Returns:
        ``(H, W)`` float32 in [0, 1], upright.

    Raises:
        UsageError: there is no such file, or it is a folder.
        InputError: the file is broken, the mask is coloured, or what it means is not clear.
    """
    return decode_mask(read_bytes(Path(path)), str(path), reader)


def decode_mask(data: bytes, name: str, reader: MaskReader | None = None) -> NDArray[np.float32]:
    """Read a mask from the bytes of its file, as :func:`read_mask` does; errors call it ``name``.

    Raises:
        InputError: they are broken, the mask is coloured, or what it means is not clear.
    """
    picture = decode_picture(data, name)
    mode, indices = _mode_and_indices(data)
    gray = (
        _gray_of(picture.pixels, name, mode)
        if indices is None or picture.pixels.shape[2] == 4
        else upright(indices, picture.turned)
    )
    weight = (reader or MaskReader()).read(gray, name)
    if weight.dtype == np.float32:
        return weight
    return weight.astype(np.float32) / np.float32(np.iinfo(weight.dtype).max)


def _gray_of(pixels: NDArray[Any], name: str, mode: str) -> NDArray[Any]:
    colour = pixels[..., :3]
    if mode in _GRAY_MODES and pixels.shape[2] == 3:  # its channels are copies of one
        return np.ascontiguousarray(colour[..., 1])
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


def match_mask(weight: NDArray[np.float32], picture: Picture, name: str, *, fit: bool = False) -> NDArray[np.float32]:
    """Turn and resize a mask so that it fits its picture.

    Tools that ignore the orientation of a photograph make masks of it as the sensor stored it. Where the photograph was
    turned by a quarter, the size of such a mask gives it away; it is turned too, with a line in the log.

    Args:
        weight: ``(H, W)`` in [0, 1].
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


def write_picture(path: Path | str, picture: Picture, *, quality: int = 95) -> None:
    """Write a picture; the file appears whole or not at all.

    The suffix chooses the format. If the format cannot hold 16 bits or alpha (JPEG, for example), the picture is
    converted with a warning.

    Args:
        path: path of the file; its folder must exist.
        picture: see :class:`Picture`.
        quality: of JPEG, WebP, HEIC and AVIF, 1 to 100.

    Raises:
        UsageError: the suffix is unknown, or the folder is missing or cannot be written.
    """
    path = Path(path)
    check_writable(path)
    atomic_write(path, encode_picture(picture, path.suffix, quality=quality))


def encode_picture(picture: Picture, suffix: str, *, quality: int = 95) -> bytes:
    """The bytes that :func:`write_picture` writes.

    Raises:
        UsageError: the suffix is unknown, or the quality out of range.
        InputError: the picture is too large for the format.
        CapabilityError: the format cannot be written here.
    """
    suffix = suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"unknown suffix {suffix!r}", f"use one of {' '.join(SUFFIXES)}")
    if not 1 <= quality <= 100:
        raise UsageError(f"the quality is {quality}", "give a number from 1 to 100")
    pixels = picture.pixels
    if pixels.dtype == np.float32 and suffix not in (".tif", ".tiff"):
        pixels = np.rint(pixels * np.float32(65535)).astype(np.uint16)
    if pixels.dtype == np.uint16 and suffix not in _DEEP:
        log.warning("%s holds 8 bits per sample; write .png or .tif to keep the depth", suffix)
        pixels = to_eight_bits(pixels)
    if pixels.shape[2] == 4 and suffix not in _ALPHA:
        log.warning("%s has no alpha channel; write .png to keep it", suffix)
        pixels = pixels[..., :3]
    height, width, channels = pixels.shape
    check_holds(suffix, (width, height))
    if suffix in heif.SUFFIXES:
        return heif.encode_heif(np.ascontiguousarray(pixels), suffix, picture, quality)
    code = cv2.COLOR_RGB2BGR if channels == 3 else cv2.COLOR_RGBA2BGRA
    pixels = cv2.cvtColor(np.ascontiguousarray(pixels), code)
    tiff = [] if pixels.dtype == np.uint8 else _DEEP_TIFF
    options = {
        ".png": _PNG,
        ".tif": tiff,
        ".tiff": tiff,
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }.get(suffix, [])
    try:
        done, data = cv2.imencode(suffix, pixels, options)
    except cv2.error as error:
        if is_out_of_memory(error):
            raise MemoryError from None
        done = False
    if not done:
        raise InputError(f"cannot encode {width}x{height} {pixels.dtype} as {suffix}", "write .png or .tif")
    return embed(data.tobytes(), suffix, picture, (width, height), alpha=channels == 4)


def check_holds(suffix: str, size: tuple[int, int]) -> None:
    """Refuse a picture that the format of its result cannot hold, before any work is done on it.

    Args:
        suffix: of the result.
        size: (width, height).

    Raises:
        InputError: the picture is too large for the format.
        CapabilityError: the format cannot be written here.
    """
    heif.check_encoder(suffix.lower())
    reason = _too_large(suffix.lower(), size)
    if reason:
        others = [other for other in (".png", ".tif", ".jpg") if not _too_large(other, size)]
        raise InputError(f"{size[0]}x{size[1]} does not fit into {suffix}, {reason}", f"write {' or '.join(others)}")


def _too_large(suffix: str, size: tuple[int, int]) -> str:
    """Why files of a suffix cannot hold a picture of (width, height); empty if they can."""
    largest = _LARGEST_SIDE.get(suffix, max(size))
    if max(size) > largest:
        return f"whose sides end at {largest:,}"
    return heif.too_narrow(size) if suffix in heif.HEVC_SUFFIXES else ""


def check_writable(path: Path, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse an output path before any work is done on it."""
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"cannot write {path.name}: unknown suffix", f"use one of {' '.join(suffixes)}")
    if len(os.fsencode(path.name)) > LONGEST:
        raise UsageError(f"the name {path.name} is too long", f"use at most {LONGEST} bytes")
    heif.check_encoder(path.suffix.lower())
    refuse_special(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "name the output file")
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist", "create it first")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"the folder {path.parent} cannot be written", "choose another or change its permissions")


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
