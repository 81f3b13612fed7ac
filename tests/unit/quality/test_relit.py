"""Relighting against its formula, one part at a time, and the random numbers derived from names."""

import math

import numpy as np
import pytest

from edge_harmony.quality.preparation import Preparation
from edge_harmony.quality.relit import VEIL, Light, drawn_light, relight, relit


def encode(linear):
    """IEC 61966-2-1, one value."""
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def decode(level):
    value = level / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def picture(*colour):
    return np.full((2, 3, 3), colour, np.uint8)


def test_no_change_is_no_change():
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    np.testing.assert_array_equal(relight(ramp, Light()), ramp)


def test_exposure_and_white_balance_act_on_linear_light():
    found = relight(picture(100, 60, 20), Light(exposure=0.4, red=0.1, blue=-0.2))[0, 0]
    for level, original, gain in zip(found, (100, 60, 20), (0.5, 0.4, 0.2), strict=True):
        assert abs(level - 255 * encode(decode(original) * math.exp(gain))) <= 0.51
    assert relight(picture(250, 250, 250), Light(exposure=1.0)).max() == 255  # what is too bright is lost


def test_haze_mixes_with_gray_light():
    found = relight(picture(10, 10, 10), Light(haze=0.25))[0, 0]
    assert np.abs(found - 255 * encode(0.75 * decode(10) + 0.25 * VEIL)).max() <= 0.51


def test_gamma_and_saturation_act_on_encoded_values():
    found = relight(picture(100, 60, 20), Light(gamma=0.3))[0, 0]
    assert np.abs(found - 255 * (np.array([100, 60, 20]) / 255) ** math.exp(0.3)).max() <= 0.51
    found = relight(picture(100, 60, 20), Light(saturation=-20.0))[0, 0]
    assert np.ptp(found) == 0
    assert abs(int(found[0]) - (0.299 * 100 + 0.587 * 60 + 0.114 * 20)) <= 0.51
    more = relight(picture(100, 60, 20), Light(saturation=0.2))[0, 0].astype(float)
    assert more[0] - more[2] == pytest.approx(80 * math.exp(0.2), abs=1.01)


def test_draws_have_the_spread_that_is_published():
    lights = [drawn_light(f"HCOCO/{k}.jpg") for k in range(4000)]
    for key, spread in (("exposure", 0.35), ("red", 0.12), ("blue", 0.12), ("gamma", 0.15), ("saturation", 0.25)):
        values = [getattr(light, key) for light in lights]
        assert np.std(values) == pytest.approx(spread, rel=0.05)
        assert abs(np.mean(values)) < 0.06 * spread
    haze = [light.haze for light in lights]
    assert min(haze) >= 0
    assert np.mean(haze) == pytest.approx(0.06 * math.sqrt(2 / math.pi), rel=0.05)
    for a, b in (("red", "blue"), ("exposure", "gamma")):  # drawn apart
        assert abs(np.corrcoef([getattr(x, a) for x in lights], [getattr(x, b) for x in lights])[0, 1]) < 0.06


def test_a_name_draws_the_same_everywhere():
    light = drawn_light("HCOCO/c1_1_1.jpg")
    assert (round(light.exposure, 6), round(light.haze, 6)) == (-0.261525, 0.000481)


def test_the_background_stays_and_soft_masks_mix():
    real = np.random.default_rng(1).integers(0, 256, (8, 9, 3), np.uint8)
    mask = np.zeros((8, 9), np.float32)
    mask[2:6, 2:6], mask[2:6, 6] = 1, 0.5
    changed, whole = relit(real, mask, "a"), relight(real, drawn_light("a"))
    np.testing.assert_array_equal(changed[mask == 0], real[mask == 0])
    np.testing.assert_array_equal(changed[mask == 1], whole[mask == 1])
    half = (real[mask == 0.5].astype(float) + whole[mask == 0.5]) / 2
    assert np.abs(changed[mask == 0.5] - half).max() <= 0.5


def test_the_set_s_own_composite_does_not_matter():
    real = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    mask = np.zeros((16, 16), np.float32)
    mask[4:12, 4:12] = 1
    black, white = (Preparation(2, relit=True).apply("a", np.full_like(real, v), mask, real) for v in (0, 255))
    for a, b in zip(black, white, strict=True):
        np.testing.assert_array_equal(a, b)
    inside = black[1] > 0
    np.testing.assert_array_equal(black[0][inside], relight(real, drawn_light("a"))[inside])
    np.testing.assert_array_equal(black[2][inside], real[inside])
