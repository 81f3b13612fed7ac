"""A picture file's bytes to pixels, upright, in RGB or sRGB, and to what the file says of them.

OpenCV decodes; Pillow reads the header first, so that a picture is refused for its size or kind before anything is
allocated, and decodes what OpenCV gets wrong: CMYK, Lab, TIFF with alpha or compressed in a way that OpenCV does not
know, and gray with a transparent level. HEIC and AVIF have a way of their own.
"""

from __future__ import annotations

import logging
import os
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from edge_harmony.errors import InputError, UsageError, is_out_of_memory, parsing
from edge_harmony.files.stderr import overheard
from edge_harmony.pictures.alpha import unmultiplied
from edge_harmony.pictures.arrays import check_float_range
from edge_harmony.pictures.exif import ORIENTATION
from edge_harmony.pictures.headers import PILLOW_ERRORS, open_header, png_chunks, png_pixels, tiff_numbers
from edge_harmony.pictures.heif import open_heif
from edge_harmony.pictures.heif_boxes import heif_kind
from edge_harmony.pictures.icc import colour_space, gray_curve, to_srgb
from edge_harmony.pictures.metadata import of_upright, read_metadata
from edge_harmony.pictures.orientation import upright
from edge_harmony.pictures.psd import is_psd, open_psd

log = logging.getLogger(__name__)

MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused; EDGE_HARMONY_MAX_PIXELS overrides it."""

# Tags of TIFF, and their values
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 262, 277
_PLANES, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 284, 338, 339
_WHITE_IS_ZERO, _APART, _MULTIPLIED, _FLOATING_POINT = 0, 2, 1, 3

_OPENCV_PIXELS = 1 << 30
_OPENCV_SIDE = 1 << 20


class PictureHeader(NamedTuple):
    """What the header of a picture file says.

    Attributes:
        kind: ``JPEG``, ``PNG``, ``WEBP``, ``TIFF``, ``HEIC``, ...
        size: (width, height) as it is stored.
    """

    kind: str
    size: tuple[int, int]


def read_header(data: bytes, name: str) -> PictureHeader:
    """The header of a picture file; nothing of the size of the picture is allocated.

    Raises:
        InputError: it is no picture that can be read, or has more pixels than the limit.
        CapabilityError: the package that reads it is missing.
    """
    heif = heif_kind(data)
    if heif is not None:
        size = open_heif(data, name).size
        _refuse_size(name, size)
        return PictureHeader(heif, size)
    if is_psd(data):
        size = open_psd(data, name).size
        _refuse_size(name, size)
        return PictureHeader("PSD", size)
    size, kind, _, _ = _inspect(name, png_pixels(data))
    return PictureHeader(kind or "", size)


def decode_pixels(data: bytes, name: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """Pixels, and the fields of :class:`~edge_harmony.pictures.metadata.Metadata`.

    Args:
        data: the file.
        name: what errors call it.

    Returns:
        Pixels as :class:`~edge_harmony.pictures.images.Picture` holds them, but ``(H, W, 1)`` where OpenCV decodes a
        single channel, of which a mask needs no copies; and the fields.

    Raises:
        InputError: it is empty, truncated, no picture, or too large.
        MemoryError: there is too little memory for it.
    """
    if not data:
        raise InputError(f"{name} is empty", "export it again")
    if heif_kind(data) is not None:
        opened = open_heif(data, name)
        _refuse_size(name, opened.size)
        pixels, fields = opened.pixels(), opened.fields
        if fields["icc"] is not None and colour_space(fields["icc"]) != "RGB":
            pixels, fields["icc"] = _without_profile(pixels, fields["icc"], name), None
        return pixels, fields
    if is_psd(data):
        merged = open_psd(data, name)
        _refuse_size(name, merged.size)
        flat, profile = merged.pixels()
        if profile is not None and colour_space(profile) != "RGB":
            return _without_profile(flat, profile, name), {}
        return flat, {"icc": profile}
    bare = png_pixels(data)
    _, kind, mode, by_pillow = _inspect(name, bare)
    fields, whole = read_metadata(kind, data)
    if not whole:
        raise InputError(f"{name} is truncated or damaged", "export or download it again")
    icc, turned = fields.get("icc"), fields.get("turned", 1)
    tags = tiff_numbers(bare) if kind == "TIFF" else {}
    _refuse_samples(name, tags)
    if mode in ("CMYK", "LAB"):
        log.warning("%s is %s: the result is sRGB", name, {"LAB": "Lab"}.get(mode, mode))
        pixels, fields["icc"] = _decode_by_pillow(name, bare, turned, icc), None
    elif by_pillow:
        pixels = _decode_by_pillow(name, bare, turned)
    else:
        try:
            pixels = _ordered(_decode(name, bare), name)
            pixels = _as_tagged(pixels, tags, name) if kind == "TIFF" else _transparent(pixels, kind, bare)
        except _Unknown:
            if kind != "TIFF" or mode not in ("1", "L", "P", "RGB"):
                raise
            pixels = _decode_by_pillow(name, bare, turned)
        if kind != "TIFF":  # OpenCV turns TIFF itself
            pixels = upright(pixels, turned)
        if icc is not None and colour_space(icc) != "RGB":
            pixels, fields["icc"] = _without_profile(pixels, icc, name), None
    if mode == "RGBa" and pixels.shape[2] == 4:
        pixels = unmultiplied(pixels)
    return pixels, of_upright(fields, (pixels.shape[1], pixels.shape[0]))


def _ordered(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    """OpenCV's pixels in the order and type of this package."""
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    if pixels.dtype == np.float32:
        check_float_range(pixels, name)
    elif pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name} has {pixels.dtype} samples", "use 8-bit, 16-bit or float pictures")
    if pixels.ndim == 2:
        return pixels[..., None]
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    if pixels.shape[2] == 4:
        return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)
    raise InputError(f"{name} has {pixels.shape[2]} channels", "use a gray, RGB or RGBA picture")


def _as_tagged(pixels: NDArray[Any], tags: dict[int, int], name: str) -> NDArray[Any]:
    """What tags say of samples of more than 8 bits, which OpenCV passes over: gray with 0 for white, and alpha."""
    if tags.get(_SAMPLES) == 2 and _EXTRA_SAMPLES in tags and tags.get(_BITS, 1) > 8:
        log.warning("%s is gray of %d bits with transparency: read with 8 bits, without it", name, tags[_BITS])
    if pixels.dtype == np.uint8:
        return pixels
    if tags.get(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        return (1 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max) - pixels
    if tags.get(_EXTRA_SAMPLES) == _MULTIPLIED and pixels.shape[2] == 4:
        return unmultiplied(pixels)
    return pixels


def _transparent(pixels: NDArray[Any], kind: str | None, data: bytes) -> NDArray[Any]:
    """Pixels of 16 bits with the alpha of a PNG's transparent gray level, which OpenCV passes over."""
    if kind != "PNG" or pixels.dtype != np.uint16 or pixels.shape[2] != 1:
        return pixels
    level = dict(png_chunks(data)[0]).get(b"tRNS", b"")
    if len(level) != 2:
        return pixels
    alpha = np.where(pixels[..., :1] == int.from_bytes(level, "big"), np.uint16(0), np.uint16(65535))
    return np.concatenate([pixels, pixels, pixels, alpha], axis=2)


def _without_profile(pixels: NDArray[Any], icc: bytes, name: str) -> NDArray[Any]:
    """Gray pixels in sRGB by their profile; others as they are, where the profile describes another picture."""
    gray = not np.ptp(pixels[..., :3], axis=2).any() if colour_space(icc) == "GRAY" else False
    curve = gray_curve(icc) if gray else None
    if curve is None:
        log.warning("%s has a profile of another colour space (%s): left out", name, colour_space(icc))
        return pixels
    levels = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    made = np.interp(pixels[..., 0].astype(np.float32) * np.float32(255 / levels), np.arange(256), curve) * levels
    pixels[..., :3] = (np.rint(made) if levels > 1 else made).astype(pixels.dtype)[..., None]
    return pixels


def _inspect(name: str, data: bytes) -> tuple[tuple[int, int], str | None, str, bool]:
    """Refuse by header: not a picture, too large. Returns the size, the format, Pillow's mode, and whether Pillow has
    to decode it: OpenCV multiplies the colours of TIFF by alpha, or drops what is transparent.
    """
    try:
        with open_header(data) as header:
            size, kind, mode = header.size, header.format, header.mode
            bits = header.tag_v2.get(258, (8,)) if isinstance(header, TiffImagePlugin.TiffImageFile) else ()
            is_transparent_gray = mode in ("1", "L") and "transparency" in header.info
    except MemoryError:
        raise
    except PILLOW_ERRORS:
        tags = tiff_numbers(data)
        if not {_WIDTH, _HEIGHT} <= tags.keys():
            raise InputError(
                f"{name} is not a picture that can be read", "use JPEG, PNG, WebP, TIFF, BMP, GIF, PSD, HEIC or AVIF"
            ) from None
        size, kind, mode, bits, is_transparent_gray = (tags[_WIDTH], tags[_HEIGHT]), "TIFF", "", (), False
    _refuse_size(name, size)
    return size, kind, mode, mode in ("RGBA", "RGBa", "LA", "La") if set(bits) == {8} else is_transparent_gray


def _refuse_samples(name: str, tags: dict[int, int]) -> None:
    """Refuse a TIFF that OpenCV and Pillow decode to noise, or take for a damaged one."""
    bits = tags.get(_BITS, 1)
    if tags.get(_PLANES) == _APART and tags.get(_SAMPLES, 1) > 1 and bits > 8:
        raise InputError(
            f"{name} stores each channel by itself, with {bits} bits a sample",
            "save it with interleaved channels (RGBRGB)",
        )
    if tags.get(_SAMPLES, 1) > 4 and bits > 8:
        raise InputError(f"{name} has {tags[_SAMPLES]} channels of {bits} bits", "save it in gray, RGB or RGBA")
    if tags.get(_SAMPLE_FORMAT) == _FLOATING_POINT and bits not in (32, 64):
        raise InputError(
            f"{name} has floating-point samples of {bits} bits", "save it with 32 bits, or 16-bit integers"
        )


def _refuse_size(name: str, size: tuple[int, int]) -> None:
    """Refuse a picture of more pixels than the limit, or than can be decoded, before anything is allocated."""
    limit = _pixel_limit()
    if size[0] * size[1] > limit:
        raise InputError(
            f"{name} is too large ({size[0]} x {size[1]} pixels, the limit is {limit:,})",
            "set EDGE_HARMONY_MAX_PIXELS to allow more",
        )
    if size[0] * size[1] > _OPENCV_PIXELS or max(size) > _OPENCV_SIDE:
        raise InputError(
            f"{name} is too large ({size[0]} x {size[1]} pixels)",
            f"no more than {_OPENCV_PIXELS:,} can be decoded, and no side of more than {_OPENCV_SIDE:,}",
        )


def _pixel_limit() -> int:
    text = os.environ.get("EDGE_HARMONY_MAX_PIXELS", str(MAX_PIXELS))
    if not text.isdecimal():
        raise UsageError(f"EDGE_HARMONY_MAX_PIXELS is {text!r}", "set it to a number of pixels")
    return int(text)


def _decode(name: str, data: bytes) -> NDArray[Any]:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below says it
    try:
        with overheard() as said:
            pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if is_out_of_memory(error):
            raise MemoryError from None
        raise InputError(f"{name} cannot be decoded ({error.err})", "export it again") from None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise _Unknown(f"{name} is damaged and cannot be decoded", "export or download it again")
    _tell(name, said)
    return pixels


def _tell(name: str, said: list[str]) -> None:
    """Say in one line what a decoder said of a file and went on."""
    if said:
        log.warning("%s may be damaged, and parts of it look wrong (%s)", name, said[0])


class _Unknown(InputError):
    """OpenCV makes nothing of a file: it is damaged, or of a kind that OpenCV does not know."""


def _decode_by_pillow(name: str, data: bytes, turned: int, icc: bytes | None = None) -> NDArray[np.uint8]:
    damaged = f"{name} is damaged and cannot be decoded", "export or download it again"
    with parsing(*damaged), open_header(data) as picture:
        with overheard() as said:
            picture.load()
        _tell(name, said)
        pixels = to_srgb(picture, icc) if picture.mode in ("CMYK", "LAB") else np.array(_coloured(picture))
        left = turned if picture.getexif().get(ORIENTATION, 1) == turned else 1  # newer versions turn TIFF
        return upright(pixels, left)


def _coloured(picture: Image.Image) -> Image.Image:
    """In RGB, with alpha where there is any; other colours stay what they are."""
    if picture.mode in ("RGB", "RGBA", "RGBa"):
        return picture
    return picture.convert("RGBA" if picture.mode in ("LA", "La") or "transparency" in picture.info else "RGB")
