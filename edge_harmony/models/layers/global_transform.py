"""One transform for the whole foreground, predicted from statistics of both regions, so that a network learns faster.

A regression of the object's mean colour on the means and deviations of both regions already helps more than it harms
(decision 0013). A small fully connected network learns it in a few thousand steps, while convolutions take long to
carry statistics of the whole picture to every cell.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import FloatIsland
from edge_harmony.models.layers.masks import region_mean, resize_mask, stride_of


class GlobalTransform(FloatIsland):
    """Coefficients of one transform from a vector of statistics and from features of both regions.

    They start at zero, which is the identity.

    Args:
        channels: C of the feature map.
        context: length of the vector of statistics.
        hidden: width of its two hidden layers.
        outputs: number of coefficients.
    """

    fits_half = True

    def __init__(self, channels: int, context: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(2 * channels + context, hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.expand = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor, mask: Tensor, context: Tensor | None) -> Tensor:
        """Map ``x`` ``(N, C, h, w)``, ``mask`` ``(N, 1, H, W)`` and ``(N, context)`` to ``(N, outputs, 1, 1)``."""
        foreground = resize_mask(mask, x.shape[-2:])
        stride = stride_of(mask, x)
        parts = [region_mean(x, region, stride).flatten(1) for region in (foreground, 1 - foreground)]
        if context is not None:
            parts.append(context)
        vector = F.relu(self.mix(F.relu(self.reduce(torch.cat(parts, 1)))))
        coefficients: Tensor = self.expand(vector)
        return coefficients[:, :, None, None]
