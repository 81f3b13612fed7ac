"""What the boxes of HEIC and AVIF files say of the main picture: codec, depth, colours, which way up, and the end.

ISO/IEC 14496-12 (boxes) and ISO/IEC 23008-12 (items and their properties). No pixel is decoded here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_harmony.pictures.orientation import upright

_AVIF, _HEIC = (b"avif", b"avis"), (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_PROBE = np.arange(6).reshape(2, 3)


@dataclass(frozen=True)
class MainPicture:
    """The picture that a file shows.

    Attributes:
        bits: per sample; 8 where the file does not say.
        colour: ``colour_primaries`` and ``transfer_characteristics`` of ITU-T H.273; None where they are not told.
        turned: the EXIF orientation that means what its properties ``irot`` and ``imir`` do.
    """

    bits: int = 8
    colour: tuple[int, int] | None = None
    turned: int = 1


def heif_kind(data: bytes) -> str | None:
    """``HEIC`` or ``AVIF``, by the brands of a file; None for other files."""
    if data[4:8] != b"ftyp":
        return None
    length = min(max(16, int.from_bytes(data[:4], "big")), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, length, 4))]
    if any(brand in _AVIF for brand in brands):
        return "AVIF"
    return "HEIC" if brands[0] in _HEIC or any(brand in _HEIC[:6] for brand in brands) else None


def is_whole(data: bytes) -> bool:
    """Whether the outermost boxes end where the file does, or before."""
    at = 0
    while at + 8 <= len(data):
        size, head = _size(data, at)
        if size < head:  # something that only its writer knows
            return True
        at += size
    return at <= len(data)


def is_sequence(data: bytes) -> bool:
    """Whether there are tracks, as videos have them, and no still picture."""
    names = {name for name, _ in _boxes(data, 0, len(data))}
    return b"moov" in names and b"meta" not in names


def main_picture(data: bytes) -> MainPicture:
    """The properties of the main picture; defaults for what is damaged: decoders say what is wrong."""
    try:
        return _main_picture(data)
    except (struct.error, IndexError, StopIteration, ValueError, OverflowError):
        return MainPicture()


def _main_picture(data: bytes) -> MainPicture:
    meta = next(span for name, span in _boxes(data, 0, len(data)) if name == b"meta")
    inside = dict(_boxes(data, meta[0] + 4, meta[1]))
    at = inside[b"pitm"][0] if b"pitm" in inside else -1
    main = -1 if at < 0 else int.from_bytes(data[at + 4 : at + (6 if data[at] == 0 else 8)], "big")
    parts = dict(_boxes(data, *inside[b"iprp"])) if b"iprp" in inside else {}
    if b"ipco" not in parts or b"ipma" not in parts:
        return MainPicture()
    listed = list(_boxes(data, *parts[b"ipco"]))
    bits, colour, shown = 8, None, _PROBE
    for number in _associated(data, parts[b"ipma"][0], main):
        name, (start, end) = listed[number - 1]
        if name == b"pixi" and end - start > 5:
            bits = data[start + 5]
        elif name == b"colr" and data[start : start + 4] == b"nclx":
            colour = struct.unpack_from(">HH", data, start + 4)
        elif name == b"irot":  # anti-clockwise
            shown = np.rot90(shown, data[start] & 3)
        elif name == b"imir":  # about a vertical axis, or a horizontal one
            shown = shown[:, ::-1] if data[start] & 1 else shown[::-1]
    turned = next(k for k in range(1, 9) if np.array_equal(upright(_PROBE, k), shown))
    return MainPicture(bits, colour, turned)


def _associated(data: bytes, at: int, item: int) -> list[int]:
    """Numbers of an item's properties, from 1 on, in their order (23008-12, 9.3.2)."""
    version, wide = data[at], data[at + 3] & 1
    count, at = int.from_bytes(data[at + 4 : at + 8], "big"), at + 8
    for _ in range(count):
        width = 2 if version == 0 else 4
        number, many = int.from_bytes(data[at : at + width], "big"), data[at + width]
        at += width + 1
        if number == item:
            entries = struct.unpack_from(f">{many}{'H' if wide else 'B'}", data, at)
            return [entry & (0x7FFF if wide else 0x7F) for entry in entries if entry & (0x7FFF if wide else 0x7F)]
        at += many * (2 if wide else 1)
    return []


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Names of boxes, and where their contents begin and end."""
    while start + 8 <= end:
        size, head = _size(data, start)
        if size < head:
            return
        yield data[start + 4 : start + 8], (start + head, min(start + size, end))
        start += size


def _size(data: bytes, at: int) -> tuple[int, int]:
    """Length of a box, and of what stands before its contents."""
    size = int.from_bytes(data[at : at + 4], "big")
    if size == 1:
        return int.from_bytes(data[at + 8 : at + 16], "big"), 16
    return (len(data) - at if size == 0 else size), 8
