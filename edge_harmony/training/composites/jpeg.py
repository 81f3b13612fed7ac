"""The loss of JPEG without a file: 8x8 DCT, quantization and back, batched in torch on any device."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_harmony.training.composites.recolour import mix_channels

# ITU-T T.81 (1992), Annex K, tables K.1 and K.2.
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *([99] * 32),
)  # fmt: skip
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def jpeg_noise(x: Tensor, quality: Tensor) -> Tensor:
    """The pictures after JPEG compression of the given quality (4:4:4, libjpeg's scaling of the tables).

    Args:
        x: ``(N, 3, H, W)`` RGB in [0, 1].
        quality: ``(N,)`` from 1 to 100.

    Returns:
        ``(N, 3, H, W)`` in [0, 1].
    """
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
    matrix = torch.tensor(_TO_YCC, dtype=x.dtype, device=x.device)
    middle = torch.tensor([128.0, 0.0, 0.0], dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    planes = mix_channels(matrix * 255, padded).sub_(middle)
    shape, basis = planes.shape, _dct_basis(x)
    stripes = (len(x), 3, shape[2] // 8, 8, shape[3])  # of 8 rows
    steps = _quantization_steps(quality.to(x)).view(-1, 3, 1, 8, 1, 8)
    coefficients = (basis @ planes.view(stripes)).view(*stripes[:4], -1, 8) @ basis.T
    coefficients = coefficients.div_(steps).round_().mul_(steps)
    planes = (basis.T @ (coefficients @ basis).view(stripes)).view(shape).add_(middle)
    rgb = mix_channels(torch.linalg.inv(matrix), planes).round_().div_(255)
    return rgb[..., :height, :width].clamp(0, 1)


def _dct_basis(like: Tensor) -> Tensor:
    """Orthonormal DCT-II matrix, ``(8, 8)``."""
    k = torch.arange(8, dtype=like.dtype, device=like.device)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * (math.pi / 16)) * 0.5
    basis[0] *= math.sqrt(0.5)
    return basis


def _quantization_steps(quality: Tensor) -> Tensor:
    """Quantization steps ``(N, 3, 64)``, scaled from the tables of the standard as in libjpeg."""
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1)
    tables = torch.tensor([_LUMA, _CHROMA, _CHROMA], dtype=quality.dtype, device=quality.device)
    return ((tables * scale + 50) / 100).floor().clamp(1, 255)
