"""RAIN, region-aware adaptive instance normalization (Ling et al., CVPR 2021, eq. 1-4), as HDNet uses it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import FloatIsland
from edge_harmony.models.layers.masks import Region, resize_mask, stride_of

_ROOM = 1024
"""Distances from the mean are divided by this before they are squared, so that squares of distances up to 260,000 fit
in 16 bits. With a full mask, those of the first weights of hdnet-lite reached 110,000."""


class RegionNorm(FloatIsland):
    """Normalize both regions by their own statistics, then give the foreground those of a reference's background.

    Args:
        channels: C of the feature map.
        official: behave as the public HDNet code does: the mask is sampled to the nearest pixel, and a mask
            that leaves one region empty collapses the other. By default the mask is area-averaged, and an
            empty region borrows the statistics of the other one; a region of less than a pixel borrows a part of them.
        eps: added to variances, see :class:`~edge_harmony.models.layers.masks.Region`.
    """

    def __init__(self, channels: int, *, official: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.official = official
        self.eps = eps
        self.foreground_gamma = nn.Parameter(torch.zeros(channels))
        self.foreground_beta = nn.Parameter(torch.zeros(channels))
        self.background_gamma = nn.Parameter(torch.zeros(channels))
        self.background_beta = nn.Parameter(torch.zeros(channels))

    def restyle(self, x: Tensor, mask: Tensor, reference: Tensor, divisor: int = 1) -> Tensor:
        """Normalize ``x``; its foreground takes the style of the background of ``reference``.

        Args:
            x: ``(N, C, H, W)``.
            mask: ``(N, 1, H', W')`` in [0, 1].
            reference: features of the shape of ``x``.
            divisor: a power of two, at most 1,024, by which ``x``, ``reference`` and the result are divided; in 32 bits
                the result is that of the features themselves, divided.

        Returns:
            ``(N, C, H, W)``.
        """
        foreground = resize_mask(mask, x.shape[-2:], nearest=self.official)
        background = 1 - foreground
        stride = stride_of(mask, x)
        region_f, region_b = Region(foreground, stride), Region(background, stride)
        eps, room = self.eps / divisor**2, _ROOM // divisor
        mean_f, std_f = region_f.statistics(x, eps, room)
        mean_b, std_b = region_b.statistics(x, eps, room)
        mean_r, std_r = (mean_b, std_b) if reference is x else region_b.statistics(reference, eps, room)
        if not self.official:
            own = (mean_f, std_f)
            mean_f, std_f = _fill(region_f, own, (mean_b, std_b))
            mean_b, std_b = _fill(region_b, (mean_b, std_b), own)
            mean_r, std_r = _fill(region_b, (mean_r, std_r), own)
        gain_f, gain_b = 1 + _per_channel(self.foreground_gamma), 1 + _per_channel(self.background_gamma)
        beta_f, beta_b = _per_channel(self.foreground_beta / divisor), _per_channel(self.background_beta / divisor)
        # Mask before dividing: a small region's deviation is tiny, and features outside divided by it would be huge.
        restyled = (x - mean_f) * foreground * (std_r / std_f * gain_f) + foreground * (mean_r * gain_f + beta_f)
        normalized = (x - mean_b) * background * (gain_b / divisor / std_b) + background * beta_b
        return restyled + normalized


class RAIN(RegionNorm):
    """Give the foreground the background's feature statistics; normalize the background by its own.

    With masked means ``mu`` and deviations ``s`` of foreground (f) and background (b)::

        foreground: [(x - mu_f) / s_f * s_b + mu_b] (1 + gamma_f) + beta_f
        background:  (x - mu_b) / s_b               (1 + gamma_b) + beta_b
    """

    def forward(self, x: Tensor, mask: Tensor, divisor: int = 1) -> Tensor:
        """Normalize ``x`` under ``mask``; arguments and result as in :meth:`restyle`."""
        return self.restyle(x, mask, x, divisor)


def _fill(region: Region, own: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of a region, filled from the other region where it is absent; its mean has already faded."""
    absence = 1 - region.presence
    return own[0] + absence * other[0], own[1] * region.presence + absence * other[1]


def _per_channel(parameter: Tensor) -> Tensor:
    return parameter.view(1, -1, 1, 1)
