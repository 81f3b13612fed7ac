"""HEIC and AVIF, read and written: HEVC by pillow-heif, an optional package; AV1 by Pillow, deep pixels by OpenCV."""

from __future__ import annotations

import functools
import io
import logging
import warnings
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from edge_harmony.errors import CapabilityError, InputError, parsing
from edge_harmony.extras import install_hint, is_installed, require
from edge_harmony.pictures.alpha import unmultiplied
from edge_harmony.pictures.exif import PREFIX
from edge_harmony.pictures.headers import PILLOW_ERRORS
from edge_harmony.pictures.heif_boxes import MainPicture, heif_kind, is_sequence, is_whole, main_picture
from edge_harmony.pictures.icc import checked_profile
from edge_harmony.pictures.metadata import Metadata, of_upright
from edge_harmony.pictures.orientation import upright

log = logging.getLogger(__name__)

HEVC_SUFFIXES = (".heic", ".heif", ".hif")
"""File name suffixes of files that hold HEVC where this package writes them."""
SUFFIXES = (".avif", *HEVC_SUFFIXES)
"""All file name suffixes."""

_MODULE = "pillow_heif"
_DAMAGED = "export or download it again"
_DEEP_BITS = 10
_SRGB = (1, 13)
_NARROW = 32
_LONGEST_NARROW = 4216


def is_readable(suffix: str) -> bool:
    """Whether files of a suffix (of any format) can be read with the packages that are installed."""
    if suffix == ".avif":
        return bool(features.check("avif"))
    return suffix not in SUFFIXES or is_installed(_MODULE)


def check_encoder(suffix: str) -> None:
    """Refuse a suffix of this module that cannot be written here.

    Raises:
        CapabilityError: a package or its encoder is missing.
    """
    if suffix == ".avif" and not _writes_avif():
        raise _no_avif("written")
    if suffix in HEVC_SUFFIXES and not _heif("HEIC is written by pillow-heif").libheif_info()["HEIF"]:
        raise CapabilityError("this pillow-heif has no encoder", "write .jpg or .png")


def too_narrow(size: tuple[int, int]) -> str:
    """Why HEVC cannot hold a picture of (width, height) that is long and narrow; empty if it can.

    x265 codes blocks of 16 pixels where a side is shorter than 32. From level 5 on HEVC forbids such blocks, and up to
    level 4.1 a side ends at 4,222 pixels (ITU-T H.265, A.4.1 and A.4.2), which x265 fills to a multiple of 8.
    """
    if min(size) >= _NARROW or max(size) <= _LONGEST_NARROW:
        return ""
    return f"whose sides end at {_LONGEST_NARROW:,} where one is shorter than {_NARROW}"


@dataclass(frozen=True)
class HeifFile:
    """A file whose header has been read.

    Attributes:
        size: (width, height) of its main picture, upright.
        fields: of :class:`~edge_harmony.pictures.metadata.Metadata`.
    """

    size: tuple[int, int]
    fields: dict[str, Any]
    _opened: Any
    _data: bytes
    _name: str
    _kind: str
    _main: MainPicture

    def pixels(self) -> NDArray[Any]:
        """The main picture, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, upright; uint8, or uint16 from more than 8 bits.

        Raises:
            InputError: it is damaged.
        """
        with parsing(f"{self._name} is damaged and cannot be decoded", _DAMAGED):
            found = self._of_hevc() if self._kind == "HEIC" else self._of_av1()
        return cv2.cvtColor(found, cv2.COLOR_GRAY2RGB) if found.ndim == 2 else found

    def _of_hevc(self) -> NDArray[Any]:
        image = self._opened
        found = np.array(image)
        if found.dtype == np.uint16:  # what the samples have is in the upper bits
            bits = image.info["bit_depth"]
            found = _scaled(found >> (16 - bits), (1 << bits) - 1)
        if found.ndim == 3 and found.shape[2] == 2:
            found = np.dstack([found[..., :1]] * 3 + [found[..., 1:]])
        return unmultiplied(found) if image.premultiplied_alpha else found

    def _of_av1(self) -> NDArray[Any]:
        found = self._deep_av1() if self._main.bits > 8 else None
        if found is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._opened.load()
            found = np.array(self._opened if self._opened.mode in ("L", "RGB", "RGBA") else self._opened.convert("RGB"))
        return upright(found, self._main.turned)

    def _deep_av1(self) -> NDArray[np.uint16] | None:
        try:
            found = cv2.imdecode(np.frombuffer(self._data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            found = None
        if found is None or found.dtype != np.uint16 or found.ndim != 3:
            log.warning("%s has %d bits per sample, of which 8 are read", self._name, self._main.bits)
            return None
        code = cv2.COLOR_BGR2RGB if found.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        return _scaled(cv2.cvtColor(found, code), (1 << self._main.bits) - 1)


def open_heif(data: bytes, name: str) -> HeifFile:
    """Read the header of a file for which :func:`~edge_harmony.pictures.heif_boxes.heif_kind` has a name.

    Depth maps, gain maps, previews and further pictures are left alone.

    Raises:
        CapabilityError: the package that decodes it is not installed.
        InputError: it is truncated or damaged, or has no still picture.
    """
    kind, main = heif_kind(data), main_picture(data)
    assert kind is not None
    if not is_whole(data):
        raise InputError(f"{name} is truncated or damaged", _DAMAGED)
    if kind == "HEIC" and is_sequence(data):
        raise InputError(f"{name} is a sequence without a still picture", "export one of its frames")
    with parsing(f"{name} is damaged and cannot be decoded", _DAMAGED):
        opened = _opened_hevc(data, name) if kind == "HEIC" else _opened_av1(data)
    size = (opened.size[1], opened.size[0]) if kind == "AVIF" and main.turned > 4 else opened.size
    fields = {
        "icc": checked_profile(opened.info.get("icc_profile")),
        "exif": (opened.info.get("exif") or b"").removeprefix(PREFIX) or None,
        "xmp": (opened.info.get("xmp") or b"").rstrip(b"\0") or None,
        "turned": main.turned,
    }
    if fields["icc"] is None and main.colour not in (None, _SRGB, (1, 1), (2, 2)):
        fields["colour"] = ((b"cICP", bytes((*(min(code, 255) for code in main.colour or ()), 0, 1))),)
    return HeifFile(size, of_upright(fields, size), opened, data, name, kind, main)


def encode_heif(pixels: NDArray[Any], suffix: str, metadata: Metadata, quality: int) -> bytes:
    """The file of a picture, with its metadata; what cannot go in is named in one line of the log.

    Args:
        pixels: ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA, uint8 or uint16.
        suffix: one of :data:`SUFFIXES`.
        metadata: to put in.
        quality: 1 to 100.

    Raises:
        CapabilityError: it cannot be written here.
        InputError: the encoder refuses it.
    """
    check_encoder(suffix)
    colour = next((tuple(content[:2]) for name, content in metadata.colour if name == b"cICP"), _SRGB)
    left_out = [name for name, there in (("IPTC", metadata.iptc), ("text", metadata.text)) if there]
    exif = PREFIX + metadata.exif if metadata.exif else b""
    out = io.BytesIO()
    height, width, channels = pixels.shape
    with parsing(f"cannot encode {width}x{height} as {suffix}", "write .png or .tif"):
        if suffix == ".avif":
            if colour != _SRGB and not metadata.icc:
                left_out.insert(0, "colour space (cICP; colours look wrong without it)")
            told = {"icc_profile": metadata.icc or b"", "exif": exif, "xmp": metadata.xmp or b""}
            Image.fromarray(pixels).save(out, "AVIF", quality=quality, subsampling="4:4:4", **told)
        else:
            if pixels.dtype == np.uint16:
                pixels = _of_ten_bits(pixels, suffix)
            mode = {3: "RGB", 4: "RGBA"}[channels] + (";16" if pixels.dtype == np.uint16 else "")
            file = _heif("HEIC is written by pillow-heif").from_bytes(mode, (width, height), pixels.tobytes())
            if metadata.icc:
                file.info["icc_profile"], file.info["icc_profile_type"] = metadata.icc, "prof"
            colours = {"color_primaries": colour[0], "transfer_characteristics": colour[1]}
            file.save(out, quality=quality, chroma="444", exif=exif or None, xmp=metadata.xmp, **colours)
    if left_out:
        log.warning("%s cannot hold the picture's %s: left out", suffix, ", ".join(left_out))
    return out.getvalue()


def _opened_hevc(data: bytes, name: str) -> Any:
    file = _heif(f"{name} is HEIC, which pillow-heif reads").open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    return file[file.primary_index]


def _opened_av1(data: bytes) -> Any:
    if not is_readable(".avif"):
        raise _no_avif("read")
    from PIL import AvifImagePlugin  # from 11.3 on

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AvifImagePlugin.AvifImageFile(io.BytesIO(data))


def _heif(message: str) -> Any:
    return require(_MODULE, message)


def _no_avif(done: str) -> CapabilityError:
    return CapabilityError(f"AVIF is {done} by Pillow from 11.3 on, with its codec", install_hint(_MODULE))


@functools.cache
def _writes_avif() -> bool:
    if not features.check("avif"):
        return False
    try:
        Image.new("RGB", (8, 8)).save(io.BytesIO(), "AVIF", speed=10)
    except PILLOW_ERRORS:
        return False
    return True


def _scaled(levels: NDArray[Any], most: int) -> NDArray[np.uint16]:
    """Samples of fewer than 16 bits over the whole range of 16."""
    table = np.rint(np.arange(1 << 16, dtype=np.float64).clip(0, most) * (65535 / most)).astype(np.uint16)
    return table[levels]


def _of_ten_bits(pixels: NDArray[np.uint16], suffix: str) -> NDArray[np.uint16]:
    """What 10 bits hold of 16, as pillow-heif takes them: in the upper bits. What is lost is told."""
    most = (1 << _DEEP_BITS) - 1
    levels = np.rint(pixels.astype(np.float32) * np.float32(most / 65535)).astype(np.uint16)
    if not np.array_equal(_scaled(levels, most), pixels):
        log.warning("%s holds %d bits per sample; write .png or .tif to keep the depth", suffix, _DEEP_BITS)
    return levels << np.uint16(16 - _DEEP_BITS)
