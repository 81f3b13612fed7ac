"""Masks that grow, shrink, and follow the edge of an object."""

import numpy as np
import pytest

from edge_harmony.pictures.mask_edges import grow_mask, refine_mask


def square(low, high, size=200):
    mask = np.zeros((size, size), np.float32)
    mask[low:high, low:high] = 1
    return mask


@pytest.mark.parametrize("pixels", [-7, -1, 0, 1, 12])
def test_a_square_grows_by_so_many_pixels_on_each_side(pixels):
    grown = grow_mask(square(60, 140), pixels)
    rows, columns = np.nonzero(grown)
    assert (rows.min(), rows.max()) == (columns.min(), columns.max()) == (60 - pixels, 139 + pixels)
    assert grown.dtype == np.float32


def test_soft_edges_stay_soft_and_the_border_is_no_background():
    soft = np.clip(np.linspace(-1, 2, 90, dtype=np.float32), 0, 1)[None].repeat(40, 0)
    assert set(np.unique(grow_mask(soft, 5))) == set(np.unique(soft))
    np.testing.assert_array_equal(grow_mask(np.ones((9, 9), np.float32), -3), 1)


def picture(size):
    rng = np.random.default_rng(3)
    made = rng.normal((60, 110, 70), 12, (size, size, 3))
    inside = square(round(0.3 * size), round(0.7 * size), size) > 0
    made[inside] = rng.normal((190, 90, 60), 12, (inside.sum(), 3))
    return np.clip(made, 0, 255).astype(np.uint8), inside


@pytest.mark.parametrize("size", [160, 900])
def test_the_edge_of_an_object_is_found(size):
    pixels, inside = picture(size)
    off = size // 80
    rough = square(round(0.3 * size) - off, round(0.7 * size) + off, size)
    refined = refine_mask(pixels, rough)
    before, after = ((np.abs(mask - inside)).mean() for mask in (rough, refined))
    assert after < before / 4
    np.testing.assert_array_equal(refined, refine_mask(pixels, rough))  # drawn alike each time


def test_far_from_the_edge_the_mask_stays():
    pixels, _ = picture(200)
    rough = square(58, 142)
    refined = refine_mask(pixels, rough)
    np.testing.assert_array_equal(refined[70:130, 70:130], 1)
    np.testing.assert_array_equal(refined[:45], 0)


@pytest.mark.parametrize("mask", [np.zeros((50, 50), np.float32), np.ones((50, 50), np.float32), square(24, 26, 50)])
def test_a_mask_that_leaves_nothing_to_learn_from_stays(mask):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    np.testing.assert_array_equal(refine_mask(pixels, mask), mask)
