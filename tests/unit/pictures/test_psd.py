"""PSD files, written here byte by byte after Adobe's specification: merged pictures, and what is refused."""

import struct

import numpy as np
import pytest

from edge_harmony.errors import InputError
from edge_harmony.pictures.decode import read_header
from edge_harmony.pictures.images import decode_picture
from edge_harmony.pictures.psd import is_psd

RNG = np.random.default_rng(1)


def psd(planes, mode=3, *, version=1, bits=8, resources=(), packed=False):
    """A file without layers whose merged picture has these planes ``(C, H, W)``."""
    count, height, width = planes.shape
    parts = [struct.pack(">4sH6xHIIHH", b"8BPS", version, count, height, width, bits, mode), struct.pack(">I", 0)]
    blocks = b""
    for number, data in resources:
        blocks += struct.pack(">4sH2xI", b"8BIM", number, len(data)) + data + b"\0" * (len(data) % 2)
    parts += [struct.pack(">I", len(blocks)), blocks, struct.pack(">I", 0)]
    if packed:  # each row as one literal run of PackBits
        rows = [bytes([width - 1]) + row.tobytes() for plane in planes for row in plane]
        parts += [struct.pack(">H", 1), *(struct.pack(">H", len(row)) for row in rows), *rows]
    else:
        parts += [struct.pack(">H", 0), planes.tobytes()]
    return b"".join(parts)


PLANES = RNG.integers(0, 256, (3, 5, 7), np.uint8)


@pytest.mark.parametrize("packed", [False, True])
def test_the_merged_picture_is_read(packed):
    data = psd(PLANES, packed=packed)
    assert is_psd(data)
    assert read_header(data, "a.psd") == ("PSD", (7, 5))
    np.testing.assert_array_equal(decode_picture(data, "a.psd").pixels, PLANES.transpose(1, 2, 0))


def test_gray_and_further_channels(caplog):
    gray = decode_picture(psd(PLANES[:1], mode=1), "a.psd").pixels
    np.testing.assert_array_equal(gray, np.repeat(PLANES[0][..., None], 3, 2))
    assert not caplog.text
    four = np.concatenate([PLANES, PLANES[:1]])
    np.testing.assert_array_equal(decode_picture(psd(four), "a.psd").pixels, PLANES.transpose(1, 2, 0))
    assert "a.psd: channels besides the colours are left out" in caplog.text


def test_cmyk_becomes_srgb(caplog):
    white = np.full((4, 5, 7), 255, np.uint8)  # a PSD stores no ink as 255
    assert decode_picture(psd(white, mode=4), "a.psd").pixels.min() > 250
    assert "is CMYK: the result is sRGB" in caplog.text


def test_the_profile_is_kept():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode_picture(psd(PLANES, resources=[(1005, b"\1\2\3"), (1039, profile)]), "a.psd").icc == profile


WITHOUT = struct.pack(">IB", 1, 0)
REFUSED = {
    "large document": (psd(PLANES, version=2), r"a large document \(PSB\).*export it as PNG"),
    "16 bits": (psd(PLANES, bits=16), "a PSD of 16 bits in RGB; 8 bits of gray, RGB, CMYK, Lab are read"),
    "indexed": (psd(PLANES[:1], mode=2), "a PSD of 8 bits in indexed"),
    "unknown": (psd(PLANES, mode=77), "in mode 77"),
    "layers only": (psd(PLANES, resources=[(1057, WITHOUT)]), "layers only.*Maximize Compatibility"),
    "a header": (b"8BPS\0\1", "is truncated"),
    "no resources": (psd(PLANES)[:28], "is truncated"),
    "half": (psd(PLANES)[:-60], "a.psd is damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_truth(name):
    data, says = REFUSED[name]
    with pytest.raises(InputError, match=says) as caught:
        decode_picture(data, "a.psd")
    assert len(str(caught.value).splitlines()) == 1


def test_a_merged_picture_that_is_there_is_read_though_versions_are_noted():
    decode_picture(psd(PLANES, resources=[(1057, struct.pack(">IB", 1, 1))]), "a.psd")


def test_more_pixels_than_the_limit_are_refused_by_the_header(monkeypatch):
    monkeypatch.setenv("EDGE_HARMONY_MAX_PIXELS", "34")
    with pytest.raises(InputError, match="too large"):
        decode_picture(psd(PLANES), "a.psd")
