"""Facts about picture files that the decoders do not give, read from the bytes: completeness, size, orientation."""

from __future__ import annotations

import struct
import zlib

ORIENTATION_TAG = 0x0112
"""EXIF 2.3, "Orientation"."""

_ICC_TAG = 34675


def jpeg_is_whole(data: bytes) -> bool:
    """Whether there is an end marker after the last scan starts; OpenCV would fill the rest of a cut JPEG with gray."""
    return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")


def png_is_whole(data: bytes) -> bool:
    """Whether all chunks up to the end marker are there with correct checksums; OpenCV would decode a damaged file."""
    position = 8
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return False
        if name == b"IEND":
            return True
        position = end + 4
    return False


def tiff_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the first directory, for sample types that Pillow does not know (such as float RGB)."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return None
    sizes = {}
    try:
        directory = struct.unpack_from(f"{order}I", data, 4)[0]
        for k in range(struct.unpack_from(f"{order}H", data, directory)[0]):
            tag, kind = struct.unpack_from(f"{order}HH", data, directory + 2 + 12 * k)
            if tag in (256, 257):
                sizes[tag] = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", data, directory + 10 + 12 * k)[0]
    except struct.error:
        return None
    return (sizes[256], sizes[257]) if len(sizes) == 2 else None


def reset_orientation(exif: bytes | None) -> bytes | None:
    """Set the orientation in the first directory to 1, leaving every other byte alone."""
    if exif is None:
        return None
    start = 6 if exif.startswith(b"Exif\0\0") else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2])
    try:
        if order is None:
            return exif
        block = bytearray(exif)
        directory = start + struct.unpack_from(f"{order}I", block, start + 4)[0]
        for k in range(struct.unpack_from(f"{order}H", block, directory)[0]):
            entry = directory + 2 + 12 * k
            if struct.unpack_from(f"{order}H", block, entry)[0] == ORIENTATION_TAG:
                struct.pack_into(f"{order}HIHH", block, entry + 2, 3, 1, 1, 0)
    except struct.error:
        return None  # a damaged block is not worth keeping
    return bytes(block)


def add_tiff_profile(data: bytes, icc: bytes) -> bytes:
    """Append a copy of the first directory that also has the ICC profile (TIFF 6.0; tag 34675)."""
    order = "<" if data[:2] == b"II" else ">"
    directory = struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}H", data, directory)[0]
    entries = [data[directory + 2 + 12 * k :][:12] for k in range(count)]
    body = bytearray(data)
    body += b"\0" * (len(body) % 2)
    entries.append(struct.pack(f"{order}HHII", _ICC_TAG, 7, len(icc), len(body)))
    entries.sort(key=lambda entry: struct.unpack_from(f"{order}H", entry)[0])
    body += icc + b"\0" * (len(icc) % 2)
    struct.pack_into(f"{order}I", body, 4, len(body))
    body += struct.pack(f"{order}H", len(entries)) + b"".join(entries) + b"\0\0\0\0"
    return bytes(body)
