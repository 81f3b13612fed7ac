"""Colour changes of a region, batched in torch, which make a composite's foreground not fit.

Every function takes pictures ``(N, 3, H, W)`` RGB in [0, 1] (sRGB encoded unless its docstring says linear) and returns
an array of that shape, not clipped, for all pixels. :mod:`edge_harmony.training.composites.synthesis` clips it and
keeps the foreground only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Opponent axes of Reinhard et al. (2001) without their logarithm, which is unstable on dark 8-bit pictures:
# ITU-R BT.601 luma and two colour differences.
_TO_OPPONENT = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))
_KNEE = 0.04045  # where the curve's straight part ends: a sum of both parts is faster than a choice
_BINS = 64
_LEVELS = 1024


def to_linear(x: Tensor) -> Tensor:
    """Convert sRGB encoding to linear light (IEC 61966-2-1); negative values count as 0."""
    power = ((x.clamp_min(_KNEE) + 0.055) / 1.055).log_().mul_(2.4).exp_()
    return power.sub_(_KNEE / 12.92).add_(x.clamp(0, _KNEE), alpha=1 / 12.92)


def to_srgb(x: Tensor) -> Tensor:
    """Convert linear light to sRGB encoding (IEC 61966-2-1); negative values count as 0."""
    power = x.clamp_min(_KNEE / 12.92).log_().mul_(1 / 2.4).exp_().mul_(1.055)
    return power.sub_(_KNEE + 0.055).add_(x.clamp(0, _KNEE / 12.92), alpha=12.92)


def mix_channels(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply the channels of pictures ``(N, 3, H, W)`` by a matrix ``(K, 3)``."""
    return (matrix @ x.flatten(2)).view(len(x), len(matrix), *x.shape[2:])


def region_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean ``(N, 3, 1, 1)`` of the pixels that ``mask`` ``(N, 1, H, W)`` selects."""
    return (x * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp_min(1e-3)


def _covariance(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    mean = region_mean(x, mask)
    centred = ((x - mean) * mask.sqrt()).flatten(2)
    total = mask.sum((2, 3)).clamp_min(1e-3)[..., None]
    return mean, centred @ centred.transpose(1, 2) / total


def reinhard_transfer(x: Tensor, mask: Tensor, reference: Tensor, reference_mask: Tensor) -> Tensor:
    """Give the region the mean and deviation of a reference region per opponent axis (Reinhard et al., 2001)."""
    matrix = torch.tensor(_TO_OPPONENT, dtype=x.dtype, device=x.device)
    source = mix_channels(matrix, x)
    target = mix_channels(matrix, reference)
    mean_s, mean_t = region_mean(source, mask), region_mean(target, reference_mask)
    std_s = region_mean((source - mean_s) ** 2, mask).sqrt()
    std_t = region_mean((target - mean_t) ** 2, reference_mask).sqrt()
    gain = (std_t / std_s.clamp_min(1e-2)).clamp_max(4)
    moved = (source - mean_s) * gain + mean_t
    return mix_channels(torch.linalg.inv(matrix), moved)


def covariance_transfer(x: Tensor, mask: Tensor, reference: Tensor, reference_mask: Tensor) -> Tensor:
    """Give the region the mean and RGB covariance of a reference region.

    The linear map is the optimal transport between Gaussians (Pitie & Kokaram, "The linear Monge-Kantorovitch linear
    colour mapping", CVMP 2007): ``T = S^-1/2 (S^1/2 R S^1/2)^1/2 S^-1/2``.
    """
    mean_s, cov_s = _covariance(x, mask)
    mean_t, cov_t = _covariance(reference, reference_mask)
    eye = torch.eye(3, dtype=x.dtype, device=x.device) * 1e-4
    root, inverse_root = _matrix_roots(cov_s + eye)
    middle, _ = _matrix_roots(root @ (cov_t + eye) @ root)
    transport = inverse_root @ middle @ inverse_root
    moved = transport @ (x - mean_s).flatten(2)
    return moved.view_as(x) + mean_t


def _matrix_roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Square root and inverse square root of symmetric positive matrices ``(N, 3, 3)``."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = values.clamp_min(1e-8).sqrt()
    transposed = vectors.transpose(1, 2)
    return (vectors * roots[:, None]) @ transposed, (vectors / roots[:, None]) @ transposed


def histogram_transfer(x: Tensor, mask: Tensor, reference: Tensor, reference_mask: Tensor) -> Tensor:
    """Match the region's histogram to a reference region's, channel by channel (64 bins, interpolated)."""
    source, target = _cumulative(x, mask), _cumulative(reference, reference_mask)
    above = torch.searchsorted(target, source).clamp(1, _BINS - 1)
    low, high = target.gather(2, above - 1), target.gather(2, above)
    share = ((source - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    return apply_curve(x, (above - 1 + share) / (_BINS - 1))


def idt_transfer(x: Tensor, mask: Tensor, reference: Tensor, reference_mask: Tensor, rotations: Tensor) -> Tensor:
    """Give the region the colour distribution of a reference region, by iterated transfer along rotated axes.

    IDT of Pitie et al., "Automated colour grading using colour distribution transfer", CVIU 2007: project on the axes
    of a rotation, match the three histograms, rotate back, again with the next rotation.

    Args:
        x: pictures.
        mask: ``(N, 1, H, W)``.
        reference: pictures.
        reference_mask: like ``mask``.
        rotations: ``(K, 3, 3)`` orthogonal matrices.
    """
    for rotation in rotations:
        source, target = ((mix_channels(rotation, part - 0.5) / 3**0.5 + 0.5) for part in (x, reference))
        matched = histogram_transfer(source, mask, target, reference_mask)
        x = mix_channels(rotation.T, (matched - 0.5) * 3**0.5) + 0.5
    return x


def _cumulative(x: Tensor, mask: Tensor) -> Tensor:
    """Cumulative histogram ``(N, 3, bins)`` of the region, at the centre of each bin."""
    index = (x.clamp(0, 1) * (_BINS - 1)).round().long().flatten(2)
    counts = x.new_zeros(*x.shape[:2], _BINS)
    counts.scatter_add_(2, index, mask.expand_as(x).flatten(2))
    counts = counts / counts.sum(2, keepdim=True).clamp_min(1e-3)
    return (counts.cumsum(2) - counts / 2).contiguous()


def apply_curve(x: Tensor, curve: Tensor) -> Tensor:
    """Map values through piecewise linear curves ``(N, 3, knots)`` over [0, 1], one per channel.

    This uses a table of 1024 levels: it is off by at most half a level of 1024, and several times faster than
    interpolation.
    """
    return look_up(x, F.interpolate(curve, size=_LEVELS, mode="linear", align_corners=True))


def look_up(x: Tensor, table: Tensor) -> Tensor:
    """Map values by the nearest entry of tables ``(N, 3, levels)`` over [0, 1], one per channel."""
    index = (x.clamp(0, 1) * (table.shape[2] - 1) + 0.5).long()
    return table.gather(2, index.flatten(2)).view_as(x)


def levels(like: Tensor) -> Tensor:
    """The input values of a table's entries, as pictures ``(N, 3, 1, 1024)`` for the functions here."""
    ramp = torch.linspace(0, 1, _LEVELS, dtype=like.dtype, device=like.device)
    return ramp.expand(len(like), 3, 1, _LEVELS)


def adjust_light(x: Tensor, exposure: Tensor, white_balance: Tensor, gamma: Tensor) -> Tensor:
    """Exposure (in stops), white balance (log gain per channel) and gamma, in linear light.

    Args:
        x: pictures.
        exposure: ``(N, 1, 1, 1)`` or a field ``(N, 1, H, W)``, in powers of two.
        white_balance: ``(N, 3, 1, 1)`` or a field ``(N, 3, H, W)``, natural logarithm of the gain.
        gamma: ``(N, 1, 1, 1)``, natural logarithm of the exponent.
    """
    light = to_linear(x) * torch.exp(exposure * 0.6931472 + white_balance)
    return to_srgb(light.clamp_min(1e-6) ** torch.exp(gamma))


def adjust_saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance to the pixel's own gray by ``factor`` ``(N, 1, 1, 1)``."""
    gray = mix_channels(torch.tensor(_TO_OPPONENT[:1], dtype=x.dtype, device=x.device), x)
    return torch.lerp(gray, x, factor)


def adjust_contrast(x: Tensor, mask: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance to the region's mean by ``factor`` ``(N, 1, 1, 1)``."""
    mean = region_mean(x, mask)
    return mean + (x - mean) * factor


def smooth_field(noise: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsample coarse noise ``(N, C, h, w)`` smoothly to ``size``: light that varies over the object."""
    return F.interpolate(noise, size=size, mode="bicubic", align_corners=True)
