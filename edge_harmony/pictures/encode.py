"""Writing pictures: pixels and what is known of them to the bytes of a file, in the format of its suffix.

How metadata get into files says :mod:`edge_harmony.pictures.embed`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_harmony.errors import InputError, UsageError, is_out_of_memory
from edge_harmony.files.atomic import atomic_write
from edge_harmony.files.place import check_place
from edge_harmony.pictures import heif
from edge_harmony.pictures.arrays import to_eight_bits
from edge_harmony.pictures.embed import embed
from edge_harmony.pictures.images import SUFFIXES, Picture

log = logging.getLogger(__name__)

_DEEP = (".png", ".tif", ".tiff", ".heic", ".heif", ".hif")
_ALPHA = (".png", ".tif", ".tiff", ".webp", *heif.SUFFIXES)
_PNG = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
"""6 % smaller than with OpenCV's own choice for 4 % more time: ``benchmarks/file_parts.py``."""
_DEEP_TIFF = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_NONE]
"""LZW, OpenCV's choice, makes noise in the low bits larger, and takes twenty times as long as none."""
_LARGEST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".png": 1_000_000, ".webp": 16383, ".avif": 32768}
_LARGEST_SIDE |= dict.fromkeys(heif.HEVC_SUFFIXES, 65528)
"""Pixels. Limits of libraries are those of JPEG (``JPEG_MAX_DIMENSION``), PNG (``PNG_USER_WIDTH_MAX``) and HEIC: x265
fills sides to a multiple of 8, and libde265 reads 65,535."""


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
    try:
        done, data = cv2.imencode(suffix, pixels, encoder_options(suffix, pixels.dtype, quality))
    except cv2.error as error:
        if is_out_of_memory(error):
            raise MemoryError from None
        done = False
    if not done:
        raise InputError(f"cannot encode {width}x{height} {pixels.dtype} as {suffix}", "write .png or .tif")
    return embed(data.tobytes(), suffix, picture, (width, height), alpha=channels == 4)


def encoder_options(suffix: str, samples: np.dtype[Any], quality: int) -> list[int]:
    """OpenCV's options for a file.

    Args:
        suffix: of the file, in small letters.
        samples: their type.
        quality: of JPEG and WebP, 1 to 100.
    """
    tiff = [] if samples == np.uint8 else _DEEP_TIFF
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    webp = [cv2.IMWRITE_WEBP_QUALITY, quality]
    return {".png": _PNG, ".tif": tiff, ".tiff": tiff, ".jpg": jpeg, ".jpeg": jpeg, ".webp": webp}.get(suffix, [])


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
    heif.check_encoder(path.suffix.lower())
    check_place(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "name the output file")
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist", "create it first")
