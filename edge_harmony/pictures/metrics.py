"""Image quality metrics of the harmonization literature, on NumPy arrays.

All functions take pictures in 0..255 (uint8, or float of that scale). Errors are in squared levels, ratios in dB
with a peak of 255 (as HDNet and PCT-Net report them).
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

_WINDOW = 11
_HALF = _WINDOW // 2


@dataclass(frozen=True)
class Scores:
    """Quality of one picture: PSNR in dB, MSE in squared levels, SSIM up to 1; a leading ``f`` means foreground."""

    psnr: float
    mse: float
    fmse: float
    fpsnr: float
    ssim: float
    fssim: float


def psnr_of(mse: float, peak: float = PEAK) -> float:
    """Peak signal-to-noise ratio in dB; infinite for identical pictures, NaN if the error is NaN."""
    if mse <= 0:
        return math.inf
    return 10 * math.log10(peak * peak / mse) if peak > 0 else -math.inf


def mse(result: NDArray[Any], real: NDArray[Any]) -> float:
    """Mean squared error over all pixels and channels of two ``(H, W, 3)`` pictures."""
    difference = result.astype(np.float32) - real.astype(np.float32)
    return float(np.mean(np.square(difference), dtype=np.float64))


def foreground_mse(result: NDArray[Any], real: NDArray[Any], mask: NDArray[np.floating[Any]]) -> float:
    """fMSE: ``sum M err^2 / (3 sum M)`` (Cong et al., DoveNet, CVPR 2020, section 5.2).

    Args:
        result: ``(H, W, 3)``.
        real: ``(H, W, 3)``.
        mask: ``(H, W)`` in [0, 1]; if it is empty, the result is NaN.
    """
    total = float(mask.sum(dtype=np.float64))
    if total == 0:
        return math.nan
    error = np.square(result.astype(np.float32) - real.astype(np.float32)).sum(2)
    return float((error * mask).sum(dtype=np.float64) / (3 * total))


def ssim(
    result: NDArray[Any], real: NDArray[Any], mask: NDArray[np.floating[Any]] | None = None
) -> tuple[float, float]:
    """SSIM and fSSIM: structural similarity (Wang et al., 2004) over the picture, and over the foreground.

    Gaussian weights of sigma 1.5 in an 11 x 11 window, K1 = 0.01, K2 = 0.03, population covariance, borders of
    half a window left out; equal to scikit-image's ``structural_similarity(gaussian_weights=True,
    sigma=1.5, use_sample_covariance=False, data_range=255)``.

    Args:
        result: ``(H, W, 3)``.
        real: ``(H, W, 3)``.
        mask: ``(H, W)`` in [0, 1], the weight of every pixel in fSSIM; None: all pixels have the weight 1.

    Returns:
        Means over channels and pixels. NaN for pictures smaller than the window; fSSIM is NaN for empty masks too.
    """
    if min(result.shape[:2]) < _WINDOW:
        return math.nan, math.nan
    values = _ssim_map(result, real).mean(2)
    whole = float(values.mean())
    if mask is None:
        return whole, whole
    weight = mask[_HALF:-_HALF, _HALF:-_HALF].astype(np.float64)
    total = float(weight.sum())
    return whole, float((values * weight).sum() / total) if total else math.nan


def _ssim_map(result: NDArray[Any], real: NDArray[Any]) -> NDArray[np.float64]:
    """SSIM of every pixel and channel, ``(H - 10, W - 10, 3)``."""
    a, b = result.astype(np.float64), real.astype(np.float64)

    def blur(image: NDArray[np.float64]) -> Any:
        return cv2.GaussianBlur(image, (_WINDOW, _WINDOW), 1.5, borderType=cv2.BORDER_REFLECT)

    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    value: NDArray[np.float64] = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )
    return value[_HALF:-_HALF, _HALF:-_HALF]
