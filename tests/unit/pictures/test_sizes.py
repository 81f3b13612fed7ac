"""Sizes that formats hold: pictures of a pixel, narrow and odd ones, and the longest sides; beyond them, one line."""

import io

import numpy as np
import pytest
from PIL import Image

from edge_harmony.errors import CapabilityError, InputError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.encode import check_holds, encode_picture, write_picture
from edge_harmony.pictures.heif import HEVC_SUFFIXES, check_encoder
from edge_harmony.pictures.images import SUFFIXES, Picture, decode_picture

LIBPNG, LIBJPEG, VP8, LEVEL_4 = 1_000_000, 65500, (1 << 14) - 1, 4216


def gray(width, height):
    return Picture(np.full((height, width, 3), 100, np.uint8))


def need_encoder(suffix):
    try:
        check_encoder(suffix)
    except CapabilityError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("size", [(1, 1), (1, 99), (99, 1), (3, 5), (5, 16), (16, 5), (17, 31), (31, 33), (63, 16)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_small_narrow_and_odd_pictures_are_written_whole(suffix, size):
    need_encoder(suffix)
    picture = gray(*size)
    made = decode_picture(encode_picture(picture, suffix), "it").pixels
    assert made.shape == picture.pixels.shape
    assert np.abs(made.astype(int) - 100).max() < 4


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (1, 65535), (65535, 1), (17, 31)])
def test_gif_is_read_in_every_size_that_it_has(size, mode):
    file = io.BytesIO()
    Image.new(mode, size).save(file, "GIF")
    assert decode_picture(file.getvalue(), "it").pixels.shape[1::-1] == size


@pytest.mark.parametrize(
    ("suffix", "longest", "narrow", "instead"),
    [
        (".jpg", LIBJPEG, 1, ".png or .tif"),
        (".png", LIBPNG, 1, ".tif"),
        (".webp", VP8, 1, ".png or .tif or .jpg"),
        *((suffix, LEVEL_4, narrow, ".png or .tif or .jpg") for suffix in HEVC_SUFFIXES[:1] for narrow in (1, 16, 31)),
    ],
)
@pytest.mark.parametrize("upright", [False, True])
def test_the_longest_side_is_written_and_one_pixel_more_is_refused(suffix, longest, narrow, instead, upright):
    need_encoder(suffix)
    size = (narrow, longest) if upright else (longest, narrow)
    assert decode_picture(encode_picture(gray(*size), suffix), "it").pixels.shape[1::-1] == size
    larger = (narrow, longest + 1) if upright else (longest + 1, narrow)
    with pytest.raises(InputError, match=f"does not fit into {suffix}, whose sides end at {longest:,}") as caught:
        check_holds(suffix, larger)
    assert str(caught.value).endswith(f"write {instead}")
    with pytest.raises(InputError, match="does not fit"):
        encode_picture(gray(*larger), suffix)


def test_a_long_side_of_heic_needs_32_pixels_beside_it():
    need_encoder(".heic")
    with pytest.raises(InputError, match=r"whose sides end at 4,216 where one is shorter than 32; write"):
        check_holds(".HEIC", (4217, 31))
    check_holds(".heic", (4217, 32))
    made = encode_picture(gray(4217, 32), ".heic")
    assert decode_picture(made, "it").pixels.shape == (32, 4217, 3)


@pytest.mark.parametrize("suffix", [".tif", ".bmp"])
def test_a_side_that_cannot_be_decoded_is_named(suffix):
    made = encode_picture(gray((1 << 20) + 1, 1), suffix)
    with pytest.raises(InputError, match="no side of more than 1,048,576"):
        decode_picture(made, "it")


def test_a_preview_that_its_format_cannot_hold_is_refused_before_the_work(tmp_path):
    write_picture(tmp_path / "wide.png", gray(6000, 16))
    with (
        Harmonizer.from_pretrained("edge-n") as harmonizer,
        pytest.raises(InputError, match=r"18016x16 does not fit into \.webp, whose sides end at 16,383"),
    ):
        harmonizer.harmonize_file(*[tmp_path / "wide.png"] * 2, tmp_path / "o.png", preview=tmp_path / "p.webp")
    assert not (tmp_path / "o.png").exists()
