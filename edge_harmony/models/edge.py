"""The edge family: edge-n, edge-s and edge-m, compact networks that predict a colour transform, not a picture.

An HDNet-style encoder at 256 x 256 whose chains of convolution + ReLU run as integer kernels, a feature pyramid back
up to 1/8, and 12 coefficients per cell: a 3x4 affine colour transform, predicted about the foreground's mean colour.
Whatever applies it does so at the picture's own size, so resolution costs nothing in the network.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.color_transform import AFFINE_CHANNELS, uncentre
from edge_harmony.models.layers.conv_unit import ConvUnit, QuantPoint
from edge_harmony.models.layers.masks import region_statistics
from edge_harmony.models.layers.rain import RAIN
from edge_harmony.models.layers.region_modulation import RegionModulation

STRIDE = 32
"""Height and width of the input must be multiples of this."""

_COLOUR_STATISTICS = 12
_RELATIVE_LIMIT = 2.0


class EdgeNet(nn.Module):
    """Composite and mask in, a grid of affine colour transforms out.

    The input is seven channels: the composite, the composite relative to the background's mean and deviation (so
    that a change of light over the whole picture changes little), and the mask. Masked statistics of features and of
    raw colours steer the decoder through :class:`RegionModulation`, at 1/32, 1/16 and 1/8 only, where float
    arithmetic is cheap.

    Args:
        widths: channels at 1/2, 1/4, 1/8, 1/16 and 1/32.
        hidden: width of the modulation's fully connected layers.
        rain: exchange statistics in the decoder by RAIN, as HDNet does, and modulate at 1/32 only.
    """

    output = "affine"

    def __init__(
        self,
        widths: tuple[int, int, int, int, int] = (32, 32, 56, 96, 128),
        hidden: int = 128,
        *,
        rain: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) != 5:
            raise ValueError(f"widths must name five levels, got {len(widths)}")
        self.quantize_input = QuantPoint()
        encoder: list[nn.Module] = [ConvUnit(7, widths[0], stride=2)]
        encoder += [nn.Sequential(ConvUnit(i, o, stride=2), ConvUnit(o, o)) for i, o in pairwise(widths)]
        self.encoder = nn.ModuleList(encoder)
        self.modulate = RegionModulation(widths[4], _COLOUR_STATISTICS, hidden)
        self.quantize_modulated = QuantPoint()
        self.lateral = nn.ModuleList()
        self.quantize_sum = nn.ModuleList()
        self.merge = nn.ModuleList()
        self.match = nn.ModuleList()
        self.quantize_matched = nn.ModuleList()
        for coarse, fine in ((4, 3), (3, 2)):
            self.lateral.append(ConvUnit(widths[coarse], widths[fine], kernel=1, relu=False))
            self.quantize_sum.append(QuantPoint())
            self.merge.append(ConvUnit(widths[fine], widths[fine]))
            self.match.append(
                RAIN(widths[fine], eps=1e-3) if rain else RegionModulation(widths[fine], _COLOUR_STATISTICS, hidden)
            )
            self.quantize_matched.append(QuantPoint())
        self.head = nn.Conv2d(widths[2], AFFINE_CHANNELS, 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Predict the colour transform.

        Args:
            composite: ``(N, 3, H, W)`` RGB in [0, 1]; H and W multiples of 32.
            mask: ``(N, 1, H, W)`` in [0, 1], 1 in the foreground.

        Returns:
            ``(N, 12, H / 8, W / 8)``: per cell a row-major 3x3 matrix and an offset, as residuals of the identity,
            for colours in [0, 1].
        """
        if composite.shape[-2] % STRIDE or composite.shape[-1] % STRIDE:
            raise ValueError(f"height and width must be multiples of {STRIDE}, got {tuple(composite.shape[-2:])}")
        mean_f, std_f = region_statistics(composite, mask, 1e-4)
        mean_b, std_b = region_statistics(composite, 1 - mask, 1e-4)
        context = torch.cat([mean_f, std_f, mean_b, std_b], 1).flatten(1) * 4 - 1
        relative = ((composite - mean_b) / (2 * std_b + 0.1)).clamp(-_RELATIVE_LIMIT, _RELATIVE_LIMIT)
        x = self.quantize_input(torch.cat([composite * 2 - 1, relative, mask], 1))
        features = []
        for stage in self.encoder:
            x = stage(x)
            features.append(x)
        x = self.quantize_modulated(self.modulate(x, mask, context))
        for k in range(2):
            skip = features[3 - k]
            lateral = cast(ConvUnit, self.lateral[k])
            x = F.interpolate(lateral(x), size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = lateral.point(x)  # the range before upsampling holds after it: one scale, and the resize stays integer
            x = self.merge[k](self.quantize_sum[k](x + skip))
            match = self.match[k]
            x = match(x, mask) if isinstance(match, RAIN) else match(x, mask, context)
            x = self.quantize_matched[k](x)
        return uncentre(self.head(x), mean_f)
