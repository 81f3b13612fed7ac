"""RCL's network (Liang & Pun, "Image Harmonization with Region-wise Contrastive Learning", arXiv 2205.14058)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_harmony.models.layers.conv_unit import QuantPoint
from edge_harmony.models.layers.style_fusion import StyleFusion
from edge_harmony.models.layers.unet import STRIDE, check_size, decoder_channels, decoder_layers, encode, encoder_layers


class RCLNet(nn.Module):
    """A U-Net whose decoder takes its style, at every scale, from the encoder's background: external style fusion.

    The paper's abstract names the fusion and the loss and leaves the U-Net open. This U-Net is HDNet's (8 convolutions
    to 1/8, 7 deconvolutions back), so that the two methods can be compared layer by layer: style fusion replaces RAIN,
    and there is neither LD nor MGD. The other half of the method, the region-wise contrastive loss, belongs to
    training: ``[contrastive]`` in a recipe, see :func:`edge_harmony.training.losses.region_contrast`.

    Args:
        width: channels of the first layer, n; the others have 2n, 4n and 8n.
    """

    output = "rgb"

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.encoder = encoder_layers(width)
        self.quantize_encoder = nn.ModuleList(QuantPoint() for _ in self.encoder)
        self.decoder = decoder_layers(width)
        self.quantize_decoder = nn.ModuleList(QuantPoint() for _ in self.decoder)
        self.fusion = nn.ModuleList(StyleFusion(o) for _, o in decoder_channels(width))
        self.quantize_head = QuantPoint()
        self.head = nn.ConvTranspose2d(2 * width, 3, 3, 1, 1)

    def style_features(self, picture: Tensor, mask: Tensor) -> list[Tensor]:
        """The encoder's features of a picture ``(N, 3, H, W)`` in [0, 1], finest first; the mask has no influence."""
        del mask
        return encode(self.encoder, self.quantize_encoder, picture)

    def forward(self, composite: Tensor, mask: Tensor) -> Tensor:
        """Predict the harmonized picture.

        Args:
            composite: ``(N, 3, H, W)`` RGB in [0, 1]; H and W multiples of 8.
            mask: ``(N, 1, H, W)`` in [0, 1], 1 in the foreground.

        Returns:
            ``(N, 3, H, W)`` RGB in [0, 1]; meaningful in the foreground only.
        """
        check_size(composite, STRIDE)
        *skips, x = self.style_features(composite, mask)
        for deconvolution, point, fusion in zip(self.decoder, self.quantize_decoder, self.fusion, strict=True):
            skip = skips.pop()
            x = torch.cat([skip, fusion(deconvolution(point(F.relu(x))), mask, skip)], 1)
        return (torch.tanh(self.head(self.quantize_head(F.relu(x)))) + 1) / 2
