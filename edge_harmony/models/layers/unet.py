"""The U-Net of HDNet and RCL: 8 convolutions to 1/8, 7 deconvolutions back, laid out as in the public HDNet code."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 8
"""Height and width of the input must be multiples of this."""


def encoder_layers(width: int) -> nn.ModuleList:
    """Convolutions 3x3, and 4x4 with stride 2, without bias; channels n, 2n, 4n, 8n and 8n four times."""
    n = width
    channels = [(3, n), (n, 2 * n), (2 * n, 4 * n), (4 * n, 8 * n)] + [(8 * n, 8 * n)] * 4
    return nn.ModuleList(
        nn.Conv2d(i, o, 4, 2, 1, bias=False) if k in (1, 3, 5) else nn.Conv2d(i, o, 3, 1, 1, bias=False)
        for k, (i, o) in enumerate(channels)
    )


def decoder_channels(width: int) -> list[tuple[int, int]]:
    """Input and output channels of each decoder layer; all inputs but the first include the encoder's feature."""
    n = width
    return [(8 * n, 8 * n)] + [(16 * n, 8 * n)] * 3 + [(16 * n, 4 * n), (8 * n, 2 * n), (4 * n, n)]


def decoder_layers(width: int) -> nn.ModuleList:
    """Transposed convolutions that mirror the encoder: 3x3, and 4x4 with stride 2, without bias."""
    return nn.ModuleList(
        nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False)
        if k in (2, 4, 6)
        else nn.ConvTranspose2d(i, o, 3, 1, 1, bias=False)
        for k, (i, o) in enumerate(decoder_channels(width))
    )


def encode(layers: nn.ModuleList, points: nn.ModuleList, picture: Tensor) -> list[Tensor]:
    """Run the encoder on ``(N, 3, H, W)`` in [0, 1]; ``points`` quantize the input of each layer.

    Returns:
        The eight features, finest first. As in the public code, activations come before the convolutions, and the
        skips carry *activated* features: all but the last are activated, and the last is not normalized.
    """
    x = layers[0](points[0](picture * 2 - 1))
    features = []
    for k in range(1, len(layers)):
        x = points[k](F.leaky_relu(x, 0.2))
        features.append(x)
        x = layers[k](x)
        if k < len(layers) - 1:
            x = F.instance_norm(x)
    return [*features, x]


def check_size(picture: Tensor, stride: int) -> None:
    """Raise ValueError unless height and width of ``(N, C, H, W)`` are multiples of ``stride``."""
    if picture.shape[-2] % stride or picture.shape[-1] % stride:
        raise ValueError(f"height and width must be multiples of {stride}, got {tuple(picture.shape[-2:])}")
