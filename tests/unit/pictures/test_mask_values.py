"""What the numbers of masks mean: class ids, void, 0 and 1, fades; the same for arrays, files and videos."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edge_harmony.errors import InputError
from edge_harmony.pictures.arrays import checked_mask
from edge_harmony.pictures.images import decode_mask
from edge_harmony.pictures.masks import MaskReader
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.pipeline.stream import StreamOptions, in_step, stream
from tests.unit.pipeline.test_harmonize import FakeRunner, picture

BOX = np.zeros((40, 60), bool)
BOX[10:30, 20:50] = True


def png(pixels):
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("value", [1, 2, 15, 38, 100, 200, 254, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_two_values_are_background_and_foreground(value, dtype):
    composite, mask = picture(40, 60), BOX.astype(dtype) * dtype(value)
    wanted = harmonize_pixels(FakeRunner(), composite, BOX)
    assert not np.array_equal(wanted, composite)
    np.testing.assert_array_equal(harmonize_pixels(FakeRunner(), composite, mask), wanted)
    (streamed,) = stream(FakeRunner(), in_step([composite], [mask]), StreamOptions())
    np.testing.assert_array_equal(streamed, wanted)
    if dtype in (np.uint8, np.uint16):
        np.testing.assert_array_equal(decode_mask(png(mask), "m.png"), BOX * np.uint8(255))


@pytest.mark.parametrize(("low", "high"), [(1, 2), (16, 235)])
def test_the_background_need_not_be_0(low, high):
    np.testing.assert_array_equal(checked_mask(np.where(BOX, high, low).astype(np.uint8)) > 0, BOX)


def test_a_full_mask_with_a_crumb_stays_full():
    mask = np.full((40, 60), 255, np.uint8)
    mask[3, 4] = 254
    np.testing.assert_array_equal(checked_mask(mask), mask)
    assert (checked_mask(np.ones((4, 5), np.uint8)) == 255).all()


@pytest.mark.parametrize("border", [1, 3])
def test_void_beside_a_class_id_is_no_foreground(border, caplog):
    mask = np.zeros((40, 60), np.uint8)
    mask[10 - border : 30 + border, 20 - border : 50 + border] = 255
    mask[BOX] = 15
    np.testing.assert_array_equal(checked_mask(mask) == 255, BOX)
    assert "void" in caplog.text
    indexed = Image.fromarray(mask)
    indexed.putpalette([(37 * k) % 256 for k in range(768)])
    for form in (png(mask), png(indexed)):
        np.testing.assert_array_equal(decode_mask(form, "m.png"), BOX * np.uint8(255))
    mask[12:14, 22:30] = 2
    with pytest.raises(InputError, match=r"0, 2, 15, 255.*mask_value=N"):
        checked_mask(mask)


def test_void_in_one_mask_of_a_video_is_void_in_all():
    with_void = BOX * np.uint8(15)
    with_void[8:10, 20:50] = 255
    only_void = np.where(with_void == 15, 0, with_void).astype(np.uint8)
    reader = MaskReader()
    for mask, foreground in ((with_void, BOX), (BOX * np.uint8(15), BOX), (only_void, BOX * 0), (BOX * 0, BOX * 0)):
        np.testing.assert_array_equal(reader.read(mask.astype(np.uint8)), foreground * np.uint8(255))
    with pytest.raises(InputError, match=r"m holds 0, 7, masks before it the class id 15 beside 255.*mask_value=N"):
        reader.read(BOX * np.uint8(7), "m")


def test_soft_edges_are_no_class_ids():
    mask = BOX * np.uint8(255)
    mask[9, 20:50] = 15
    np.testing.assert_array_equal(checked_mask(mask), mask)
    mask[30, 20:50] = 120
    np.testing.assert_array_equal(checked_mask(mask), mask)


def test_several_class_ids_are_refused_and_one_can_be_picked():
    mask = BOX * np.uint8(15)
    mask[:5] = 2
    for give in (lambda: checked_mask(mask), lambda: decode_mask(png(mask), "m.png")):
        with pytest.raises(InputError, match=r"15 of 255.*0, 2, 15.*mask_value=N"):
            give()
    np.testing.assert_array_equal(decode_mask(png(mask), "m.png", MaskReader(15)), BOX * np.uint8(255))
    np.testing.assert_array_equal(decode_mask(png(mask), "m.png", MaskReader(15, invert=True)), ~BOX * np.uint8(255))
    with pytest.raises(InputError, match=r"m\.png has no pixel of the value 7; it holds 0, 2, 15"):
        decode_mask(png(mask), "m.png", MaskReader(7))


def test_a_faint_mask_is_told(caplog):
    ramp = np.tile(np.arange(100, dtype=np.uint8), (40, 1))
    np.testing.assert_array_equal(checked_mask(ramp), ramp)
    assert "99 of 255" in caplog.text
    caplog.clear()
    checked_mask(BOX.astype(np.float32) / 255)
    assert "0.00392 of 1" in caplog.text


def test_a_mask_that_fades_out_in_a_video_fades():
    reader = MaskReader()
    assert (reader.read(BOX * np.uint8(255)) == BOX * np.uint8(255)).all()
    np.testing.assert_allclose(reader.read(BOX * np.uint8(25)), BOX * np.float32(25 / 255))


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 0), (255, 255, 255), (10, 200, 30)])
@pytest.mark.parametrize("cleared", [False, True])
def test_a_mask_of_one_colour_is_its_alpha(colour, cleared):
    pixels = np.dstack([np.full((40, 60, 3), colour, np.uint8), BOX * np.uint8(255)])
    if cleared:  # colours of transparent pixels are gone, as many tools write them
        pixels[~BOX] = 0
    np.testing.assert_array_equal(decode_mask(png(pixels), "m.png"), BOX * np.uint8(255))
