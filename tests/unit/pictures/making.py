"""Pictures as phones, cameras and tools write them, and damage to them; every file is made here."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image, ImageCms

from edge_harmony.pictures.encode import encode_picture
from edge_harmony.pictures.images import Picture
from edge_harmony.pictures.metadata import PHOTOSHOP_NAME
from tests.unit.pictures.test_images import smooth

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"
SUFFIXES = (".jpg", ".png", ".webp", ".tif", ".bmp")


def jpeg(pixels=None, **options):
    buffer = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(smooth() if pixels is None else pixels)
    picture.save(buffer, "JPEG", quality=95, subsampling=0, **options)
    return buffer.getvalue()


def segment(marker, content):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segments(data, *segments):
    return data[:2] + b"".join(segment(*one) for one in segments) + data[2:]


def relabelled(profile, space):
    return profile[:16] + space + profile[20:]


def padded(profile, length):
    """The same profile, of any length: bytes behind its tags are of no tag."""
    return struct.pack(">I", length) + profile[4:] + bytes(length - len(profile))


def portrait():
    """A turned JPEG with a preview, as cameras write it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0100], exif[0x0101] = 6, "Maker", 60, 40
    exif.get_ifd(0x8769).update({0xA002: 60, 0xA003: 40, 0x9003: "2026:01:02 03:04:05"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 1.5)})
    block = bytearray(exif.tobytes()[6:])
    order = "<" if block[:2] == b"II" else ">"
    first = struct.unpack_from(f"{order}I", block, 4)[0]
    end = first + 2 + 12 * struct.unpack_from(f"{order}H", block, first)[0]
    preview = jpeg(smooth(16, 24))
    struct.pack_into(f"{order}I", block, end, len(block))
    entries = ((0x0103, 3, 1, 6), (0x0201, 4, 1, len(block) + 2 + 36 + 4), (0x0202, 4, 1, len(preview)))
    second = struct.pack(f"{order}H", 3) + b"".join(
        struct.pack(f"{order}HHIHH", *entry, 0) if entry[1] == 3 else struct.pack(f"{order}HHII", *entry)
        for entry in entries
    )
    return bytes(block) + second + b"\0" * 4 + preview, preview


def valid_files():
    exif = portrait()[0]
    deep = smooth(peak=65535, dtype=np.uint16)
    yield jpeg(exif=b"Exif\0\0" + exif, icc_profile=SRGB) + b"\0\0\0\x18ftypmp42"
    yield with_segments(jpeg(), (0xE2, GAIN_MAP), (0xED, PHOTOSHOP_NAME + b"8BIM\x04\x04\0\0\0\0\0\x04abcd"))
    yield jpeg(Image.fromarray(smooth()).convert("CMYK"))
    for suffix in SUFFIXES:
        full = Picture(
            smooth(), exif=exif, icc=SRGB, xmp=b"<x:xmpmeta/>", iptc=b"\x1c\x02\x69\0\x05hello", density=(72, 72)
        )
        yield encode_picture(full, suffix)
    yield encode_picture(Picture(deep, icc=SRGB), ".png")
    yield encode_picture(Picture(deep, icc=SRGB), ".tif")
    yield cv2.imencode(".tif", smooth().astype(np.float32) / 255)[1].tobytes()


def mutated(data, rng):
    made = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        if not made:
            break
        at = int(rng.integers(0, min(len(made), 4000))) if rng.random() < 0.8 else int(rng.integers(0, len(made)))
        choice = rng.integers(0, 5)
        if choice == 0:
            made[at] = rng.integers(0, 256)
        elif choice == 1:
            del made[at : at + int(rng.integers(1, 40))]
        elif choice == 2:
            made[at:at] = rng.bytes(int(rng.integers(1, 40)))
        elif choice == 3:
            made[at : at + 4] = struct.pack(">I", int(rng.choice([0, 1, 255, 65535, 2**31, 2**32 - 1])))
        else:
            del made[max(20, at) :]
    return bytes(made)


def repaired(data):
    """Right checksums again: what lies behind them is met too."""
    made, position = bytearray(data), 8
    while data.startswith(b"\x89PNG") and position + 12 <= len(made):
        end = position + 8 + struct.unpack_from(">I", made, position)[0]
        if end + 4 > len(made):
            break
        struct.pack_into(">I", made, end, zlib.crc32(made[position + 4 : end]))
        position = end + 4
    return bytes(made)
