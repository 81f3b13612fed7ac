"""Pasting: the equation in float64, types, in place, and what does not fit."""

import numpy as np
import pytest

from edge_harmony.errors import InputError
from edge_harmony.pictures.paste import paste
from tests.unit.pipeline.test_harmonize import picture

pytestmark = pytest.mark.usefixtures("each_kernel")

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("of_mask", [np.uint8, np.uint16, np.float32, np.bool_])
def test_the_equation(dtype, of_mask):
    front, back = picture(70, 90, dtype=dtype), picture(70, 90, dtype=dtype)
    soft = np.zeros((70, 90))
    soft[10:50, 20:81] = RNG.random((40, 61))
    mask = (
        soft > 0.5
        if of_mask == np.bool_
        else (soft if of_mask == np.float32 else np.rint(soft * np.iinfo(of_mask).max)).astype(of_mask)
    )
    share = mask.astype(np.float64) / (1 if mask.dtype.kind in "fb" else np.iinfo(of_mask).max)
    kept = back.copy()
    result = paste(front, back, mask)
    wanted = back + share[..., None] * (front.astype(np.float64) - back)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, wanted, atol=1e-6 if dtype == np.float32 else 0.51, rtol=0)
    np.testing.assert_array_equal(result[share == 0], back[share == 0])
    np.testing.assert_array_equal(back, kept)
    assert paste(front, back, mask, in_place=True) is back
    np.testing.assert_array_equal(back, result)


def test_an_empty_mask_is_the_background():
    front, back = picture(20, 20), picture(20, 20)
    result = paste(front, back, np.zeros((20, 20), np.uint8))
    np.testing.assert_array_equal(result, back)
    assert result is not back


def test_views_are_read_as_they_are():
    front, back = picture(20, 44)[:, ::2], picture(20, 22)
    mask = np.full((20, 22), 255, np.uint8)
    np.testing.assert_array_equal(paste(front, back, mask), front)


@pytest.mark.parametrize(
    ("front", "back", "mask", "says"),
    [
        (picture(20, 20), picture(20, 21), np.ones((20, 20)), "20x20 uint8 and the background 21x20"),
        (picture(20, 20), picture(20, 20, dtype=np.uint16), np.ones((20, 20)), "uint8 and the background 20x20 uint16"),
        (picture(20, 20), picture(20, 20), np.ones((10, 20)), "mask is 20x10"),
        (picture(20, 20), picture(20, 20), np.full((20, 20), 3.0), "float values"),
    ],
)
def test_what_does_not_fit(front, back, mask, says):
    with pytest.raises(InputError, match=says):
        paste(front, back, mask)
