"""LD, local dynamics (Chen et al., HDNet, ACM MM 2023, section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import FloatIsland
from edge_harmony.models.layers.masks import pooled_background, resize_mask

_EXCLUDED = -1e4
"""Similarity of keys that must not be chosen; finite, and within the range of half precision."""


class LocalDynamics(FloatIsland):
    """Replace every foreground feature by a mixture of itself and its K most similar background features.

    For a foreground feature ``q`` with its K nearest background keys ``k_j`` by cosine similarity ``s_j``::

        out = W [sum_j softmax_j(s)_j k_j ; q] + b

    Background features pass unchanged; a soft mask mixes the two.

    Args:
        channels: C of the feature map.
        neighbours: K. The softmax runs over these K; with K = 1 its weight is 1.
        official: the arithmetic of the public code, which differs from the paper: the similarity is a plain
            dot product, foreground keys are zeroed instead of excluded, and for K = 1 the softmax runs over all
            positions of the image. The code defines K = 1 only (for larger K, its reshape scrambles the order).
    """

    max_keys = 4096
    """Above this many positions the keys are averaged over square blocks of background, and queries are taken in
    portions, so that memory grows linearly with the image."""

    def __init__(self, channels: int, neighbours: int = 1, *, official: bool = False) -> None:
        super().__init__()
        if neighbours < 1:
            raise ValueError(f"neighbours must be at least 1, got {neighbours}")
        if official and neighbours != 1:
            raise ValueError(f"the official variant is defined for neighbours=1 only, got {neighbours}")
        self.neighbours = neighbours
        self.official = official
        self.linear = nn.Conv1d(2 * channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``x`` ``(N, C, H, W)`` under ``mask`` ``(N, 1, H', W')`` in [0, 1]; same shape as ``x``."""
        foreground = resize_mask(mask, x.shape[-2:], nearest=self.official)
        if self.official:
            return self._official(x, foreground)
        keys, is_background = pooled_background(x, foreground, self.max_keys)
        queries = x.flatten(2)
        size = min(self.max_keys, queries.shape[2])
        portions = [self._attend(part, keys, is_background) for part in torch.split(queries, size, dim=2)]
        fused = portions[0] if len(portions) == 1 else torch.cat(portions, 2)
        mixed: Tensor = self.linear(torch.cat([fused, queries], 1)).view_as(x)
        weight = foreground * is_background.amax((1, 2)).view(-1, 1, 1, 1)  # without a background, pass unchanged
        return mixed * weight + x * (1 - weight)

    def _attend(self, queries: Tensor, keys: Tensor, is_background: Tensor) -> Tensor:
        similarity = F.normalize(queries, dim=1).transpose(1, 2) @ F.normalize(keys, dim=1)  # (N, Q, L)
        similarity = similarity * is_background + _EXCLUDED * (1 - is_background)
        count = min(self.neighbours, keys.shape[2])
        nearest, index = similarity.topk(count, dim=2)  # (N, Q, K)
        weights = nearest.softmax(2)
        batch, channels, _ = keys.shape
        chosen = keys.gather(2, index.reshape(batch, 1, -1).expand(-1, channels, -1))
        return (chosen.view(batch, channels, -1, count) * weights.unsqueeze(1)).sum(3)

    def _official(self, x: Tensor, foreground: Tensor) -> Tensor:
        queries = (x * foreground).flatten(2)
        keys = (x * (1 - foreground)).flatten(2)
        nearest, index = (queries.transpose(1, 2) @ keys).max(2, keepdim=True)  # (N, L, 1)
        weights = nearest.softmax(1).transpose(1, 2)
        chosen = keys.gather(2, index.transpose(1, 2).expand(-1, keys.shape[1], -1))
        mixed: Tensor = self.linear(torch.cat([chosen * weights, queries], 1)).view_as(x)
        return mixed * foreground + x * (1 - foreground)
