"""Training losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_harmony.models.layers.masks import region_statistics, resize_mask

_LEVEL = 1 / 255
_KNEE = (8 / 255) ** 2


def foreground_mse(prediction: Tensor, real: Tensor, mask: Tensor, floor: float) -> Tensor:
    """Foreground-normalised MSE: ``sum(err^2) / (C max(sum M, floor))``, mean over the batch.

    Sofiiuk et al., "Foreground-aware Semantic Representations for Image Harmonization", WACV 2021, eq. 3; HDNet
    uses it with a floor of 100 pixels at 256 x 256.

    Args:
        prediction: ``(N, 3, H, W)``, already blended with the composite outside the mask.
        real: ``(N, 3, H, W)``.
        mask: ``(N, 1, H, W)`` in [0, 1].
        floor: smallest divisor, as a share of the picture.

    Returns:
        A scalar.
    """
    return _foreground_errors(prediction, real, mask, floor).mean()


def foreground_rmse(prediction: Tensor, real: Tensor, mask: Tensor, floor: float) -> Tensor:
    """The root of each sample's foreground-normalised MSE, mean over the batch; arguments as :func:`foreground_mse`.

    A composite that is far off counts by its error, not by the error's square. This lies between a mean of fMSE and a
    mean of PSNR. Errors below one level of 255 count as squares.
    """
    return torch.sqrt(_foreground_errors(prediction, real, mask, floor) + _LEVEL**2).mean() - _LEVEL


def foreground_log(prediction: Tensor, real: Tensor, mask: Tensor, floor: float) -> Tensor:
    """The logarithm of each sample's foreground-normalised MSE, mean over the batch; arguments as
    :func:`foreground_mse`.

    ``log(1 + e / k)`` with k the square of 8 levels of 255. A decibel has equal weight on every picture, so harm to a
    composite that fits counts as much as help to one that is far off. Errors below 8 levels count as squares.
    """
    return torch.log1p(_foreground_errors(prediction, real, mask, floor) / _KNEE).mean()


def foreground_paleness(prediction: Tensor, real: Tensor, mask: Tensor, floor: float) -> Tensor:
    """By how much the foreground is paler than the truth, mean over its pixels and the batch; arguments as
    :func:`foreground_mse`.

    The best guess under squared error is a mean of plausible colours, and a mean is pale. This counts missing chroma
    only: ``max(0, c(real) - c(prediction))`` with ``c = sqrt((R - G)^2 + ((R + G) / 2 - B)^2)``, in [0, 1] for colours
    in [0, 1]. The axes are those of Hasler & Suesstrunk, "Measuring Colourfulness in Natural Images" (2003).
    """
    missing = F.relu(_chroma(real) - _chroma(prediction)) * mask
    return (missing.sum((1, 2, 3)) / _area(mask, floor)).mean()


def _chroma(picture: Tensor) -> Tensor:
    red, green, blue = picture.unbind(1)
    squares = (red - green).square() + ((red + green) / 2 - blue).square()
    return torch.sqrt(squares + _LEVEL**2)[:, None]  # a root has no slope at 0


def _area(mask: Tensor, floor: float) -> Tensor:
    pixels = mask.shape[2] * mask.shape[3]
    return mask.sum((1, 2, 3)).clamp_min(max(floor * pixels, 1.0))


def _foreground_errors(prediction: Tensor, real: Tensor, mask: Tensor, floor: float) -> Tensor:
    """The error of each sample, ``(N,)``."""
    return (prediction - real).square().sum((1, 2, 3)) / (prediction.shape[1] * _area(mask, floor))


def region_contrast(anchor: Tensor, positive: Tensor, negatives: Tensor, temperature: float = 0.07) -> Tensor:
    """Region-wise contrastive loss: InfoNCE between the styles of regions, mean over the anchors.

    Liang & Pun, "Image Harmonization with Region-wise Contrastive Learning" (arXiv 2205.14058), maximize the mutual
    information between foreground and background style. Their abstract leaves the sampling open. Our choice, and the
    default of ``[contrastive]`` in a recipe: the anchor is the foreground of the network's output, the positive is the
    background of the real picture, negatives are the foreground of the composite and both regions of the other
    pictures of the batch. With ``q, p, n_k`` of length 1 and the temperature of van den Oord et al. and MoCo (0.07)::

        -log [ exp(q p / tau) / (exp(q p / tau) + sum_k exp(q n_k / tau)) ]

    Args:
        anchor: ``(N, D)`` style vectors, see :func:`region_style`.
        positive: ``(N, D)``.
        negatives: ``(N, K, D)``.
        temperature: tau, above 0.

    Returns:
        A scalar; 0 if there are no anchors.
    """
    if not len(anchor):
        return anchor.sum()
    towards = (anchor * positive).sum(1, keepdim=True)
    away = (negatives @ anchor[:, :, None])[..., 0]
    logits = torch.cat([towards, away], 1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(anchor), dtype=torch.long, device=anchor.device))


def region_style(features: Sequence[Tensor], mask: Tensor) -> Tensor:
    """The style of a region: masked mean and deviation of every channel of every feature map.

    Args:
        features: maps ``(N, C, h, w)`` of any sizes.
        mask: ``(N, 1, H, W)`` in [0, 1], 1 in the region.

    Returns:
        ``(N, D)`` of length 1; every map has equal weight.
    """
    styles = []
    for part in features:
        mean, deviation = region_statistics(part.float(), resize_mask(mask, part.shape[-2:]))
        styles.append(F.normalize(torch.cat([mean, deviation], 1).flatten(1), dim=1))
    return torch.cat(styles, 1) / len(styles) ** 0.5


def colour_pyramid(picture: Tensor) -> list[Tensor]:
    """A picture ``(N, 3, H, W)`` at full, half and quarter size: style features that need no network."""
    return [picture, F.avg_pool2d(picture, 2), F.avg_pool2d(picture, 4)]
