"""Region modulation: scale and shift feature channels by what foreground and background look like.

A cheaper form of RAIN: masked means and deviations go through a small fully connected network instead of being
exchanged directly, so the network learns which statistics to trust. It starts as the identity. After Perez et al.,
"FiLM", AAAI 2018, with masked statistics in place of a condition vector.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import FloatIsland
from edge_harmony.models.layers.masks import paired_statistics, region_mean, resize_mask, stride_of

_EPS = 1e-3


class RegionModulation(FloatIsland):
    """``x (1 + s) + b``, where ``(s, b)`` are computed from the statistics of both regions.

    Args:
        channels: C of the feature map.
        context: length of an appended vector of further statistics, such as raw colours.
        hidden: width of the fully connected network.
        deviations: use deviations too; masked means alone are global average pooling of ``x * mask``, which every
            integer target has.
    """

    fits_half = True

    def __init__(self, channels: int, context: int = 0, hidden: int = 128, *, deviations: bool = True) -> None:
        super().__init__()
        self.deviations = deviations
        self.reduce = nn.Linear((4 if deviations else 2) * channels + context, hidden)
        self.expand = nn.Linear(hidden, 2 * channels)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """Modulate ``x`` ``(N, C, H, W)`` under ``mask`` ``(N, 1, H', W')``, with ``context`` ``(N, context)``."""
        foreground = resize_mask(mask, x.shape[-2:])
        stride = stride_of(mask, x)
        statistics: tuple[Tensor, ...]
        if self.deviations:
            statistics = paired_statistics(x, foreground, _EPS, stride)
        else:
            statistics = tuple(region_mean(x, region, stride) for region in (foreground, 1 - foreground))
        vector = torch.cat(statistics, 1).flatten(1)
        if context is not None:
            vector = torch.cat([vector, context], 1)
        scale, shift = self.expand(F.relu(self.reduce(vector)))[:, :, None, None].chunk(2, 1)
        return x * (1 + scale) + shift
