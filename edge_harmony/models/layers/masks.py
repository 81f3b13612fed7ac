"""Masks at the resolution of a feature map, and statistics of the region that a mask selects."""

from __future__ import annotations

import math
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
    mean, deviation = _moments(features, weight, eps)
    return mean[..., :1, None], deviation[..., :1, None]


def paired_statistics(features: Tensor, foreground: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`region_statistics` of foreground and background in one pass over the features.

    Returns:
        Mean and deviation of the foreground, then of the background, each ``(N, C, 1, 1)``.
    """
    mean, deviation = _moments(features, torch.cat([foreground, 1 - foreground], 1), eps)
    return mean[..., :1, None], deviation[..., :1, None], mean[..., 1:, None], deviation[..., 1:, None]


def _moments(features: Tensor, weights: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and deviation per channel and region ``(N, C, R)`` for weights ``(N, R, H, W)``.

    Two matrix products, of the features and of their squares, in place of a pass per region and moment: on CPUs this
    is what masked statistics cost.
    """
    with torch.autocast(features.device.type, enabled=False):
        return _moments32(features.float(), weights.float(), eps)


def _moments32(features: Tensor, weights: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    pixels, columns = features.flatten(2), weights.flatten(2).transpose(1, 2)
    weight = columns.sum(1, keepdim=True)
    total = weight + eps
    mean = pixels @ columns / total
    square = (pixels * pixels) @ columns / total
    variance = square - mean * mean * (2 - weight / total)  # of deviations from the mean, as if they were summed
    return mean, torch.sqrt(variance.clamp_min(0.0) + eps)


def region_mean(features: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
    """Weighted mean per channel ``(N, C, 1, 1)``; arguments as in :func:`region_statistics`."""
    return (features * weight).sum((2, 3), keepdim=True) / (weight.sum((2, 3), keepdim=True) + eps)


def pooled_background(features: Tensor, foreground: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Background positions for an attention to choose from, at most about ``limit`` of them.

    Args:
        features: ``(N, C, H, W)``.
        foreground: ``(N, 1, H, W)`` in [0, 1].
        limit: above this many positions, features are averaged over square blocks of background.

    Returns:
        Features ``(N, C, L)`` and a 0/1 float ``(N, 1, L)`` that says which of them are background.
    """
    background = 1 - foreground
    block = math.ceil(math.sqrt(features.shape[2] * features.shape[3] / limit))
    if block > 1:
        weighted = F.avg_pool2d(features * background, block, ceil_mode=True)
        background = F.avg_pool2d(background, block, ceil_mode=True)
        features = weighted / background.clamp_min(1e-6)
    return features.flatten(2), (background.flatten(2) > 0.5).to(features.dtype)
