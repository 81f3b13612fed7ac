"""Metadata put into encoded pictures: as much as the format holds, the rest named in one line of the log."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Callable
from typing import Any

from PIL import TiffImagePlugin

from edge_harmony.pictures.exif import PREFIX, tiff_tags
from edge_harmony.pictures.headers import PILLOW_ERRORS
from edge_harmony.pictures.icc import segments_of_profile
from edge_harmony.pictures.metadata import IPTC_RESOURCE, PHOTOSHOP_NAME, PNG_XMP, XMP_NAME, Metadata

log = logging.getLogger(__name__)

_SEGMENT = 65533
_INCH = 0.0254
_JFIF_DENSITY = 13
_PNG_BODY = 33
_BMP_DENSITY = 38


def embed(encoded: bytes, suffix: str, metadata: Metadata, size: tuple[int, int], *, alpha: bool = False) -> bytes:
    """A file with metadata.

    Args:
        encoded: the picture's file without.
        suffix: of the format, in small letters.
        metadata: what to put in.
        size: (width, height) of the picture.
        alpha: it has an alpha channel.
    """
    put: dict[str, Callable[..., tuple[bytes, list[str]]]] = {
        ".jpg": _in_jpeg,
        ".jpeg": _in_jpeg,
        ".png": _in_png,
        ".webp": _in_webp,
        ".tif": _in_tiff,
        ".tiff": _in_tiff,
        ".bmp": _in_bmp,
    }
    made, left_out = put[suffix](encoded, metadata, size, alpha)
    if left_out:
        log.warning("%s cannot hold the picture's %s: left out", suffix, ", ".join(left_out))
    return made


def _in_jpeg(encoded: bytes, metadata: Metadata, size: tuple[int, int], alpha: bool) -> tuple[bytes, list[str]]:
    left_out = _spaces(metadata)
    segments: list[tuple[int, bytes]] = []
    if metadata.exif:
        segments.append((0xE1, PREFIX + metadata.exif))
    if metadata.xmp:
        segments.append((0xE1, XMP_NAME + metadata.xmp))
    if metadata.iptc:
        segments.append((0xED, PHOTOSHOP_NAME + _resource(metadata.iptc)))
    comments = [content[8:] for name, content in metadata.text if name == b"tEXt" and content.startswith(b"Comment\0")]
    segments += [(0xFE, comment) for comment in comments]
    if len(comments) < len(metadata.text):
        left_out.append("PNG text")
    names = {0xED: "IPTC", 0xFE: "comment"}
    for marker, content in segments:
        if len(content) > _SEGMENT:
            left_out.append(names.get(marker) or ("EXIF" if content.startswith(PREFIX) else "XMP"))
    parts = segments_of_profile(metadata.icc) if metadata.icc else []
    if parts is None:
        left_out.append("ICC profile")
    segments += [(0xE2, part) for part in parts or ()]
    head = 4 + struct.unpack_from(">H", encoded, 4)[0] if encoded[2:4] == b"\xff\xe0" else 2
    start = bytearray(encoded[:head])
    if metadata.density and head > _JFIF_DENSITY + 5:
        across, down = (min(65535, max(1, round(value))) for value in metadata.density)
        struct.pack_into(">BHH", start, _JFIF_DENSITY, 1, across, down)
    body = [
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in segments
        if len(content) <= _SEGMENT
    ]
    return b"".join((start, *body, memoryview(encoded)[head:])), left_out


def _resource(records: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", IPTC_RESOURCE, 0, len(records)) + records + b"\0" * (len(records) % 2)


def _in_png(encoded: bytes, metadata: Metadata, size: tuple[int, int], alpha: bool) -> tuple[bytes, list[str]]:
    chunks = list(metadata.colour)
    if metadata.icc:
        chunks = [chunk for chunk in chunks if chunk[0] != b"sRGB"]
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.density:
        across, down = (min(2**31 - 1, max(1, round(value / _INCH))) for value in metadata.density)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append((b"iTXt", PNG_XMP + b"\0\0\0\0\0" + metadata.xmp))
    if metadata.iptc:
        block = _resource(metadata.iptc)
        text = b"\niptc\n%8d\n%s\n" % (len(block), block.hex().encode())
        chunks.append((b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)))
    chunks += metadata.text
    body = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    ]
    view = memoryview(encoded)
    return b"".join((view[:_PNG_BODY], *body, view[_PNG_BODY:])), []


def _in_webp(encoded: bytes, metadata: Metadata, size: tuple[int, int], alpha: bool) -> tuple[bytes, list[str]]:
    """The extended file format (WebP Container Specification): VP8X, ICCP, the picture, EXIF, XMP."""
    left_out = _spaces(metadata) + [name for name, there in (("IPTC", metadata.iptc), ("text", metadata.text)) if there]
    if not (metadata.icc or metadata.exif or metadata.xmp):
        return encoded, left_out
    picture = encoded[12:]
    if picture.startswith(b"VP8X"):
        picture = picture[18:]
    flags = 0x20 * bool(metadata.icc) | 0x10 * alpha | 0x08 * bool(metadata.exif) | 0x04 * bool(metadata.xmp)
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    parts = [_riff(b"VP8X", struct.pack("<I", flags) + sides)]
    parts += [_riff(b"ICCP", metadata.icc)] if metadata.icc else []
    parts += [picture]
    parts += [_riff(b"EXIF", metadata.exif)] if metadata.exif else []
    parts += [_riff(b"XMP ", metadata.xmp)] if metadata.xmp else []
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body, left_out


def _riff(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _in_tiff(encoded: bytes, metadata: Metadata, size: tuple[int, int], alpha: bool) -> tuple[bytes, list[str]]:
    """A copy of the first directory (TIFF 6.0) with more entries is appended, and what they point to."""
    left_out = _spaces(metadata) + (["PNG text"] if metadata.text else [])
    order = "<" if encoded[:2] == b"II" else ">"
    tags: dict[int, Any] = tiff_tags(metadata.exif) if metadata.exif else {}
    if metadata.density:
        tags |= {282: metadata.density[0], 283: metadata.density[1], 296: 2}
    for tag, content in ((700, metadata.xmp), (33723, metadata.iptc), (34675, metadata.icc)):
        if content:
            tags[tag] = content
    if not tags:
        return encoded, left_out
    padding = b"\0" * (len(encoded) % 2)
    end = len(encoded) + len(padding)
    blob, lost = _directory(tags, b"II*\0\0\0\0\0" if order == "<" else b"MM\0*\0\0\0\0", end)
    left_out += ["EXIF"] if lost else []
    count = struct.unpack_from(f"{order}H", blob)[0]
    entries = {
        struct.unpack_from(f"{order}H", blob, 2 + 12 * k)[0]: blob[2 + 12 * k : 14 + 12 * k] for k in range(count)
    }
    old = struct.unpack_from(f"{order}I", encoded, 4)[0]
    for k in range(struct.unpack_from(f"{order}H", encoded, old)[0]):
        entry = encoded[old + 2 + 12 * k : old + 14 + 12 * k]
        entries.setdefault(struct.unpack_from(f"{order}H", entry)[0], entry)
    directory = end + len(blob) + len(blob) % 2
    listed = struct.pack(f"{order}H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + b"\0" * 4
    view = memoryview(encoded)
    made = (view[:4], struct.pack(f"{order}I", directory), view[8:], padding, blob, b"\0" * (len(blob) % 2), listed)
    return b"".join(made), left_out


def _directory(tags: dict[int, Any], prefix: bytes, offset: int) -> tuple[bytes, bool]:
    """A directory of tags as bytes that stand at an offset; whether EXIF had to be left out, which is damaged then."""
    for kept in (tags, {tag: value for tag, value in tags.items() if tag in (282, 283, 296, 700, 33723, 34675)}):
        directory = TiffImagePlugin.ImageFileDirectory_v2(prefix)
        directory.tagtype |= {700: 1, 33723: 7, 34675: 7, 34665: 4, 34853: 4}
        try:
            for tag, value in kept.items():
                directory[tag] = value
            return directory.tobytes(offset), kept is not tags
        except PILLOW_ERRORS:
            continue
    raise AssertionError("bytes and numbers can always be written")


def _in_bmp(encoded: bytes, metadata: Metadata, size: tuple[int, int], alpha: bool) -> tuple[bytes, list[str]]:
    blocks = ("EXIF", metadata.exif), ("ICC profile", metadata.icc), ("XMP", metadata.xmp), ("IPTC", metadata.iptc)
    left_out = _spaces(metadata) + [name for name, there in (*blocks, ("text", metadata.text)) if there]
    if metadata.density:
        made = bytearray(encoded)
        struct.pack_into("<ii", made, _BMP_DENSITY, *(round(value / _INCH) for value in metadata.density))
        return bytes(made), left_out
    return encoded, left_out


def _spaces(metadata: Metadata) -> list[str]:
    """The colour space that only a PNG can name (H.273 code points), if there is no profile beside it."""
    named = any(name == b"cICP" and content[:2] != b"\1\x0d" for name, content in metadata.colour)
    return ["colour space (cICP; colours look wrong without it)"] if named else []
