"""Metrics against scikit-image and closed forms."""

import math

import numpy as np
import pytest
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from edge_harmony.pictures.metrics import foreground_mse, mse, psnr_of, ssim
from edge_harmony.quality.protocols import NATIVE
from edge_harmony.samples import sample_pictures


def pair():
    _, picture, mask = next(iter(sample_pictures()))
    rng = np.random.default_rng(0)
    noisy = np.clip(picture + rng.normal(0, 12, picture.shape) * (mask[..., None] > 0), 0, 255).astype(np.uint8)
    return noisy, picture, (mask > 0.5).astype(np.float32)


def test_against_scikit_image():
    noisy, picture, mask = pair()
    scores = NATIVE.score(noisy, picture, mask)
    assert scores.mse == pytest.approx(mean_squared_error(noisy, picture), rel=1e-6)
    assert scores.psnr == pytest.approx(peak_signal_noise_ratio(picture, noisy, data_range=255), rel=1e-6)
    theirs = structural_similarity(
        noisy, picture, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert scores.ssim == pytest.approx(theirs, abs=1e-4)
    _, full = structural_similarity(
        noisy,
        picture,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    inside = mask[5:-5, 5:-5] > 0
    assert scores.fssim == pytest.approx(full[5:-5, 5:-5][inside].mean(), abs=1e-4)
    assert scores.fssim < scores.ssim


def test_foreground_error_is_the_mean_over_the_foreground():
    noisy, picture, mask = pair()
    inside = mask > 0
    expected = np.square(noisy[inside].astype(float) - picture[inside]).mean()
    assert foreground_mse(noisy, picture, mask) == pytest.approx(expected, rel=1e-5)
    assert NATIVE.score(noisy, picture, mask).fpsnr == pytest.approx(10 * math.log10(255**2 / expected), rel=1e-5)


def test_edges():
    flat = np.full((20, 20, 3), 10, np.uint8)
    assert mse(flat, flat + 2) == 4
    assert psnr_of(0) == math.inf
    assert math.isnan(foreground_mse(flat, flat, np.zeros((20, 20), np.float32)))
    assert all(math.isnan(value) for value in ssim(flat[:8], flat[:8], np.ones((8, 20), np.float32)))
    assert ssim(flat, flat) == pytest.approx((1, 1))
    whole, foreground = ssim(flat, flat, np.zeros((20, 20), np.float32))
    assert whole == pytest.approx(1)
    assert math.isnan(foreground)
    assert psnr_of(4, peak=0) == -math.inf
