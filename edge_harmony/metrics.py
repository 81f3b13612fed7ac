"""Image quality metrics of the harmonization literature, on NumPy arrays.

All take pictures in 0..255 (uint8, or float of that scale); errors are in squared levels, ratios in dB with a
peak of 255 (as HDNet and PCT-Net report them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PEAK = 255.0
FOREGROUND_BINS = ((0.0, 0.05), (0.05, 0.15), (0.15, 1.0))
"""Bins of the foreground's share of the picture that the literature reports, lower bound excluded."""


@dataclass(frozen=True)
class Scores:
    """Quality of one picture: ``psnr`` and ``fpsnr`` in dB, ``mse`` and ``fmse`` in squared levels."""

    psnr: float
    mse: float
    fmse: float
    fpsnr: float
    ssim: float


def psnr_of(mse: float) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 255; infinite for identical pictures."""
    return math.inf if mse <= 0 else 10 * math.log10(PEAK * PEAK / mse)


def mse(result: NDArray[Any], real: NDArray[Any]) -> float:
    """Mean squared error over all pixels and channels of two ``(H, W, 3)`` pictures."""
    difference = result.astype(np.float32) - real.astype(np.float32)
    return float(np.mean(np.square(difference), dtype=np.float64))


def foreground_mse(result: NDArray[Any], real: NDArray[Any], mask: NDArray[np.floating[Any]]) -> float:
    """fMSE: ``sum M err^2 / (3 sum M)`` (Cong et al., DoveNet, CVPR 2020, section 5.2).

    Args:
        result: ``(H, W, 3)``.
        real: ``(H, W, 3)``.
        mask: ``(H, W)`` in [0, 1]; NaN is returned where it is empty.
    """
    total = float(mask.sum(dtype=np.float64))
    if total == 0:
        return math.nan
    error = np.square(result.astype(np.float32) - real.astype(np.float32)).sum(2)
    return float((error * mask).sum(dtype=np.float64) / (3 * total))


def ssim(result: NDArray[Any], real: NDArray[Any]) -> float:
    """Structural similarity (Wang et al., 2004), mean over channels and pixels.

    Gaussian weights of sigma 1.5 in an 11 x 11 window, K1 = 0.01, K2 = 0.03, population covariance, borders of
    half a window left out; the same as scikit-image's ``structural_similarity(gaussian_weights=True,
    sigma=1.5, use_sample_covariance=False, data_range=255)``. NaN for pictures smaller than the window.
    """
    if min(result.shape[:2]) < 11:
        return math.nan
    a, b = result.astype(np.float64), real.astype(np.float64)

    def blur(image: NDArray[np.float64]) -> Any:
        return cv2.GaussianBlur(image, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)

    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    value = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )
    return float(value[5:-5, 5:-5].mean())


def score(result: NDArray[Any], real: NDArray[Any], mask: NDArray[np.floating[Any]]) -> Scores:
    """All metrics of one picture; arguments as in :func:`foreground_mse`."""
    error, foreground = mse(result, real), foreground_mse(result, real, mask)
    return Scores(
        psnr=psnr_of(error),
        mse=error,
        fmse=foreground,
        fpsnr=math.nan if math.isnan(foreground) else psnr_of(foreground),
        ssim=ssim(result, real),
    )
