"""Composites and masks as arrays, and at the working size."""

from __future__ import annotations

import numpy as np
import pytest

from edge_harmony.errors import InputError
from edge_harmony.pictures.arrays import checked_mask, fit_mask, foreground_box, full_scale, refuse_coloured
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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("levels", [0, 12, 13, 200])
@pytest.mark.parametrize("view", [slice(None), slice(None, None, 2)])
def test_masks_are_coloured_if_channels_differ_by_more_than_12_of_255(dtype, levels, view):
    """In one pixel of a gray picture, of any type, and of a view."""
    gray = np.random.default_rng(3).random((40, 50, 1)) * 0.2
    pixels = np.repeat(gray, 4, axis=2)
    pixels[7, 8, :3] = [0.1, 0.1 + (levels + 0.01) / 255, 0.1 + levels / 510]
    full = full_scale(np.empty(0, dtype))
    pixels = (pixels * full).astype(dtype) if dtype == np.float32 else np.rint(pixels * full).astype(dtype)
    pixels = pixels[:, view, :3]
    if levels > 12:
        with pytest.raises(InputError, match=f"up to {levels} of 255"):
            refuse_coloured(pixels, "the mask")
    else:
        refuse_coloured(pixels, "the mask")
