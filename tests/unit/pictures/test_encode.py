"""Writing pictures: what a format cannot hold, paths that cannot be written, and the cheapest forms by measurement."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from edge_harmony.errors import UsageError
from edge_harmony.pictures.encode import encode_picture, write_picture
from edge_harmony.pictures.images import Picture, decode_picture, read_picture
from tests.unit.pictures.test_images import smooth

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


def test_what_a_format_cannot_hold_is_converted_with_a_warning(tmp_path, caplog):
    deep = smooth(channels=4, peak=65535, dtype=np.uint16)
    write_picture(tmp_path / "a.jpg", Picture(deep))
    assert "8 bits" in caplog.text
    assert "alpha" in caplog.text
    assert np.abs(read_picture(tmp_path / "a.jpg").pixels - deep[..., :3] / 257).mean() < 3


@pytest.mark.parametrize("name", ["a.gif", "a", "absent/a.png", "."])
def test_outputs_that_cannot_be_written(tmp_path, name):
    with pytest.raises(UsageError):
        write_picture(tmp_path / name, Picture(smooth()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_a_quality_that_is_none(quality):
    with pytest.raises(UsageError, match="from 1 to 100"):
        encode_picture(Picture(smooth()), ".jpg", quality=quality)
