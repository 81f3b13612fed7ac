"""Pictures of phones, cameras and tools as pixels: colour spaces, transparency, limits, turned masks, names."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from edge_harmony.errors import InputError
from edge_harmony.pictures.images import Picture, decode_picture, match_mask, read_picture
from tests.unit.pictures.making import SRGB, jpeg, relabelled
from tests.unit.pictures.test_images import png_header, smooth


def test_one_limit_of_pixels(monkeypatch):
    """Above Pillow's own limit ours still rules."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode_picture(jpeg(), "p.jpg").pixels.shape == (40, 60, 3)
    with pytest.raises(InputError, match="limit is 200,000,000"):
        decode_picture(png_header(30000, 20000), "p.png")
    monkeypatch.setenv("EDGE_HARMONY_MAX_PIXELS", "700000000")
    with pytest.raises(InputError, match="damaged"):
        decode_picture(png_header(30000, 20000), "p.png")


@pytest.mark.parametrize("space", [b"CMYK", b"GRAY", b"Lab "])
def test_a_profile_of_another_space_is_left_out(space, caplog):
    picture = decode_picture(jpeg(icc_profile=relabelled(SRGB, space)), "p.jpg")
    assert picture.icc is None
    assert "another colour space" in caplog.text


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_becomes_srgb(suffix, caplog):
    """Without a profile as Pillow converts it."""
    buffer = io.BytesIO()
    cmyk = Image.fromarray(smooth()).convert("CMYK")
    cmyk.save(buffer, {".jpg": "JPEG", ".tif": "TIFF"}[suffix], icc_profile=relabelled(SRGB, b"RGB "))
    picture = decode_picture(buffer.getvalue(), f"p{suffix}")
    assert picture.icc is None
    assert "CMYK" in caplog.text
    assert np.abs(picture.pixels.astype(int) - np.asarray(cmyk.convert("RGB"))).mean() < 2


def test_lab_becomes_srgb():
    rgb = smooth()
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    lab = ImageCms.profileToProfile(Image.fromarray(rgb), *profiles, outputMode="LAB")
    buffer = io.BytesIO()
    lab.save(buffer, "TIFF")
    assert np.abs(decode_picture(buffer.getvalue(), "p.tif").pixels.astype(int) - rgb).mean() < 3


def test_gray_with_alpha():
    """Of a TIFF, and of a PNG with a transparent level."""
    gray = smooth()[..., 0]
    alpha = np.where(np.arange(60) < 30, 0, 255).astype(np.uint8) * np.ones((40, 1), np.uint8)
    files = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.dstack([gray, alpha]), "LA").save(files[0], "TIFF")
    level = np.where(alpha > 0, gray.clip(1), 0).astype(np.uint8)
    Image.fromarray(level).save(files[1], "PNG", transparency=0)
    for file in files:
        pixels = decode_picture(file.getvalue(), "p").pixels
        np.testing.assert_array_equal(pixels[..., 3], alpha)
        assert np.abs(pixels[..., 1].astype(int) - gray)[alpha > 0].max() <= 1


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("fit", [False, True])
def test_a_mask_on_sensor_pixels_is_turned(orientation, fit, caplog):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[5:15, 10:40] = 255
    picture = decode_picture(jpeg(stored, exif=exif), "p.jpg")
    mask = match_mask(stored[..., 0] / np.float32(255), picture, "m.png", fit=fit)
    assert np.abs(mask - picture.pixels[..., 0] / 255).max() < 0.1
    assert "turned too" in caplog.text


def test_a_mask_of_another_aspect_is_not_stretched():
    picture = Picture(smooth(400, 600))
    for shape in ((200, 300), (133, 200), (201, 300), (4, 6)):
        assert match_mask(np.ones(shape, np.float32), picture, "m.png", fit=True).shape == (400, 600)
    for shape in ((600, 400), (400, 400), (200, 330)):
        with pytest.raises(InputError, match="aspect"):
            match_mask(np.ones(shape, np.float32), picture, "m.png", fit=True)


@pytest.mark.parametrize("form", ["composed", "decomposed"])
def test_names_in_another_unicode_form(tmp_path, form):
    names = {"composed": "M\u00e4dchen.JPG", "decomposed": "Ma\u0308dchen.JPG"}
    (tmp_path / names.pop(form)).write_bytes(jpeg())
    assert read_picture(tmp_path / names.popitem()[1]).pixels.shape == (40, 60, 3)
