"""Sampling for the region-wise contrastive loss: which regions of a batch are anchors, positives and negatives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edge_harmony.training.losses import region_contrast, region_style
from edge_harmony.training.recipe import ContrastiveConfig

_SMALLEST = 1e-3
"""Share of the picture below which a region has no style."""


def sampled_contrast(features: Callable[[str], list[Tensor]], mask: Tensor, config: ContrastiveConfig) -> Tensor:
    """The contrastive loss of a batch.

    Args:
        features: function that returns the style features of ``"output"``, ``"composite"`` or ``"real"``; called at
            most once for each.
        mask: ``(N, 1, H, W)`` in [0, 1]. Samples without a foreground or without a background are left out.
        config: which regions are anchors, positives and negatives.

    Returns:
        A scalar.
    """
    maps: dict[str, list[Tensor]] = {}
    share = mask.mean((1, 2, 3))
    usable = (share > _SMALLEST) & (share < 1 - _SMALLEST)

    def style(region: str) -> Tensor:
        picture, part = region.split("_")
        if picture not in maps:
            maps[picture] = features(picture)
        return region_style(maps[picture], mask if part == "foreground" else 1 - mask)[usable]

    anchor, positive = style(config.anchor), style(config.positive)
    count = len(anchor)
    negatives = []
    for kind in config.negatives:
        if kind.startswith("other_"):
            of_all = style("real_" + kind.removeprefix("other_").removesuffix("s"))
            steps = torch.arange(1, max(count, 1), device=mask.device)
            others = (torch.arange(count, device=mask.device)[:, None] + steps) % max(count, 1)
            negatives.append(of_all[others])
        else:
            negatives.append(style(kind)[:, None])
    return region_contrast(anchor, positive, torch.cat(negatives, 1), config.temperature)
