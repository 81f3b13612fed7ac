"""HDNet and HDNet-lite (Chen et al., "Hierarchical Dynamic Image Harmonization", ACM MM 2023)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.local_dynamics import LocalDynamics
from edge_harmony.models.layers.mask_dynamics import MaskAwareGlobalDynamics
from edge_harmony.models.layers.rain import RAIN

Variant = Literal["default", "official"]

STRIDE = 8
"""Height and width of the input must be multiples of this."""


class HDNet(nn.Module):
    """The paper's U-Net: 8 encoder convolutions to 1/8, LD, 7 decoder deconvolutions with RAIN and MGD.

    The mask enters through LD, RAIN and MGD only. As in the public code, activations come before the
    convolutions, and a skip connection carries the *activated* encoder feature (its activation is in place).

    Args:
        width: channels of the first layer, n; the others have 2n, 4n and 8n. 32 is HDNet (10.41 M parameters),
            8 is HDNet-lite (0.653 M).
        neighbours: K of the local dynamics.
        variant: ``"official"`` reproduces the public code bit for bit in its choices (see the layers);
            ``"default"`` is the paper with its defects fixed.
    """

    output = "rgb"

    def __init__(self, width: int = 32, *, neighbours: int = 1, variant: Variant = "default") -> None:
        super().__init__()
        if variant not in ("default", "official"):
            raise ValueError(f"variant must be 'default' or 'official', got {variant!r}")
        official = variant == "official"
        n = width
        encoder = [(3, n), (n, 2 * n), (2 * n, 4 * n), (4 * n, 8 * n)] + [(8 * n, 8 * n)] * 4
        self.encoder = nn.ModuleList(
            nn.Conv2d(i, o, 4, 2, 1, bias=False) if k in (1, 3, 5) else nn.Conv2d(i, o, 3, 1, 1, bias=False)
            for k, (i, o) in enumerate(encoder)
        )
        self.local_dynamics = LocalDynamics(8 * n, neighbours, official=official)
        decoder = [(8 * n, 8 * n)] + [(16 * n, 8 * n)] * 3 + [(16 * n, 4 * n), (8 * n, 2 * n), (4 * n, n)]
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False)
            if k in (2, 4, 6)
            else nn.ConvTranspose2d(i, o, 3, 1, 1, bias=False)
            for k, (i, o) in enumerate(decoder)
        )
        self.norms = nn.ModuleList(RAIN(o, official=official) for _, o in decoder)
        self.mask_dynamics = nn.ModuleList(MaskAwareGlobalDynamics(c, official=official) for c in (8 * n, 4 * n, 2 * n))
        self.head = nn.ConvTranspose2d(2 * n, 3, 3, 1, 1)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Predict the harmonized picture.

        Args:
            composite: ``(N, 3, H, W)`` RGB in [0, 1]; H and W multiples of 8.
            mask: ``(N, 1, H, W)`` in [0, 1], 1 in the foreground.

        Returns:
            ``(N, 3, H, W)`` RGB in [0, 1]; meaningful in the foreground only.
        """
        if composite.shape[-2] % STRIDE or composite.shape[-1] % STRIDE:
            raise ValueError(f"height and width must be multiples of {STRIDE}, got {tuple(composite.shape[-2:])}")
        x = self.encoder[0](composite * 2 - 1)
        skips = []
        for k, convolution in enumerate(self.encoder[1:], start=1):
            x = F.leaky_relu(x, 0.2)
            skips.append(x)
            x = convolution(x)
            if k < len(self.encoder) - 1:
                x = F.instance_norm(x)
        x = self.local_dynamics(x, mask)
        for k, (deconvolution, norm) in enumerate(zip(self.decoder, self.norms, strict=True)):
            x = norm(deconvolution(F.relu(x)), mask)
            x = torch.cat([skips.pop(), x], 1)
            if k >= 4:
                x = self.mask_dynamics[k - 4](x, mask)
        return (torch.tanh(self.head(F.relu(x))) + 1) / 2
