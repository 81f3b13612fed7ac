"""Composites and masks as arrays, and at the working size."""

from __future__ import annotations

import numpy as np

from edge_harmony.pictures.arrays import checked_mask, fit_mask, foreground_box
from edge_harmony.pictures.working_size import to_working_size
from tests.unit.pipeline.test_harmonize import RNG, picture


def test_masks_in_every_type():
    soft = RNG.random((6, 5)).astype(np.float32)
    np.testing.assert_array_equal(checked_mask(soft[..., None]), soft)
    np.testing.assert_array_equal(checked_mask(soft > 0.5), (soft > 0.5) * np.uint8(255))
    for dtype in (np.uint8, np.uint16):
        mask = np.rint(soft * np.iinfo(dtype).max).astype(dtype)
        assert checked_mask(mask).dtype == dtype
        small = to_working_size(picture(6, 5), checked_mask(mask), (3, 2))[1]
        np.testing.assert_allclose(small, to_working_size(picture(6, 5), soft, (3, 2))[1], atol=1 / 255)
    assert fit_mask(soft, picture(24, 20)).shape == (24, 20)


def test_a_mask_that_fits_is_left_alone():
    mask = np.random.default_rng(0).random((20, 30), np.float32)
    assert fit_mask(mask, np.zeros((20, 30, 3), np.uint8)) is mask
    ones = fit_mask(np.ones((7, 11), np.float32), np.zeros((300, 470, 3), np.uint8))
    assert (ones == 1).all()


def test_box_is_tight():
    mask = np.zeros((50, 60), np.float32)
    mask[10:20, 30:33] = 1e-3
    assert foreground_box(mask) == (10, 20, 30, 33)
