"""Placing a foreground on a background of another size."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.errors import InputError, UsageError
from edge_harmony.pictures.placement import ANCHORS, Placement

RNG = np.random.default_rng(28)


def foreground(height, width, dtype=np.uint8):
    full = 1 if dtype == np.float32 else np.iinfo(dtype).max
    pixels = (RNG.random((height, width, 3)) * full).astype(dtype)
    return pixels, np.full((height, width), full, dtype)


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    ("placement", "left", "top"),
    [
        (Placement(), 35, 20),
        (Placement(anchor="top-left"), 0, 0),
        (Placement(anchor="bottom"), 35, 40),
        (Placement(anchor="right"), 70, 20),
        (Placement((10, 5), anchor="top-left"), 10, 5),
        (Placement((50, 60), anchor="bottom"), 35, 40),
        (Placement((50, 30)), 35, 20),
    ],
)
def test_the_anchor_lies_where_it_should(placement, left, top):
    pixels, mask = foreground(20, 30)
    placed, weight = placement.place(pixels, mask, (100, 60))
    assert placed.shape == (60, 100, 3)
    assert box_of(weight) == (left, top, left + 30, top + 20)
    np.testing.assert_array_equal(placed[top : top + 20, left : left + 30], pixels)


def test_the_background_of_the_same_size_changes_nothing():
    pixels, mask = foreground(20, 30)
    placed, weight = Placement().place(pixels, mask, (30, 20))
    assert placed is pixels
    assert weight is mask


@given(st.integers(-50, 50), st.integers(-50, 50), st.sampled_from(sorted(ANCHORS)), st.sampled_from([1.0, 0.5, 1.7]))
@settings(max_examples=60, deadline=None)
def test_what_lies_on_the_background_is_what_a_larger_canvas_shows_there(x, y, anchor, scale):
    pixels, mask = foreground(12, 17)
    wide, wide_mask = Placement((x + 100, y + 100), scale, anchor).place(pixels, mask, (240, 240))
    try:
        placed, weight = Placement((x, y), scale, anchor).place(pixels, mask, (40, 40))
    except InputError:
        assert not wide_mask[100:140, 100:140].any()
    else:
        np.testing.assert_array_equal(placed, wide[100:140, 100:140])
        np.testing.assert_array_equal(weight, wide_mask[100:140, 100:140])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colours_around_the_foreground_do_not_leak_in_when_it_is_scaled(dtype):
    full = 1 if dtype == np.float32 else np.iinfo(dtype).max
    pixels = np.zeros((40, 40, 3), dtype)
    pixels[10:30, 10:30] = full  # white on black
    mask = pixels[..., 0].copy()
    for scale in (0.37, 1.9):
        placed, weight = Placement(scale=scale).place(pixels, mask, (100, 100))
        assert placed.dtype == weight.dtype == dtype
        assert placed[weight > full / 100].min() >= 0.99 * full
        side = float((weight.astype(float) / full).sum()) ** 0.5
        assert abs(side - 20 * scale) < 1


def test_what_is_cut_off_is_said_with_the_scale_that_fits(caplog):
    pixels, mask = foreground(100, 100)
    with caplog.at_level(logging.WARNING):
        Placement().place(pixels, mask, (50, 80))
    (record,) = caplog.records
    assert "40 % of the foreground is on the background; a scale of 0.5 fits it" in record.getMessage()
    caplog.clear()
    _, weight = Placement(scale=0.5).place(pixels, mask, (50, 80))
    assert box_of(weight) == (0, 15, 50, 65)
    assert not caplog.records


def test_an_empty_mask_is_placed_too():
    pixels, mask = foreground(10, 10)
    assert not Placement((500, 500)).place(pixels, 0 * mask, (20, 20))[1].any()


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_scales_that_are_none(scale):
    with pytest.raises(UsageError, match="scale"):
        Placement(scale=scale)


def test_what_cannot_be_placed():
    pixels, mask = foreground(10, 10)
    with pytest.raises(UsageError, match="choose from top-left"):
        Placement(anchor="middle")
    with pytest.raises(InputError, match="none of the foreground"):
        Placement((500, 500)).place(pixels, mask, (20, 20))
    with pytest.raises(UsageError, match="30010x30010"):
        Placement(scale=3001).place(pixels, mask, (20, 20))
