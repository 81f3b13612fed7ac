"""The network of FMM (Hao et al., "Image Harmonization with Attention-based Deep Feature Modulation", BMVC 2020)."""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import ConvUnit, QuantPoint
from edge_harmony.models.layers.feature_modulation import FeatureModulation
from edge_harmony.models.layers.unet import STRIDE, check_size

FmmMode = Literal["full", "self-attention", "no-attention", "baseline"]
FmmVariant = Literal["default", "published"]


class FMMNet(nn.Module):
    """A convolutional encoder to 1/8, feature modulation, and three decoder blocks with bilinear upsampling.

    Composite and mask together are the input; the output is the composite plus a residual in (-1, 1) (tanh, on colours
    in [-1, 1]). The paper gives the encoder's widths (64 to 512, convolution + batch norm), the decoder's three
    bilinear blocks and 11.6 M parameters. It leaves open the number of convolutions per scale and the skips. Here there
    are 2, 2, 3, 3 convolutions and one concatenated skip per scale, taken before the modulation: 11.06 M.

    Args:
        width: channels of the first scale, n; the others have 2n, 4n and 8n. The paper has 64.
        mode: ``"full"``, or one of the paper's ablations: ``"baseline"`` has no modulation, for the others see
            :class:`FeatureModulation`.
        variant: ``"published"`` masks as the paper's formulas read, see :class:`FeatureModulation`.
    """

    output = "rgb"

    def __init__(self, width: int = 64, *, mode: FmmMode = "full", variant: FmmVariant = "default") -> None:
        super().__init__()
        if variant not in ("default", "published"):
            raise ValueError(f"variant must be 'default' or 'published', got {variant!r}")
        n = width
        depths = ((4, n, 2), (n, 2 * n, 2), (2 * n, 4 * n, 3), (4 * n, 8 * n, 3))
        self.quantize_input = QuantPoint()
        self.encoder = nn.ModuleList(
            nn.Sequential(
                *(ConvUnit(i if k == 0 else o, o, stride=2 if k == 0 and i != 4 else 1) for k in range(depth))
            )
            for i, o, depth in depths
        )
        self.modulate = (
            nn.Identity() if mode == "baseline" else FeatureModulation(8 * n, mode, published=variant == "published")
        )
        self.quantize_modulated = QuantPoint()
        self.reduce = nn.ModuleList(ConvUnit(2 * o, o) for o in (4 * n, 2 * n, n))
        self.quantize_joined = nn.ModuleList(QuantPoint() for _ in range(3))
        self.merge = nn.ModuleList(ConvUnit(2 * o, o) for o in (4 * n, 2 * n, n))
        self.head = nn.Conv2d(n, 3, 3, 1, 1)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Predict the harmonized picture.

        Args:
            composite: ``(N, 3, H, W)`` RGB in [0, 1]; H and W multiples of 8.
            mask: ``(N, 1, H, W)`` in [0, 1], 1 in the foreground.

        Returns:
            ``(N, 3, H, W)`` RGB; slightly outside [0, 1] in places, and meaningful in the foreground only.
        """
        check_size(composite, STRIDE)
        x = self.quantize_input(torch.cat([composite * 2 - 1, mask], 1))
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        skips.pop()
        if isinstance(self.modulate, FeatureModulation):
            x = self.quantize_modulated(self.modulate(x, mask))
        for k in range(3):
            skip, reduce = skips.pop(), cast(ConvUnit, self.reduce[k])
            x = F.interpolate(reduce(x), size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = self.merge[k](self.quantize_joined[k](torch.cat([reduce.point(x), skip], 1)))
        return composite + torch.tanh(self.head(x)) / 2
