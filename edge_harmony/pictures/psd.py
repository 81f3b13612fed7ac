"""PSD files: the merged picture that Photoshop stores beside the layers, or the reason why there is none.

Adobe Photoshop File Formats Specification: https://www.adobe.com/devnet-apps/photoshop/fileformatashtml/
"""

from __future__ import annotations

import io
import logging
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PsdImagePlugin

from edge_harmony.errors import InputError, parsing
from edge_harmony.pictures.icc import to_srgb

log = logging.getLogger(__name__)

_START = b"8BPS"
_HEADER = struct.Struct(">4sH6xHIIHH")
_RESOURCE = struct.Struct(">4sH")
_MODES = {0: "bitmap", 1: "gray", 2: "indexed", 3: "RGB", 4: "CMYK", 7: "multichannel", 8: "duotone", 9: "Lab"}
_READ = {"gray": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}
_VERSION_INFO, _PROFILE = 1057, 1039
_HINT = "export it as PNG or TIFF"


def is_psd(data: bytes) -> bool:
    """Whether these are the bytes of a PSD or PSB file."""
    return data.startswith(_START)


@dataclass(frozen=True)
class PsdFile:
    """A file whose header has been read, and whose merged picture can be.

    Attributes:
        name: what errors call it.
        data: the file.
        size: (width, height).
        mode: Pillow's, without alpha.
        icc: the profile of the picture, if there is one.
        has_more: whether there are channels besides the colours.
    """

    name: str
    data: bytes
    size: tuple[int, int]
    mode: str
    icc: bytes | None
    has_more: bool

    def pixels(self) -> tuple[NDArray[np.uint8], bytes | None]:
        """The merged picture ``(H, W, 3)``, and its profile; CMYK and Lab become sRGB.

        Raises:
            InputError: it is damaged.
        """
        with (
            parsing(f"{self.name} is damaged and cannot be decoded", "export or download it again"),
            PsdImagePlugin.PsdImageFile(io.BytesIO(self.data)) as picture,
        ):
            bands = picture.split()
            flat = Image.merge(self.mode, bands[: Image.getmodebands(self.mode)])
        if self.has_more:
            log.warning("%s: channels besides the colours are left out; %s to keep transparency", self.name, _HINT)
        if self.mode in ("CMYK", "LAB"):
            log.warning("%s is %s: the result is sRGB", self.name, {"LAB": "Lab"}.get(self.mode, self.mode))
            return to_srgb(flat, self.icc), None
        return np.array(flat.convert("RGB")), self.icc


def open_psd(data: bytes, name: str) -> PsdFile:
    """Read a header.

    Raises:
        InputError: there is no merged picture, or none that can be read.
    """
    if len(data) < _HEADER.size:
        raise InputError(f"{name} is truncated", "export or download it again")
    _, version, channels, height, width, bits, mode = _HEADER.unpack_from(data)
    if version != 1:
        raise InputError(f"{name} is a large document (PSB), which cannot be read", _HINT)
    kind = _MODES.get(mode, f"mode {mode}")
    if bits != 8 or kind not in _READ:
        raise InputError(f"{name} is a PSD of {bits} bits in {kind}; 8 bits of {', '.join(_READ)} are read", _HINT)
    resources = _resources(data, name)
    version_info = resources.get(_VERSION_INFO, b"")
    if len(version_info) > 4 and not version_info[4]:
        raise InputError(
            f"{name} holds layers only, without their merged picture",
            "save it in Photoshop with Maximize Compatibility, or export it as PNG or TIFF",
        )
    pillows = _READ[kind]
    has_more = channels > Image.getmodebands(pillows)
    return PsdFile(name, data, (width, height), pillows, resources.get(_PROFILE), has_more)


def _resources(data: bytes, name: str) -> dict[int, bytes]:
    """The image resources by number; those behind a damaged one are left out."""
    with parsing(f"{name} is truncated", "export or download it again"):
        (colours,) = struct.unpack_from(">I", data, _HEADER.size)
        at = _HEADER.size + 4 + colours
        (length,) = struct.unpack_from(">I", data, at)
    at, end, found = at + 4, at + 4 + length, {}
    while at + 12 <= min(end, len(data)):
        start, number = _RESOURCE.unpack_from(data, at)
        at += _RESOURCE.size
        at += (data[at] + 2) & ~1  # a Pascal string, padded to even
        if start not in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR") or at + 4 > len(data):
            break
        (size,) = struct.unpack_from(">I", data, at)
        found[number] = data[at + 4 : at + 4 + size]
        at += 4 + ((size + 1) & ~1)
    return found
