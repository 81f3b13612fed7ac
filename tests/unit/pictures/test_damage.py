"""Damaged pictures: each is read or refused in one line, and no library talks about it."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from edge_harmony.errors import InputError
from edge_harmony.pictures.encode import encode_picture
from edge_harmony.pictures.headers import jpeg_segments
from edge_harmony.pictures.images import Picture, decode_picture
from tests.unit.pictures.making import SRGB, SUFFIXES, jpeg, mutated, relabelled, repaired, valid_files
from tests.unit.pictures.test_images import smooth


def check_mutated(count, seed):
    rng = np.random.default_rng(seed)
    files = list(valid_files())
    read = 0
    for k in range(count):
        data = repaired(mutated(files[k % len(files)], rng))
        try:
            picture = decode_picture(data, "p")
            for suffix in SUFFIXES:
                decode_picture(encode_picture(picture, suffix), suffix)
        except InputError:
            continue
        read += 1
    assert 0 < read < count


def test_mutated_files_are_read_or_refused():
    check_mutated(60, seed=26)


def test_too_little_memory_is_no_damage(monkeypatch):
    def refuse(*arguments):
        error = cv2.error("Insufficient memory")
        error.code = -4
        raise error

    monkeypatch.setattr(cv2, "imdecode", refuse)
    with pytest.raises(MemoryError):
        decode_picture(jpeg(), "p.jpg")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"iCCP", b"x\0\0" + zlib.compress(b"garbage" * 40)),
        (b"iCCP", b"x\0\0" + zlib.compress(relabelled(SRGB, b"GRAY"))),
        (b"gAMA", b"\0"),
        (b"pHYs", b"1"),
        (b"eXIf", b"zz"),
        (b"sRGB", b"\xff"),
        (b"bKGD", b""),
    ],
)
def test_damaged_chunks_beside_the_pixels(capfd, name, content):
    """No picture is refused for them, and no library talks about them."""
    whole = encode_picture(Picture(smooth()), ".png")
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    picture = decode_picture(whole[:33] + chunk + whole[33:], "p.png")
    np.testing.assert_array_equal(picture.pixels, decode_picture(whole, "p.png").pixels)
    assert picture.icc is None
    ours = "WARNING  p.png has a profile"  # on stderr if an earlier test of the process ran the command line
    assert [line for line in capfd.readouterr().err.splitlines() if not line.startswith(ours)] == []


def test_fill_bytes_before_a_marker_are_read_once():
    """A search that begins anew at each of 16 million bytes would take days."""
    filled = b"\xff\xd8" + b"\xff" * (1 << 24)
    assert jpeg_segments(filled + b"\x00") == ([], None)
    segment = b"\xe1" + (4).to_bytes(2, "big") + b"ab"
    whole = filled + segment + b"\xff\xff\xd9"
    assert jpeg_segments(whole + b"more") == ([(0xE1, b"ab")], len(whole))


@pytest.mark.parametrize(
    "behind", [b"\xff\xda and \xff\xd9 and \xff\xda", b"\0\0\0\x18ftypmp42" + b"\xff\xda" * 50, jpeg()[:-2]]
)
def test_what_is_behind_the_picture_does_not_count(behind):
    """A motion photo is whole whatever its video holds; a cut picture is not."""
    whole = jpeg(progressive=True)
    np.testing.assert_array_equal(decode_picture(whole + behind, "p.jpg").pixels, decode_picture(whole, "p").pixels)
    with pytest.raises(InputError, match="truncated"):
        decode_picture(whole[:-40], "p.jpg")
