"""How pictures are compressed: pixels come back as they were, in the form that was measured to be cheap."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from edge_harmony.pictures.images import Picture, decode_picture, encode_picture

AVERAGE = 3
"""Of the filters of PNG: https://www.w3.org/TR/png-3/#9Filter-types"""
NONE, LZW = 1, 5
"""Values of TIFF's tag 259."""


def noise(kind, channels):
    rng = np.random.default_rng(5)
    shape = (37, 53, channels)
    return rng.random(shape, np.float32) if kind is np.float32 else rng.integers(0, np.iinfo(kind).max, shape, kind)


def png_filters(data):
    """The filter of every row of a PNG."""
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        packed += data[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(37, -1)
    return set(rows[:, 0].tolist())


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_png_rows_are_filtered_by_averages(kind, channels):
    pixels = noise(kind, channels)
    data = encode_picture(Picture(pixels), ".png")
    assert png_filters(data) == {AVERAGE}
    np.testing.assert_array_equal(decode_picture(data, "it").pixels, pixels)


@pytest.mark.parametrize("suffix", [".tif", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("kind", "compression"), [(np.uint8, LZW), (np.uint16, NONE), (np.float32, NONE)])
def test_tiff_of_more_than_8_bits_is_not_compressed(kind, compression, channels, suffix):
    pixels = noise(kind, channels)
    data = encode_picture(Picture(pixels), suffix)
    np.testing.assert_array_equal(decode_picture(data, "it").pixels, pixels)
    if kind is np.uint8:  # Pillow reads no other
        assert Image.open(io.BytesIO(data)).tag_v2[259] == compression
    else:
        assert len(data) == pytest.approx(pixels.nbytes, abs=1000)
