"""Masks at the resolution of a feature map, and statistics of the region that a mask selects."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_CRUMB = 1e-5


def resize_mask(mask: Tensor, size: Sequence[int], *, nearest: bool = False) -> Tensor:
    """Resize a mask to the size of a feature map.

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
    return snap(F.interpolate(mask, size=size, mode="area"))


def snap(mask: Tensor) -> Tensor:
    """Set weights that differ from 0 or 1 by rounding only to 0 or 1; others change by at most 1e-5.

    A full mask is 0.9999999 after resizing to some sizes, and thousands of such errors would add up to a background.
    :func:`edge_harmony.pictures.arrays.snap` does this in NumPy.
    """
    return (mask * (1 + 2 * _CRUMB) - _CRUMB).clamp(0.0, 1.0)


class Region:
    """The part of a map that a weight selects, and weighted means and deviations of features over it.

    The arithmetic suits 16 bits and integer targets. All tensors have four dimensions. Nothing is summed or counted;
    values are averaged over rows and then over the rows' means, so no value grows with the size of the map. Rows are
    divided by the weight of the fullest row, so that a region of a few pixels counts as much as one of half the
    picture. A region of less than about one working pixel fades smoothly: means and variances shrink to zero with its
    weight.

    Args:
        weight: ``(N, 1, H, W)`` in [0, 1], how much each position belongs to the region.
        stride: working pixels per position and side, from :func:`stride_of`.

    Attributes:
        presence: ``(N, 1, 1, 1)`` in [0, 1]: 1 for regions of at least a working pixel, 0 for an empty region.
    """

    def __init__(self, weight: Tensor, stride: int = 1) -> None:
        height, width = weight.shape[-2:]
        rows = weight.mean(3, keepdim=True)
        self._weight = weight
        self._fullest = rows.amax(2, keepdim=True).clamp_min(1 / (width * stride**2))  # of one working pixel
        share = (rows / self._fullest).mean(2, keepdim=True)
        self.presence = (share * height).clamp_max(1.0)
        self._total = share.clamp_min(1 / height)

    def mean(self, features: Tensor) -> Tensor:
        """Weighted mean per channel ``(N, C, 1, 1)`` of features ``(N, C, H, W)``; 0 for an empty region."""
        return self._mean(features * self._weight)

    def statistics(self, features: Tensor, eps: float, room: int = 1) -> tuple[Tensor, Tensor]:
        """Mean and deviation per channel, each ``(N, C, 1, 1)``.

        The variance takes a second pass about the mean, so nothing cancels, whatever the features' offset.

        Args:
            features: ``(N, C, H, W)``.
            eps: added to the variance; the deviation of an empty region is ``sqrt(eps)``.
            room: a power of two by which distances are divided before they are squared. It is for features more than
                255 from their mean, whose squares do not fit in 16 bits. The division is exact in 32 bits.
        """
        mean = self.mean(features)
        distance = features - mean
        if room == 1:
            return mean, torch.sqrt(self._mean(distance * distance * self._weight) + eps)
        distance = distance / room
        variance = self._mean(distance * distance * self._weight)
        return mean, (torch.sqrt(variance + eps / room**2) * room).clamp_min(eps**0.5)  # in 16 bits eps may be lost

    def _mean(self, weighted: Tensor) -> Tensor:
        rows = weighted.mean(3, keepdim=True)
        return (rows / self._fullest).mean(2, keepdim=True) / self._total


def stride_of(mask: Tensor, features: Tensor) -> int:
    """Pixels of a mask per position and side of a feature map; at least 1."""
    return max(1, round(mask.shape[-2] / features.shape[-2]))


def region_statistics(features: Tensor, weight: Tensor, eps: float = 1e-5, stride: int = 1) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation per channel.

    Args:
        features: ``(N, C, H, W)``.
        weight: ``(N, 1, H, W)`` in [0, 1], how much each pixel belongs to the region.
        eps: added to the variance; an empty region gives mean 0 and deviation ``sqrt(eps)``.
        stride: working pixels per position and side, see :class:`Region`.

    Returns:
        Mean and deviation, each ``(N, C, 1, 1)``.
    """
    return Region(weight, stride).statistics(features, eps)


def paired_statistics(
    features: Tensor, foreground: Tensor, eps: float = 1e-5, stride: int = 1
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute :func:`region_statistics` of foreground and background.

    Returns:
        Mean and deviation of the foreground, then of the background, each ``(N, C, 1, 1)``.
    """
    return (
        *region_statistics(features, foreground, eps, stride),
        *region_statistics(features, 1 - foreground, eps, stride),
    )


def region_mean(features: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """Weighted mean per channel ``(N, C, 1, 1)``; arguments as in :func:`region_statistics`."""
    return Region(weight, stride).mean(features)


def pooled_background(features: Tensor, foreground: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Background positions as keys of an attention, at most about ``limit`` of them.

    Args:
        features: ``(N, C, H, W)``.
        foreground: ``(N, 1, H, W)`` in [0, 1].
        limit: above this number of positions, features are averaged over square blocks of background.

    Returns:
        Features ``(N, C, L)``, and floats ``(N, 1, L)`` that are 1 for background and 0 for foreground.
    """
    background = 1 - foreground
    block = math.ceil(math.sqrt(features.shape[2] * features.shape[3] / limit))
    if block > 1:
        weighted = F.avg_pool2d(features * background, block, ceil_mode=True)
        background = F.avg_pool2d(background, block, ceil_mode=True)
        features = weighted / background.clamp_min(1e-6)
    return features.flatten(2), (background.flatten(2) > 0.5).to(features.dtype)
