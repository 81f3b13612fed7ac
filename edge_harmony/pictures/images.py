"""Reading and writing users' pictures: any depth, alpha, EXIF orientation, ICC profile.

OpenCV decodes and encodes the pixels. Pillow reads the header first, so that a picture of a wrong size or kind is
refused before anything is allocated.
"""

from __future__ import annotations

import io
import logging
import os
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.atomic import atomic_write
from edge_harmony.pictures.arrays import check_float_range, refuse_coloured, to_eight_bits
from edge_harmony.pictures.headers import (
    ORIENTATION_TAG,
    add_tiff_profile,
    jpeg_is_whole,
    png_is_whole,
    reset_orientation,
    tiff_size,
)

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
"""File name suffixes that are read and written."""

MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused; EDGE_HARMONY_MAX_PIXELS overrides it."""

_DEEP = (".png", ".tif", ".tiff")
_ALPHA = (".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright.

    Attributes:
        pixels: ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA; uint8, uint16, or float32 in [0, 1].
        exif: EXIF block as stored, with its orientation reset to upright; None if there was none.
        icc: ICC profile as stored, or None.
    """

    pixels: NDArray[Any]
    exif: bytes | None = None
    icc: bytes | None = None

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
    orientation, icc = _inspect(name, data)
    pixels, exif, embedded_icc = _decode(name, data)
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    if pixels.dtype == np.float32:
        check_float_range(pixels, name)
    elif pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name} has {pixels.dtype} samples", "use 8-bit, 16-bit or float pictures")
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    elif pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    elif pixels.shape[2] == 4:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)
    else:
        raise InputError(f"{name} has {pixels.shape[2]} channels", "use a gray, RGB or RGBA picture")
    return Picture(_upright(pixels, orientation), reset_orientation(exif), embedded_icc or icc)


def read_mask(path: Path | str) -> NDArray[np.float32]:
    """Read a mask: gray, or gray stored as RGB or RGBA; white is the foreground.

    In an RGBA file of one constant colour, the alpha channel is the mask. In a file that has only the values 0 and 1,
    1 is the foreground.

    Returns:
        ``(H, W)`` float32 in [0, 1], upright.

    Raises:
        UsageError: there is no such file, or it is a folder.
        InputError: the file is damaged or the mask is coloured.
    """
    return decode_mask(read_bytes(Path(path)), str(path))


def decode_mask(data: bytes, name: str) -> NDArray[np.float32]:
    """Decode the bytes of a mask file as :func:`read_mask` does; ``name`` is its name in error messages.

    Raises:
        InputError: the bytes are damaged or the mask is coloured.
    """
    pixels = decode_picture(data, name).pixels
    peak = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
    colour = pixels[..., :3]
    if pixels.shape[2] == 4 and np.ptp(colour) == 0 and np.ptp(pixels[..., 3]) > 0:
        gray = pixels[..., 3]
    else:
        refuse_coloured(colour, name)
        gray = colour[..., 1]
    if gray.dtype != np.float32 and gray.max() == 1:
        peak = 1.0
    return np.ascontiguousarray(gray, dtype=np.float32) / np.float32(peak)


def write_picture(path: Path | str, picture: Picture, *, quality: int = 95) -> None:
    """Write a picture; the file appears whole or not at all.

    The suffix chooses the format. If the format cannot hold 16 bits or alpha (JPEG, for example), the picture is
    converted with a warning.

    Args:
        path: path of the file; its folder must exist.
        picture: see :class:`Picture`.
        quality: quality of JPEG and WebP, 1 to 100.

    Raises:
        UsageError: the suffix is unknown, or the folder is missing or cannot be written.
    """
    path = Path(path)
    check_writable(path)
    atomic_write(path, encode_picture(picture, path.suffix, quality=quality))


def encode_picture(picture: Picture, suffix: str, *, quality: int = 95) -> bytes:
    """The bytes that :func:`write_picture` writes.

    Raises:
        UsageError: the suffix is unknown.
        InputError: the picture is too large for the format.
    """
    suffix = suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"unknown suffix {suffix!r}", f"use one of {' '.join(SUFFIXES)}")
    pixels = picture.pixels
    if pixels.dtype == np.float32 and suffix not in (".tif", ".tiff"):
        pixels = np.rint(pixels * np.float32(65535)).astype(np.uint16)
    if pixels.dtype == np.uint16 and suffix not in _DEEP:
        log.warning("%s holds 8 bits per sample; write .png or .tif to keep the depth", suffix)
        pixels = to_eight_bits(pixels)
    if pixels.shape[2] == 4 and suffix not in _ALPHA:
        log.warning("%s has no alpha channel; write .png to keep it", suffix)
        pixels = pixels[..., :3]
    code = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    pixels = cv2.cvtColor(np.ascontiguousarray(pixels), code)
    options = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }.get(suffix, [])
    kinds, blocks = [], []
    for kind, block in ((cv2.IMAGE_METADATA_EXIF, picture.exif), (cv2.IMAGE_METADATA_ICCP, picture.icc)):
        if block and suffix in (".jpg", ".jpeg", ".png", ".webp"):
            kinds.append(kind)
            blocks.append(np.frombuffer(block, np.uint8))
    done, data = cv2.imencodeWithMetadata(suffix, pixels, kinds, blocks, options)
    if not done:
        raise InputError(f"cannot encode {pixels.shape[1]}x{pixels.shape[0]} {pixels.dtype} as {suffix}")
    encoded = data.tobytes()
    if picture.icc and suffix in (".tif", ".tiff"):
        encoded = add_tiff_profile(encoded, picture.icc)
    return encoded


def check_writable(path: Path, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse an output path before any work is done on it."""
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"cannot write {path.name}: unknown suffix", f"use one of {' '.join(suffixes)}")
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
    if path.is_dir():
        raise UsageError(f"{path} is a folder where a picture is expected", "name a file")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist", "check the path") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check its permissions") from None


def _inspect(name: str, data: bytes) -> tuple[int, bytes | None]:
    """Refuse files that are not a picture, too large or truncated, by the header.

    Returns the EXIF orientation that remains to be undone, and the ICC profile.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning; the limit below is ours
            with Image.open(io.BytesIO(data)) as header:
                width, height = header.size
                kind = header.format
                icc = header.info.get("icc_profile")
                orientation = _orientation(header)
    except Image.DecompressionBombError as error:
        raise _too_large(name, str(error)) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, struct.error, TypeError, EOFError):
        size = tiff_size(data)
        if size is None:
            raise InputError(f"{name} is not a picture that can be read", "use JPEG, PNG, WebP, TIFF or BMP") from None
        (width, height), kind, icc, orientation = size, "TIFF", None, 1
    limit = _pixel_limit()
    if width * height > limit:
        raise _too_large(name, f"{width} x {height} pixels, the limit is {limit:,}")
    if (kind == "JPEG" and not jpeg_is_whole(data)) or (kind == "PNG" and not png_is_whole(data)):
        raise InputError(f"{name} is truncated or damaged", "export or download it again")
    return 1 if kind == "TIFF" else orientation, icc  # OpenCV turns TIFF itself


def _orientation(header: Image.Image) -> int:
    """EXIF orientation, 1 to 8. A damaged block counts as upright: it is no reason to refuse the picture."""
    try:
        value = header.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # Pillow's parsers raise many kinds on damaged blocks
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _pixel_limit() -> int:
    text = os.environ.get("EDGE_HARMONY_MAX_PIXELS", str(MAX_PIXELS))
    if not text.isdecimal():
        raise UsageError(f"EDGE_HARMONY_MAX_PIXELS is {text!r}", "set it to a number of pixels")
    return int(text)


def _too_large(name: str, detail: str) -> InputError:
    return InputError(f"{name} is too large ({detail})", "set EDGE_HARMONY_MAX_PIXELS to allow more")


def _decode(name: str, data: bytes) -> tuple[NDArray[Any], bytes | None, bytes | None]:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below is enough
    try:
        pixels, kinds, blocks = cv2.imdecodeWithMetadata(np.frombuffer(data, np.uint8), flags=cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise InputError(f"{name} cannot be decoded ({error.err})", "export it again") from None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise InputError(f"{name} is damaged and cannot be decoded", "export or download it again")
    found = {int(kind): np.asarray(block).tobytes() for kind, block in zip(kinds, blocks, strict=True)}
    return pixels, found.get(cv2.IMAGE_METADATA_EXIF), found.get(cv2.IMAGE_METADATA_ICCP)


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation, 1 to 8 (EXIF 2.3, tag 0x0112)."""
    if orientation in (2, 4, 5, 7):
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(pixels, turns))
