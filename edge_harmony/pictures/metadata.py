"""Metadata of picture files, read from any format into one form."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

from PIL import TiffImagePlugin

from edge_harmony.pictures.exif import PREFIX, exif_of_tiff, read_orientation, settled
from edge_harmony.pictures.headers import PILLOW_ERRORS, jpeg_segments, png_chunks, webp_chunks
from edge_harmony.pictures.icc import checked_profile, profile_of_segments

XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
PHOTOSHOP_NAME = b"Photoshop 3.0\0"
IPTC_RESOURCE = 0x0404
PNG_XMP = b"XML:com.adobe.xmp"
PNG_COLOUR = (b"cICP", b"gAMA", b"cHRM", b"sRGB", b"mDCV", b"mDCv", b"cLLI", b"cLLi")
_PNG_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_LARGEST = 1 << 26
_INCH = 0.0254
_TURNED = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>\s*))\d""")
_OTHER_ATTRIBUTES = re.compile(rb"""\s(?:hdrgm|GCamera|Camera|HDRGainMap|apdi):[\w]+\s*=\s*(?:"[^"]*"|'[^']*')""")
_OTHER_ELEMENTS = re.compile(rb"<((?:G?Container):Directory|xmp:Thumbnails)\b")


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The metadata of a picture.

    Attributes:
        exif: EXIF block without prefix; of an upright picture, without preview.
        icc: ICC profile of the pixels.
        xmp: XMP packet.
        iptc: IPTC-IIM records.
        text: texts, as chunks of a PNG: name and contents.
        density: horizontal and vertical resolution in dots per inch.
        colour: chunks of a PNG that say what its numbers mean: name and contents.
        turned: the EXIF orientation that the file was stored in, and the pixels are not any more.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    text: tuple[tuple[bytes, bytes], ...] = ()
    density: tuple[float, float] | None = None
    colour: tuple[tuple[bytes, bytes], ...] = ()
    turned: int = 1


def read_metadata(kind: str | None, data: bytes) -> tuple[dict[str, Any], bool]:
    """Fields of :class:`Metadata` as a file has them, and whether the file is whole as far as that can be told.

    Args:
        kind: Pillow's name of the format.
        data: the file.
    """
    readers = {"JPEG": _of_jpeg, "PNG": _of_png, "WEBP": _of_webp, "TIFF": _of_tiff, "BMP": _of_bmp}
    fields, whole = readers[kind](data) if kind in readers else ({}, True)
    if fields.get("exif"):
        fields["turned"] = read_orientation(fields["exif"])
    return fields, whole


def of_upright(fields: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Fields as they hold for an upright picture without previews, gain maps and further pictures.

    Args:
        fields: of :class:`Metadata`, as a file has them.
        size: (width, height) of the picture.
    """
    fields = dict(fields)
    if fields.get("exif"):
        fields["exif"] = settled(fields["exif"], size)
    if fields.get("xmp"):
        fields["xmp"] = _of_this_picture(_TURNED.sub(rb"\g<1>1", fields["xmp"]))
    return fields


def _of_this_picture(xmp: bytes) -> bytes:
    """XMP without what it says of gain maps, videos and previews behind the picture, which results do not have.

    No regular expression looks for the end of an element: without one, each beginning would search all that follows.
    """
    kept, at, endless = [], 0, set()
    for found in _OTHER_ELEMENTS.finditer(xmp):
        name = found[1]
        if found.start() < at or name in endless:
            continue
        end = re.compile(rb"</" + name + rb"\s*>").search(xmp, found.end())
        if end is None:
            endless.add(name)
        else:
            kept.append(xmp[at : found.start()])
            at = end.end()
    return _OTHER_ATTRIBUTES.sub(b"", b"".join([*kept, xmp[at:]]))


def _of_jpeg(data: bytes) -> tuple[dict[str, Any], bool]:
    segments, end = jpeg_segments(data)
    fields: dict[str, Any] = {}
    for marker, content in segments:
        if marker == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 12:
            unit, across, down = struct.unpack_from(">BHH", content, 7)
            if unit in (1, 2) and across and down:
                scale = 1 if unit == 1 else 2.54
                fields.setdefault("density", (across * scale, down * scale))
        elif marker == 0xE1 and content.startswith(PREFIX):
            fields.setdefault("exif", content.removeprefix(PREFIX))
        elif marker == 0xE1 and content.startswith(XMP_NAME):
            fields.setdefault("xmp", content.removeprefix(XMP_NAME))
        elif marker == 0xED and content.startswith(PHOTOSHOP_NAME):
            fields.setdefault("iptc", _iptc_of(content.removeprefix(PHOTOSHOP_NAME)))
        elif marker == 0xFE and content.strip(b"\0 "):
            fields.setdefault("text", ((b"tEXt", b"Comment\0" + content.rstrip(b"\0")),))
    fields["icc"] = profile_of_segments(content for marker, content in segments if marker == 0xE2)
    return fields, end is not None


def _iptc_of(resources: bytes) -> bytes | None:
    position = 0
    while position + 12 <= len(resources) and resources[position : position + 4] == b"8BIM":
        number = int.from_bytes(resources[position + 4 : position + 6], "big")
        name = resources[position + 6] + 1
        position += 6 + name + name % 2
        length = int.from_bytes(resources[position : position + 4], "big")
        if number == IPTC_RESOURCE:
            return resources[position + 4 : position + 4 + length] or None
        position += 4 + length + length % 2
    return None


def _of_png(data: bytes) -> tuple[dict[str, Any], bool]:
    chunks, whole = png_chunks(data)
    fields: dict[str, Any] = {"colour": tuple(chunk for chunk in chunks if chunk[0] in PNG_COLOUR)}
    texts = []
    for name, content in chunks:
        if name == b"iCCP":
            fields["icc"] = checked_profile(_inflated(content.partition(b"\0")[2][1:]))
        elif name == b"eXIf":
            fields["exif"] = content.removeprefix(PREFIX)
        elif name == b"pHYs" and len(content) == 9:
            across, down, unit = struct.unpack(">IIB", content)
            if unit == 1 and across and down:
                fields["density"] = (across * _INCH, down * _INCH)
        elif name == b"iTXt" and content.startswith(PNG_XMP + b"\0"):
            fields["xmp"] = _international(content)
        elif name in _PNG_TEXT and content.startswith(b"Raw profile type "):
            raw = _raw_profile(name, content)
            key = content.removeprefix(b"Raw profile type ").partition(b"\0")[0]
            if key in (b"exif", b"APP1") and raw:
                fields.setdefault("exif", raw.removeprefix(PREFIX))
            elif key == b"iptc" and raw:
                fields["iptc"] = _iptc_of(raw) if raw.startswith(b"8BIM") else raw
            elif key == b"xmp" and raw:
                fields.setdefault("xmp", raw)
        elif name in _PNG_TEXT:
            texts.append((name, content))
    return fields | {"text": tuple(texts)}, whole


def _inflated(packed: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(packed, _LARGEST)
    except zlib.error:
        return None


def _international(content: bytes) -> bytes | None:
    """The text of an iTXt chunk (PNG 1.2, 4.2.3.3)."""
    packed = content.partition(b"\0")[2][:1] == b"\1"
    rest = content.partition(b"\0")[2][2:].split(b"\0", 2)
    return None if len(rest) < 3 else _inflated(rest[2]) if packed else rest[2]


def _raw_profile(name: bytes, content: bytes) -> bytes | None:
    """A profile that ImageMagick and ExifTool have stored in a PNG as hexadecimal text."""
    body = content.partition(b"\0")[2]
    text = _international(content) if name == b"iTXt" else _inflated(body[1:]) if name == b"zTXt" else body
    try:
        return bytes.fromhex((text or b"").split(maxsplit=2)[2].decode("ascii"))
    except (IndexError, ValueError):
        return None


def _of_webp(data: bytes) -> tuple[dict[str, Any], bool]:
    chunks = webp_chunks(data)
    fields: dict[str, Any] = {"icc": checked_profile(chunks.get(b"ICCP")), "xmp": chunks.get(b"XMP ")}
    if b"EXIF" in chunks:
        fields["exif"] = chunks[b"EXIF"].removeprefix(PREFIX)
    return fields, True


def _of_tiff(data: bytes) -> tuple[dict[str, Any], bool]:
    stream = io.BytesIO(data)
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8 if data[2:3] in b"*\0" else 16))
        stream.seek(directory.next)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged tags, which are left out
            directory.load(stream)
        fields: dict[str, Any] = {
            "icc": checked_profile(_bytes(directory.get(34675))),
            "xmp": _bytes(directory.get(700)) or None,
            "iptc": _iptc_of_tiff(directory.get(33723), _bytes(directory.get(34377))),
            "exif": exif_of_tiff(data),
        }
        across, down = directory.get(282), directory.get(283)
        scale = {2: 1.0, 3: 2.54}.get(directory.get(296, 2))
        if across and down and scale:
            fields["density"] = (float(across) * scale, float(down) * scale)
    except PILLOW_ERRORS:
        return {}, True
    return fields, True


def _of_bmp(data: bytes) -> tuple[dict[str, Any], bool]:
    if len(data) < 46 or struct.unpack_from("<I", data, 14)[0] < 40:
        return {}, True
    across, down = struct.unpack_from("<ii", data, 38)
    return ({"density": (across * _INCH, down * _INCH)} if across > 0 and down > 0 else {}), True


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, tuple) and all(isinstance(x, int) and 0 <= x < 256 for x in value):
        value = bytes(value)
    return value if isinstance(value, bytes) else None


def _iptc_of_tiff(records: Any, resources: bytes | None) -> bytes | None:
    if isinstance(records, tuple) and all(isinstance(x, int) for x in records):  # as longs, which many tools write
        records = struct.pack(f"<{len(records)}I", *records)
    return _bytes(records) or (_iptc_of(resources) if resources else None)
