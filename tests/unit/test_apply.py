"""The apply step against float64 and against its differentiable twin."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.apply import apply_grid, foreground_box
from edge_harmony.models.layers.color_transform import apply_coarse

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


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 6), st.integers(1, 6))
def test_any_size_and_grid(height, width, rows, columns):
    pixels, mask, grid = inputs(height, width, cells=(rows, columns))
    result = apply_grid(pixels, mask, grid)
    assert np.abs(result - reference(pixels, mask, grid, 1)).max() < 5e-6


def test_an_empty_mask_changes_nothing():
    pixels, mask, grid = inputs(20, 20)
    np.testing.assert_array_equal(apply_grid(pixels, mask * 0, grid), pixels)
    assert foreground_box(mask * 0) is None


def test_box_is_tight():
    mask = np.zeros((50, 60), np.float32)
    mask[10:20, 30:33] = 1e-3
    assert foreground_box(mask) == (10, 20, 30, 33)
