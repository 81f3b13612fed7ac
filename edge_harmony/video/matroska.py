"""The shape of pixels in the header of Matroska and WebM (RFC 9559: DisplayWidth and DisplayHeight).

FFmpeg writes them from a field of its stream that PyAV does not set. So the header is written with a name of the track
that is longer than needed, and what it leaves free takes them: no byte behind the header moves.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

RESERVED = " " * 48
"""A name for the track of pictures, which :func:`set_shape` replaces."""

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
"""Elements that a file begins with."""
_TRACKS, _ENTRY, _VIDEO, _NAME = b"\x16\x54\xae\x6b", b"\xae", b"\xe0", b"\x53\x6e"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_VOID, _CRC = b"\xec", b"\xbf"
_HEADER = 1 << 20


def variable_size(data: bytes, at: int) -> tuple[int, int]:
    """An EBML variable-size integer (RFC 8794, section 4) and its width in bytes."""
    width = 9 - data[at].bit_length() if at < len(data) and data[at] else 1
    return int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1), width


def set_shape(path: Path, size: tuple[int, int], aspect: Fraction, name: str) -> None:
    """Say in a file's header at which size its pictures are shown.

    Args:
        path: a finished file whose track of pictures is called :data:`RESERVED` with ``name`` behind it.
        size: (width, height) of the pictures.
        aspect: width of a pixel as a share of its height.
        name: the name that the track has in the end; empty for none.
    """
    with path.open("r+b") as file:
        data = file.read(_HEADER)
        segment = next(span for kind, _, span in _elements(data, 0, len(data)) if kind == SEGMENT)
        start, end = next(span for kind, _, span in _elements(data, *segment) if kind == _TRACKS)
        made = bytearray(data[start:end])
        for kind, _, (inside, behind) in _elements(data, start, end):
            if kind == _ENTRY and RESERVED.encode() in data[inside:behind]:
                made[inside - start : behind - start] = _shown(data, inside, behind, size, aspect, name)
        if made[:1] == _CRC:
            made[2:6] = zlib.crc32(made[6:]).to_bytes(4, "little")
        file.seek(start)
        file.write(made)


def _shown(data: bytes, start: int, end: int, size: tuple[int, int], aspect: Fraction, name: str) -> bytes:
    """The contents of a track's entry, as many bytes as before."""
    parts = []
    for kind, begin, (inside, behind) in _elements(data, start, end):
        if kind == _VIDEO:
            told = _elements(data, inside, behind)
            kept = b"".join(data[at:over] for part, at, (_, over) in told if part != _DISPLAY_UNIT)  # FFmpeg: unknown
            width = _element(_DISPLAY_WIDTH, round(size[0] * aspect).to_bytes(3, "big"))
            height = _element(_DISPLAY_HEIGHT, size[1].to_bytes(3, "big"))
            parts.append(_element(_VIDEO, kept + width + height))
        elif kind != _NAME:
            parts.append(data[begin:behind])
        elif name:
            parts.append(_element(_NAME, name.encode()))
    room = end - start - sum(map(len, parts))
    return b"".join([*parts, _VOID, bytes([0x80 | (room - 2)]), bytes(room - 2)])


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, tuple[int, int]]]:
    """Name, beginning, and beginning and end of the contents of each element."""
    while start < end:
        name = data[start : start + 9 - data[start].bit_length()]
        length, width = variable_size(data, start + len(name))
        inside = start + len(name) + width
        behind = end if length == (1 << 7 * width) - 1 else inside + length
        yield name, start, (inside, min(behind, end))
        start = behind


def _element(name: bytes, content: bytes) -> bytes:
    return name + (len(content) | 1 << 28).to_bytes(4, "big") + content
