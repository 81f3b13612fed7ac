"""FMM, attention-based deep feature modulation (Hao, Iizuka & Fukui, BMVC 2020)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import FloatIsland
from edge_harmony.models.layers.masks import pooled_background, region_statistics, resize_mask, stride_of

ModulationMode = Literal["full", "self-attention", "no-attention"]

_EXCLUDED = -1e4
_EPS = 1e-3
_REDUCTION = 8
"""Queries and keys have ``C / 8`` channels, after Zhang et al., SAGAN, ICML 2019."""


class FeatureModulation(FloatIsland):
    """Scale the foreground's features to the standard deviation of the background features that attention selects.

    With foreground features ``h_f``, and ``h_b^a`` the attention's mixture of background values for every foreground
    position (queries are foreground, keys and values background), per channel::

        h = h_f + gamma * h_f * sigma(h_b^a) / sigma(h_f)

    Background features pass unchanged; a soft mask mixes the two. ``gamma`` is learned and starts at 0, so that the
    layer starts as the identity.

    Args:
        channels: C of the feature map.
        mode: ``"full"``; or one of the paper's ablations: ``"self-attention"`` adds ``gamma * h_b^a`` itself,
            ``"no-attention"`` uses the deviation of the whole background as ``sigma(h_b^a)``.
        published: keys and values of the foreground are zeroed but still take part in the softmax, and deviations
            are taken over the whole map with zeros in the other region, as the paper's formulas read. By default the
            foreground is excluded from the softmax, and deviations are taken over the region alone.
    """

    max_keys = 4096
    """Above this many positions keys and values are averaged over square blocks of background, and queries are taken in
    portions, so that memory grows linearly with the picture."""

    def __init__(
        self,
        channels: int,
        mode: ModulationMode = "full",
        *,
        published: bool = False,
    ) -> None:
        super().__init__()
        if mode not in ("full", "self-attention", "no-attention"):
            raise ValueError(f"mode must be 'full', 'self-attention' or 'no-attention', got {mode!r}")
        self.mode = mode
        self.published = published
        self.gamma = nn.Parameter(torch.zeros(1))
        if mode != "no-attention":
            inner = max(1, channels // _REDUCTION)
            self.query = nn.Conv1d(channels, inner, 1)
            self.key = nn.Conv1d(channels, inner, 1)
            self.value = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``x`` ``(N, C, H, W)`` under ``mask`` ``(N, 1, H', W')`` in [0, 1]; same shape as ``x``."""
        foreground = resize_mask(mask, x.shape[-2:])
        keys, is_background = pooled_background(x, foreground, self.max_keys)
        if self.mode == "no-attention":
            target = x * (1 - foreground) if self.published else x
            picked_from = 1 - foreground
        else:
            target = self._attend(x, foreground, keys, is_background)
            picked_from = foreground
        if self.mode == "self-attention":
            change = target
        else:
            stride = stride_of(mask, x)
            own = self._deviation(x * foreground, foreground, stride)
            change = x * self._deviation(target, picked_from, stride) / own
        usable = is_background.amax((1, 2)).view(-1, 1, 1, 1)  # without a background there is no change
        return x + foreground * usable * self.gamma * change

    def _deviation(self, x: Tensor, region: Tensor, stride: int) -> Tensor:
        weight = torch.ones_like(region) if self.published else region
        return region_statistics(x, weight, _EPS, stride)[1]

    def _attend(self, x: Tensor, foreground: Tensor, keys: Tensor, is_background: Tensor) -> Tensor:
        """The attention's mixture of background values, ``h_b^a`` ``(N, C, H, W)``."""
        if self.published:
            keys = keys * is_background
        query = self.query((x * foreground if self.published else x).flatten(2))
        key, value = self.key(keys), self.value(keys)
        portions = []
        for part in torch.split(query, min(self.max_keys, query.shape[2]), dim=2):
            similarity = part.transpose(1, 2) @ key  # (N, Q, L)
            if not self.published:
                similarity = similarity * is_background + _EXCLUDED * (1 - is_background)
            portions.append(value @ F.softmax(similarity, 2).transpose(1, 2))
        mixed = portions[0] if len(portions) == 1 else torch.cat(portions, 2)
        return mixed.view_as(x)
