"""HDNet and HDNet-lite (Chen et al., "Hierarchical Dynamic Image Harmonization", ACM MM 2023)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import QuantPoint
from edge_harmony.models.layers.local_dynamics import LocalDynamics
from edge_harmony.models.layers.mask_dynamics import MaskAwareGlobalDynamics
from edge_harmony.models.layers.rain import RAIN
from edge_harmony.models.layers.unet import STRIDE, check_size, decoder_channels, decoder_layers, encode, encoder_layers

_DIVISOR = 16
"""What the decoder's features are divided by: a power of two, so results in 32 bits stay the same. With a full mask,
nothing normalizes the foreground, and features of the first shipped weights grew to 150,000 on the sample pictures; 16
bits end at 65,504."""

HdnetVariant = Literal["default", "official"]


class HDNet(nn.Module):
    """The paper's U-Net: 8 encoder convolutions to 1/8, LD, 7 decoder deconvolutions with RAIN and MGD.

    Only LD, RAIN and MGD use the mask. As in the public code, activations come before the convolutions, and
    a skip connection carries the *activated* encoder feature (its activation is in place).

    In float, the decoder computes with features divided by 16, which stay within the range of 16 bits for every mask.
    When quantized, its points limit the features and nothing is divided; its convolutions read 8 bits and write floats.
    Instance norms, RAIN, LD and MGD stay float islands, so this network gains less than one designed for quantization
    (``edge.py``).

    Args:
        width: channels of the first layer, n; the others have 2n, 4n and 8n. 32 is HDNet (10.41 M parameters),
            8 is HDNet-lite (0.653 M).
        neighbours: K of the local dynamics.
        variant: ``"official"`` makes every choice of the public code, bit for bit (see the layers); ``"default"`` is
            the paper's network without the code's defects.
    """

    output = "rgb"

    def __init__(self, width: int = 32, *, neighbours: int = 1, variant: HdnetVariant = "default") -> None:
        super().__init__()
        if variant not in ("default", "official"):
            raise ValueError(f"variant must be 'default' or 'official', got {variant!r}")
        official = variant == "official"
        n = width
        self.encoder = encoder_layers(n)
        self.quantize_encoder = nn.ModuleList(QuantPoint() for _ in self.encoder)
        self.local_dynamics = LocalDynamics(8 * n, neighbours, official=official)
        self.decoder = decoder_layers(n)
        self.quantize_decoder = nn.ModuleList(QuantPoint() for _ in self.decoder)
        self.norms = nn.ModuleList(RAIN(o, official=official) for _, o in decoder_channels(n))
        self.mask_dynamics = nn.ModuleList(MaskAwareGlobalDynamics(c, official=official) for c in (8 * n, 4 * n, 2 * n))
        self.quantize_head = QuantPoint()
        self.head = nn.ConvTranspose2d(2 * n, 3, 3, 1, 1)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Predict the harmonized picture.

        Args:
            composite: ``(N, 3, H, W)`` RGB in [0, 1]; H and W multiples of 8.
            mask: ``(N, 1, H, W)`` in [0, 1], 1 in the foreground.

        Returns:
            ``(N, 3, H, W)`` RGB in [0, 1]; meaningful in the foreground only.
        """
        check_size(composite, STRIDE)
        *skips, x = encode(self.encoder, self.quantize_encoder, composite)
        divisor = self._divisor()
        x = self.local_dynamics(x, mask) / divisor
        for k, (deconvolution, norm) in enumerate(zip(self.decoder, self.norms, strict=True)):
            x = norm(deconvolution(self.quantize_decoder[k](F.relu(x))), mask, divisor)
            x = torch.cat([skips.pop() / divisor, x], 1)
            if k >= 4:
                x = self.mask_dynamics[k - 4](x, mask, divisor)
        painted = self.head(self.quantize_head(F.relu(x)))
        if divisor > 1:
            assert self.head.bias is not None
            painted = painted * divisor - self.head.bias.view(1, -1, 1, 1) * (divisor - 1)  # the bias was not divided
        return (torch.tanh(painted) + 1) / 2

    def _divisor(self) -> int:
        """What features are divided by: 1 if a point of the decoder quantizes, for its range is of undivided ones."""
        points = (*self.quantize_decoder, self.quantize_head)
        return _DIVISOR if all(isinstance(point, QuantPoint) for point in points) else 1
