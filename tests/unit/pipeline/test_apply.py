"""The apply step against float64 and against its differentiable version."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.errors import UsageError
from edge_harmony.models.layers.colour_transform import apply_coarse
from edge_harmony.pictures.arrays import foreground_box
from edge_harmony.pictures.parallel_rows import set_threads
from edge_harmony.pipeline.apply import apply_grid

pytestmark = pytest.mark.usefixtures("each_kernel")

RNG = np.random.default_rng(1)


def inputs(height, width, channels=12, cells=(7, 9), soft=True):
    pixels = RNG.random((height, width, 3), dtype=np.float32)
    mask = RNG.random((height, width), dtype=np.float32)
    mask = np.where(mask > 0.4, mask if soft else 1, 0).astype(np.float32)
    mask[: height // 4] = 0
    grid = RNG.normal(0, 0.2, (channels, *cells)).astype(np.float32)
    return pixels, mask, grid


def reference(pixels, mask, grid, peak):
    """In float64, by torch's own bilinear interpolation."""
    import torch

    x = torch.from_numpy(pixels.astype(np.float64) / peak).permute(2, 0, 1)[None]
    kind = {3: "difference", 6: "gain", 12: "affine"}[grid.shape[0]]
    m = torch.from_numpy(mask.astype(np.float64))[None, None]
    y = apply_coarse(x, m, torch.from_numpy(grid.astype(np.float64))[None], kind)
    return y[0].permute(1, 2, 0).numpy().clip(0, 1) * peak


@pytest.mark.parametrize("channels", [3, 6, 12])
@pytest.mark.parametrize(
    ("dtype", "peak", "tolerance"), [(np.uint8, 255, 0.51), (np.uint16, 65535, 0.6), (np.float32, 1, 2e-6)]
)
def test_matches_float64(channels, dtype, peak, tolerance):
    pixels, mask, grid = inputs(301, 277, channels)
    pixels = pixels if dtype == np.float32 else np.rint(pixels * peak).astype(dtype)
    result = apply_grid(pixels, mask, grid)
    assert result.dtype == dtype
    assert np.abs(result.astype(np.float64) - reference(pixels, mask, grid, peak)).max() < tolerance
    np.testing.assert_array_equal(result[mask == 0], pixels[mask == 0])


@pytest.mark.parametrize("channels", [3, 6, 12])
@pytest.mark.parametrize(
    ("dtype", "peak", "tolerance"), [(np.uint8, 255, 0.51), (np.uint16, 65535, 0.6), (np.float32, 1, 2e-6)]
)
@pytest.mark.parametrize("strength", [0.25, 0.5, 1.5])
def test_what_changes_is_linear_in_the_strength(channels, dtype, peak, tolerance, strength):
    """Against a fraction of the whole change, in float64; the picture is gray, so that nothing is clipped."""
    pixels, mask, grid = inputs(120, 131, channels)
    pixels, grid = 0.4 + 0.2 * pixels, 0.2 * grid
    pixels = pixels if dtype == np.float32 else np.rint(pixels * peak).astype(dtype)
    whole = reference(pixels, mask, grid, peak)
    assert whole.min() > 0
    assert whole.max() < peak
    expected = np.clip(pixels + strength * (whole - pixels), 0, peak)
    assert np.abs(apply_grid(pixels, mask, grid, strength=strength) - expected).max() < tolerance


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_no_strength_is_the_picture_and_full_strength_the_grid(dtype):
    pixels, mask, grid = inputs(90, 101)
    pixels[:, 0] = -0.0  # equal to 0, and other bits
    if dtype != np.float32:
        pixels = np.rint(pixels * np.iinfo(dtype).max).astype(dtype)
    unchanged = apply_grid(pixels, mask, grid, strength=0)
    assert unchanged.tobytes() == pixels.tobytes()
    assert unchanged is not pixels
    assert apply_grid(pixels, mask, grid, strength=0, in_place=True) is pixels
    assert apply_grid(pixels, mask, grid, strength=1).tobytes() == apply_grid(pixels, mask, grid).tobytes()


@pytest.mark.parametrize("strength", [-0.01, 1.51, np.nan, np.inf])
def test_strengths_that_are_none(strength):
    with pytest.raises(UsageError, match=f"strength is {strength}; give 0 .* to 1.5"):
        apply_grid(*inputs(9, 9), strength=strength)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 6), st.integers(1, 6))
def test_any_size_and_grid(height, width, rows, columns):
    pixels, mask, grid = inputs(height, width, cells=(rows, columns))
    result = apply_grid(pixels, mask, grid)
    assert np.abs(result - reference(pixels, mask, grid, 1)).max() < 5e-6


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("mask_dtype", [np.uint8, np.uint16])
def test_integer_masks(dtype, mask_dtype):
    pixels, mask, grid = inputs(301, 277)
    peak = 1 if dtype == np.float32 else np.iinfo(dtype).max
    pixels = pixels if dtype == np.float32 else np.rint(pixels * peak).astype(dtype)
    full = np.iinfo(mask_dtype).max
    levels = np.rint(mask * full).astype(mask_dtype)
    result = apply_grid(pixels, levels, grid)
    tolerance = 2e-6 if dtype == np.float32 else 0.6
    assert np.abs(result.astype(np.float64) - reference(pixels, levels / full, grid, peak)).max() < tolerance
    np.testing.assert_array_equal(result[levels == 0], pixels[levels == 0])


@pytest.mark.parametrize("where", [np.s_[:], np.s_[250:260, 700:705], np.s_[:3, :], np.s_[:, -1:], np.s_[499:, 899:]])
def test_strips_and_threads_do_not_show(where):
    """Several strips, boxes at every edge; one thread and several give the same bits."""
    pixels = RNG.integers(0, 256, (500, 900, 3), np.uint8)
    mask = np.zeros((500, 900), np.uint8)
    mask[where] = 255
    grid = RNG.normal(0, 0.2, (12, 32, 32)).astype(np.float32)
    set_threads(1)
    alone = apply_grid(pixels, mask, grid)
    set_threads(3)
    try:
        np.testing.assert_array_equal(apply_grid(pixels, mask, grid), alone)
    finally:
        set_threads(0)
    assert np.abs(alone - reference(pixels, mask / 255, grid, 255)).max() < 0.51
    np.testing.assert_array_equal(alone[mask == 0], pixels[mask == 0])


def test_one_call_from_several_threads():
    pixels, mask, grid = inputs(300, 400)
    alone = apply_grid(pixels, mask, grid)
    with ThreadPoolExecutor(6) as pool:
        for result in pool.map(lambda _: apply_grid(pixels, mask, grid), range(24)):
            np.testing.assert_array_equal(result, alone)


def test_an_empty_mask_changes_nothing():
    pixels, mask, grid = inputs(20, 20)
    np.testing.assert_array_equal(apply_grid(pixels, mask * 0, grid), pixels)
    assert foreground_box(mask * 0) is None


@pytest.mark.parametrize("where", [np.s_[:], np.s_[250:260, 700:705], np.s_[:3, :], np.s_[499:, 899:], np.s_[:0]])
def test_in_place_gives_the_same_and_copies_nothing(where):
    pixels = RNG.integers(0, 256, (500, 900, 3), np.uint8)
    mask = np.zeros((500, 900), np.uint8)
    mask[where] = 200
    grid = RNG.normal(0, 0.2, (12, 32, 32)).astype(np.float32)
    wanted, own = apply_grid(pixels, mask, grid), pixels.copy()
    assert apply_grid(own, mask, grid, in_place=True) is own
    np.testing.assert_array_equal(own, wanted)
