"""Coarse colour transforms, which networks of the edge family predict, and their application."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

AFFINE_CHANNELS = 12
"""Row-major 3x3 residual matrix, then the offset of each channel."""

GAIN_CHANNELS = 6
"""Residual gain of each channel, then their offsets."""


def uncentre(coefficients: Tensor, centre: Tensor) -> Tensor:
    """Rewrite ``A (x - c) + t`` as ``A x + (t - A c)``, so that the apply step needs no statistics of the picture.

    Args:
        coefficients: ``(N, 12, h, w)`` affine or ``(N, 6, h, w)`` gains and offsets; offsets about ``centre``.
        centre: ``(N, 3, 1, 1)``, usually the foreground's mean colour; with centred colours the regression is better
            conditioned.

    Returns:
        The coefficients with offsets about zero.
    """
    if coefficients.shape[1] == GAIN_CHANNELS:
        gain, offset = coefficients.chunk(2, 1)
        return torch.cat([gain, offset - gain * centre], 1)
    rows = [
        coefficients[:, 9 + k : 10 + k] - (coefficients[:, 3 * k : 3 * k + 3] * centre).sum(1, keepdim=True)
        for k in range(3)
    ]
    return torch.cat([coefficients[:, :9], *rows], 1)


def apply_coarse(composite: Tensor, mask: Tensor, output: Tensor, kind: str) -> Tensor:
    """Apply a network's output to the composite, foreground only; the differentiable version of the apply step.

    Args:
        composite: ``(N, 3, H, W)`` in [0, 1].
        mask: ``(N, 1, H, W)`` in [0, 1].
        output: ``(N, 12, h, w)`` for ``"affine"``, ``(N, 6, h, w)`` for ``"gain"``, ``(N, 3, h, w)`` for
            ``"difference"``, ``(N, 3, H', W')`` for ``"rgb"``; upsampled bilinearly with half-pixel centres.
        kind: the network's ``output``.

    Returns:
        ``(N, 3, H, W)``, equal to the composite where the mask is 0; not clipped.
    """
    if kind == "rgb":
        if output.shape[-2:] != composite.shape[-2:]:
            output = F.interpolate(output, size=composite.shape[-2:], mode="area")
        return composite + mask * (output - composite)
    field = F.interpolate(output, size=composite.shape[-2:], mode="bilinear", align_corners=False)
    if kind == "difference":
        return composite + mask * field
    if kind == "gain":
        gain, offset = field.chunk(2, 1)
        return composite + mask * (gain * composite + offset)
    if kind != "affine":
        raise ValueError(f"kind must be 'rgb', 'difference', 'gain' or 'affine', got {kind!r}")
    matrix = torch.unflatten(field[:, :9], 1, (3, 3))
    return composite + mask * ((matrix * composite[:, None]).sum(2) + field[:, 9:])


def slice_bilateral(grid: Tensor, guide: Tensor) -> Tensor:
    """Read an affine grid at the lightness of every pixel (Gharbi et al., "HDRnet", SIGGRAPH 2017, eq. 2-3).

    Args:
        grid: ``(N, 12 B, h, w)``: B levels of lightness, the level changing slowest.
        guide: ``(N, 3, H, W)`` RGB in [0, 1]; its lightness is the mean of the channels.

    Returns:
        ``(N, 12, H, W)``: linear between levels, bilinear between cells.
    """
    bins = grid.shape[1] // AFFINE_CHANNELS
    position = guide.mean(1, keepdim=True) * (bins - 1)
    result = guide.new_zeros(guide.shape[0], AFFINE_CHANNELS, *guide.shape[-2:])
    for level, part in enumerate(grid.chunk(bins, 1)):
        near = (1 - (position - level).abs()).clamp_min(0)
        result = result + near * F.interpolate(part, size=guide.shape[-2:], mode="bilinear", align_corners=False)
    return result
