"""EXIF blocks: made to agree with an upright picture of a given size, and without the old preview."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

from PIL import Image, TiffImagePlugin

from edge_harmony.pictures.headers import PILLOW_ERRORS

PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
"""Tag of EXIF 2.3."""
_WIDTH, _HEIGHT, _EXIF_IFD, _GPS_IFD = 0x0100, 0x0101, 0x8769, 0x8825
_PIXEL_WIDTH, _PIXEL_HEIGHT, _PREVIEW_AT, _PREVIEW_LENGTH = 0xA002, 0xA003, 0x0201, 0x0202
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 316, 18246, 33432, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F)
"""Tags of a TIFF's first directory that tell of the picture and not of how it is stored."""
_LONG, _SHORT = 4, 3


def read_orientation(block: bytes) -> int:
    """EXIF orientation, 1 to 8; upright where the block is damaged: that is no reason to refuse the picture."""
    try:
        value = _Block(block).entries()[0].get(ORIENTATION)
        if value is None:
            return 1
        order, position = _Block(block).order, value
        kind = struct.unpack_from(f"{order}H", block, position + 2)[0]
        number: int = struct.unpack_from(f"{order}{'I' if kind == _LONG else 'H'}", block, position + 8)[0]
    except (struct.error, ValueError):
        return 1
    return number if 1 <= number <= 8 else 1


def settled(block: bytes, size: tuple[int, int]) -> bytes | None:
    """The block for an upright picture: orientation 1, sizes as given, no preview; every other byte stays.

    Offsets stay too, on which the notes of camera makers depend.

    Args:
        block: without the prefix ``Exif``.
        size: (width, height).

    Returns:
        The block, or None if it is damaged.
    """
    try:
        return _Block(block).settled(size)
    except (struct.error, ValueError):
        return None


class _Block:
    def __init__(self, block: bytes) -> None:
        order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
        if order is None:
            raise ValueError("no TIFF structure")
        self.order, self._block = order, bytearray(block)
        self._first = self._number("I", 4)

    def entries(self, directory: int | None = None) -> tuple[dict[int, int], int]:
        """Where the entry of each tag lies, and where the directory's entries end."""
        at = self._first if directory is None else directory
        count = self._number("H", at)
        found = {self._number("H", place): place for place in range(at + 2, at + 2 + 12 * count, 12)}
        return found, at + 2 + 12 * count

    def settled(self, size: tuple[int, int]) -> bytes:
        found, end = self.entries()
        self._set(found, ORIENTATION, 1, _SHORT)
        self._set(found, _WIDTH, size[0])
        self._set(found, _HEIGHT, size[1])
        if _EXIF_IFD in found:
            inner, _ = self.entries(self._number("I", found[_EXIF_IFD] + 8))
            self._set(inner, _PIXEL_WIDTH, size[0])
            self._set(inner, _PIXEL_HEIGHT, size[1])
        if end + 4 <= len(self._block):
            second = self._number("I", end)
            struct.pack_into(f"{self.order}I", self._block, end, 0)
            if second:
                self._clear_preview(second)
        return bytes(self._block)

    def _clear_preview(self, directory: int) -> None:
        try:
            found, end = self.entries(directory)
            at, length = (self._number("I", found[tag] + 8) for tag in (_PREVIEW_AT, _PREVIEW_LENGTH))
        except (struct.error, KeyError):
            return
        if directory <= self._first or at < end or at + length > len(self._block):
            return
        self._block[at : at + length] = bytes(length)
        if at + length >= len(self._block) - 1:
            del self._block[at:]

    def _set(self, found: dict[int, int], tag: int, value: int, kind: int = _LONG) -> None:
        if tag in found:
            code = "HHII" if kind == _LONG else "HHIHH"
            values = (tag, kind, 1, value) if kind == _LONG else (tag, kind, 1, value, 0)
            struct.pack_into(f"{self.order}{code}", self._block, found[tag], *values)

    def _number(self, code: str, at: int) -> int:
        number: int = struct.unpack_from(f"{self.order}{code}", self._block, at)[0]
        return number


def exif_of_tiff(data: bytes) -> bytes | None:
    """A block of what a TIFF's first directory tells of the picture; None where there is nothing."""
    try:
        stored = Image.Exif()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of damaged tags
            stored.load_from_fp(io.BytesIO(data))
        block = Image.Exif()
        for tag in (*_DESCRIPTIVE, ORIENTATION):
            if tag in stored:
                block[tag] = stored[tag]
        for tag, inner in _inner(stored).items():
            block.get_ifd(tag).update(inner)
            block[tag] = 0
        return block.tobytes().removeprefix(PREFIX) if len(block) else None
    except PILLOW_ERRORS:
        return None


def tiff_tags(block: bytes) -> dict[int, Any]:
    """The tags of a block that a TIFF's directory takes, for :class:`PIL.TiffImagePlugin.ImageFileDirectory_v2`."""
    try:
        stored = Image.Exif()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of damaged tags
            stored.load(PREFIX + block)
        tags: dict[int, Any] = {tag: stored[tag] for tag in _DESCRIPTIVE if tag in stored}
        tags |= _inner(stored)
        TiffImagePlugin.ImageFileDirectory_v2().update(tags)
    except PILLOW_ERRORS:
        return {}
    return tags


def _inner(stored: Image.Exif) -> dict[int, dict[int, Any]]:
    """The directories of exposure and place, as far as they are whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged tags, which are left out
        found = {tag: dict(stored.get_ifd(tag)) for tag in (_EXIF_IFD, _GPS_IFD)}
    return {tag: inner for tag, inner in found.items() if inner}
