"""Masks at the resolution of a feature map, and statistics of the region that a mask selects."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_mask(mask: Tensor, size: Sequence[int], *, nearest: bool = False) -> Tensor:
    """Bring a mask to the size of a feature map.

    Args:
        mask: ``(N, 1, H, W)`` in [0, 1].
        size: ``(h, w)`` of the feature map.
        nearest: take single samples, as the public HDNet code does. The default averages the area, so that
            a soft or thin mask keeps its weight.

    Returns:
        ``(N, 1, h, w)`` in [0, 1].
    """
    height, width = mask.shape[-2:]
    if (height, width) == tuple(size):
        return mask
    if nearest:
        return F.interpolate(mask, size=size, mode="nearest")
    if height % size[0] == 0 and width % size[1] == 0:  # a plain pooling exports to every target
        window = (height // size[0], width // size[1])
        return F.avg_pool2d(mask, window, window)
    return F.interpolate(mask, size=size, mode="area")


def region_statistics(features: Tensor, weight: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation per channel.

    Args:
        features: ``(N, C, H, W)``.
        weight: ``(N, 1, H, W)`` in [0, 1], how much each pixel belongs to the region.
        eps: added to the weight's sum and to the variance; an empty region gives mean 0 and deviation
            ``sqrt(eps)``.

    Returns:
        Mean and deviation, each ``(N, C, 1, 1)``.
    """
    total = weight.sum((2, 3), keepdim=True) + eps
    mean = (features * weight).sum((2, 3), keepdim=True) / total
    centred = features - mean
    variance = (centred * centred * weight).sum((2, 3), keepdim=True) / total
    return mean, torch.sqrt(variance + eps)
