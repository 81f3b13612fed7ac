"""Training losses."""

from __future__ import annotations

from torch import Tensor


def foreground_mse(prediction: Tensor, real: Tensor, mask: Tensor, floor: float) -> Tensor:
    """Foreground-normalised MSE: ``sum(err^2) / (C max(sum M, floor))``, mean over the batch.

    Sofiiuk et al., "Foreground-aware Semantic Representations for Image Harmonization", WACV 2021, eq. 3; HDNet
    uses it with a floor of 100 pixels at 256 x 256.

    Args:
        prediction: ``(N, 3, H, W)``, already blended with the composite outside the mask.
        real: ``(N, 3, H, W)``.
        mask: ``(N, 1, H, W)`` in [0, 1].
        floor: smallest share of the picture that is divided by.

    Returns:
        A scalar.
    """
    pixels = mask.shape[2] * mask.shape[3]
    area = mask.sum((1, 2, 3)).clamp_min(max(floor * pixels, 1.0))
    error = (prediction - real).square().sum((1, 2, 3)) / (prediction.shape[1] * area)
    return error.mean()
