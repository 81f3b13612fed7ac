"""RAIN, region-aware adaptive instance normalization (Ling et al., CVPR 2021, eq. 1-4), as HDNet uses it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import FloatIsland
from edge_harmony.models.layers.masks import paired_statistics, region_statistics, resize_mask


class RegionNorm(FloatIsland):
    """Normalize both regions by their own statistics and give the foreground those of a reference's background.

    Args:
        channels: C of the feature map.
        official: behave as the public HDNet code does: the mask is sampled to the nearest pixel, and a mask
            that leaves one region empty collapses the other. By default the mask is area-averaged and an
            empty region borrows the statistics of the other one.
        eps: see :func:`region_statistics`.
    """

    def __init__(self, channels: int, *, official: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.official = official
        self.eps = eps
        self.foreground_gamma = nn.Parameter(torch.zeros(channels))
        self.foreground_beta = nn.Parameter(torch.zeros(channels))
        self.background_gamma = nn.Parameter(torch.zeros(channels))
        self.background_beta = nn.Parameter(torch.zeros(channels))

    def restyle(self, x: Tensor, mask: Tensor, reference: Tensor) -> Tensor:
        """Normalize ``x`` ``(N, C, H, W)``; its foreground takes the background style of ``reference``, like ``x``."""
        foreground = resize_mask(mask, x.shape[-2:], nearest=self.official)
        background = 1 - foreground
        mean_f, std_f, mean_b, std_b = paired_statistics(x, foreground, self.eps)
        mean_r, std_r = (mean_b, std_b) if reference is x else region_statistics(reference, background, self.eps)
        if not self.official:
            has_f = foreground.sum((2, 3), keepdim=True) > 1e-3
            has_b = background.sum((2, 3), keepdim=True) > 1e-3
            mean_f, std_f, mean_b, std_b, mean_r, std_r = (
                torch.where(has_f, mean_f, mean_b),
                torch.where(has_f, std_f, std_b),
                torch.where(has_b, mean_b, mean_f),
                torch.where(has_b, std_b, std_f),
                torch.where(has_b, mean_r, mean_f),
                torch.where(has_b, std_r, std_f),
            )
        restyled = (x - mean_f) / std_f * std_r + mean_r
        restyled = restyled * (1 + _per_channel(self.foreground_gamma)) + _per_channel(self.foreground_beta)
        normalized = (x - mean_b) / std_b
        normalized = normalized * (1 + _per_channel(self.background_gamma)) + _per_channel(self.background_beta)
        return restyled * foreground + normalized * background


class RAIN(RegionNorm):
    """Give the foreground the background's feature statistics; normalize the background by its own.

    With masked means ``mu`` and deviations ``s`` of foreground (f) and background (b)::

        foreground: [(x - mu_f) / s_f * s_b + mu_b] (1 + gamma_f) + beta_f
        background:  (x - mu_b) / s_b               (1 + gamma_b) + beta_b
    """

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalize ``x`` ``(N, C, H, W)`` under ``mask`` ``(N, 1, H', W')`` in [0, 1]; same shape as ``x``."""
        return self.restyle(x, mask, x)


def _per_channel(parameter: Tensor) -> Tensor:
    return parameter.view(1, -1, 1, 1)
