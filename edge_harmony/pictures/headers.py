"""Headers of picture files, read from their bytes: kind, size, segments, chunks, and the end."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import Literal

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

PILLOW_ERRORS: tuple[type[Exception], ...] = (Exception,)
"""What Pillow's parsers raise on damaged files: anything. Catch ``MemoryError`` before, where a picture is decoded."""

_PLUGINS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (rb"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (rb"RIFF....WEBP", WebPImagePlugin.WebPImageFile),
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", TiffImagePlugin.TiffImageFile),
    (rb"BM", BmpImagePlugin.BmpImageFile),
    (rb"GIF8", GifImagePlugin.GifImageFile),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", Jpeg2KImagePlugin.Jpeg2KImageFile),
    (rb"P[1-6]", PpmImagePlugin.PpmImageFile),
)
_PNG_START = b"\x89PNG\r\n\x1a\n"
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # of fill bytes (0xff) before it the last one
_TIFF_BYTES = {1: 1, 3: 2, 4: 4, 16: 8}  # of the types of whole numbers
_JPEG_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))


@contextlib.contextmanager
def open_header(data: bytes) -> Iterator[ImageFile.ImageFile]:
    """Pillow's view of a file, by the plugin of its first bytes: ``Image.open`` has a limit of its own on pixels.

    Raises:
        UnidentifiedImageError: of no kind that is known.
        Exception: one of ``PILLOW_ERRORS``, where the file is damaged.
    """
    plugin = next((plugin for start, plugin in _PLUGINS if re.match(start, data, re.DOTALL)), None)
    if plugin is None:
        raise UnidentifiedImageError("no picture")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its limits and of damaged metadata
        with plugin(io.BytesIO(data)) as header:
            yield header


def jpeg_segments(data: bytes) -> tuple[list[tuple[int, bytes]], int | None]:
    """Markers and contents of the segments of the (first) JPEG of a file, and where it ends: behind its end marker.

    Phones append more behind that: a second picture, a gain map, a video. The end is None where it is cut off.
    """
    segments: list[tuple[int, bytes]] = []
    position = 2
    while True:
        found = _NEXT_MARKER.search(data, position)
        if found is None:
            return segments, None
        marker, position = data[found.end() - 1], found.end()
        if marker == 0xD9:
            return segments, position
        if marker in _JPEG_ALONE:
            continue
        if position + 2 > len(data):
            return segments, None
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2 or position + length > len(data):
            return segments, None
        segments.append((marker, data[position + 2 : position + length]))
        position += length


def png_chunks(data: bytes) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Names and contents of the chunks of a PNG but for its pixels, and whether it is whole.

    Whole means that all chunks up to the end marker are there and have the checksums they name.
    """
    chunks: list[tuple[bytes, bytes]] = []
    position, view = 8, memoryview(data)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data) or zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return chunks, False
        if name == b"IEND":
            return chunks, True
        if name not in (b"IDAT", b"fdAT"):
            chunks.append((name, data[position + 8 : end]))
        position = end + 4
    return chunks, False


def png_pixels(data: bytes) -> bytes:
    """A PNG with only the chunks that its pixels need: libpng talks on stderr about the others, and Pillow refuses some
    for which no picture has to be refused.
    """
    if not data.startswith(_PNG_START):
        return data
    kept, position, view = [memoryview(_PNG_START)], 8, memoryview(data)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(view[position:end])
        position = end
        if name == b"IEND":
            break
    return b"".join(kept) if sum(map(len, kept)) < min(position, len(data)) else data


def webp_chunks(data: bytes) -> dict[bytes, bytes]:
    """Contents of the chunks ICCP, EXIF and XMP of a WebP (RIFF) file."""
    chunks: dict[bytes, bytes] = {}
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        if name in (b"ICCP", b"EXIF", b"XMP "):
            chunks[name] = data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
    return chunks


def tiff_numbers(data: bytes) -> dict[int, int]:
    """The first number of each tag of a TIFF's or BigTIFF's first directory; empty for other files, and damaged ones.

    For what Pillow does not tell, and for types of samples that it does not know, such as floating-point RGB.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    sign = "<" if order == "little" else ">"
    if data[:4] in (b"II*\0", b"MM\0*"):
        offset, length, entry, place = "I", "H", 12, 8
    elif data[:4] in (b"II+\0", b"MM\0+"):
        offset, length, entry, place = "Q", "Q", 20, 12
    else:
        return {}
    found = {}
    try:
        start = struct.unpack_from(f"{sign}{offset}", data, place - 4)[0]
        first = start + struct.calcsize(f"{sign}{length}")
        for at in range(first, first + entry * struct.unpack_from(f"{sign}{length}", data, start)[0], entry):
            tag, kind, count = struct.unpack_from(f"{sign}HH{offset}", data, at)
            value = at + place
            if _TIFF_BYTES.get(kind, 0) * count > entry - place:
                value = struct.unpack_from(f"{sign}{offset}", data, value)[0]
            if kind in _TIFF_BYTES:
                found[tag] = int.from_bytes(data[value : value + _TIFF_BYTES[kind]], order)
    except (struct.error, OverflowError):
        return {}
    return found
