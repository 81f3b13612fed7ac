"""Placement of objects in their scene, in batches: with a rim of their own photograph, or without, as users paste them.

Masks drawn by hand leave a rim of the object outside their edge. A network that sees such rims learns to read the true
colours off them, and fails where there is none (Larchenko et al., "MKL-Harmonizer", AAAI 2026, call it exposure bias).
Sealed samples have no rim: the object is shrunk, and a band around it is filled from the background. The object may
then also be moved within its photograph, or pasted into another photograph with similar light.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_harmony.training.composites.dice import Dice
from edge_harmony.training.composites.synthesis_config import SynthesisConfig

_LEAST_OBJECT = 4e-3
_MOST_OBJECT = 0.85
_NEAR_LIGHT = 0.35
_NOISE = 0.02


def place(
    real: Tensor, changed: Tensor, mask: Tensor, config: SynthesisConfig, dice: Dice
) -> tuple[Tensor, Tensor, Tensor]:
    """Paste objects, sealed or unchanged.

    Args:
        real: ``(N, 3, S, S)`` in [0, 1].
        changed: these pictures with other colours.
        mask: ``(N, 1, S, S)``, 0 or 1.
        config: probabilities of the placements.
        dice: source of randomness.

    Returns:
        Composite, real picture and exact matte ``(N, 1, S, S)`` in [0, 1]. Composite and real picture are equal where
        the matte is 0.
    """
    count, side = len(real), real.shape[-1]
    composite = mix(real, changed, mask)
    sealed = dice.uniform(0, 1, count) < config.sealed
    inside, outside = (max(1, round(float(dice.uniform(*config.rim, 1)) * side)) for _ in range(2))
    matte, surroundings = erode(mask, inside), dilate(mask, outside)
    fits = (matte.mean((1, 2, 3)) > _LEAST_OBJECT) & (surroundings.mean((1, 2, 3)) < _MOST_OBJECT)
    chosen = (sealed & fits).nonzero().flatten()
    if not len(chosen):
        return composite, real, mask
    known = 1 - surroundings[chosen]
    plate = fill(real[chosen], known, dice)
    layer = torch.cat([real[chosen], changed[chosen], _soften(matte[chosen], config, dice)], 1)
    way = dice.uniform(0, 1, len(chosen))
    elsewhere = way < config.elsewhere
    leaves = (way < config.elsewhere + config.moved).nonzero().flatten()
    if len(leaves):
        shifted = shift(layer[leaves], dice)
        visible = shifted[:, 6:].mean((1, 2, 3)) > _LEAST_OBJECT
        layer[leaves[visible]] = shifted[visible]
    if config.elsewhere and len(chosen) > 1:
        partner, near = like_light(real[chosen], known)
        there = elsewhere & near
        plate[there] = real[chosen][partner[there]]
    composite, real, mask = composite.clone(), real.clone(), mask.clone()
    mask[chosen] = layer[:, 6:]
    for target, part in ((composite, layer[:, 3:6]), (real, layer[:, :3])):
        target[chosen] = mix(plate, part, layer[:, 6:])
    return composite, real, mask


def mix(background: Tensor, foreground: Tensor, weight: Tensor) -> Tensor:
    """Blend pictures by a matte ``(N, 1, H, W)``; exact where it is 0 or 1, and faster than ``torch.lerp``."""
    return background * (1 - weight) + foreground * weight


def erode(mask: Tensor, radius: int) -> Tensor:
    """Shrink masks ``(N, 1, H, W)`` by ``radius`` pixels; the picture's edge does not count as background."""
    return 1 - dilate(1 - mask, radius)


def dilate(mask: Tensor, radius: int) -> Tensor:
    """Grow masks ``(N, 1, H, W)`` by ``radius`` pixels."""
    rows = F.max_pool2d(mask, (2 * radius + 1, 1), 1, (radius, 0))
    return F.max_pool2d(rows, (1, 2 * radius + 1), 1, (0, radius))


def fill(picture: Tensor, known: Tensor, dice: Dice) -> Tensor:
    """Fill unknown pixels from known ones, in one of four ways: smoothly, with noise, blurred, or by patches.

    The evaluation fills in another way, so that a network cannot learn its traces.

    Args:
        picture: ``(N, 3, H, W)``.
        known: ``(N, 1, H, W)``, 1 at known pixels.
        dice: source of randomness; it draws one way for the batch.
    """
    filled, way = pull_push(picture, known), dice.integer(0, 3)
    if way == 1:
        filled = filled + dice.normal(_NOISE, *filled.shape)
    elif way == 2:
        filled = F.avg_pool2d(filled, 5, 1, 2, count_include_pad=False)
    elif way == 3:
        height, width = picture.shape[-2:]
        steps = (dice.integer(-height // 4, height // 4), dice.integer(-width // 4, width // 4))
        patches, there = (torch.roll(x, steps, (2, 3)) for x in (picture, known))
        filled = mix(filled, patches, there)
    return mix(filled.clamp(0, 1), picture, known)


def pull_push(picture: Tensor, known: Tensor) -> Tensor:
    """Extend the known pixels smoothly (Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.5.1)."""
    pictures, weights = [picture * known], [known]
    while min(pictures[-1].shape[-2:]) > 1:
        pictures.append(F.avg_pool2d(pictures[-1], 2, ceil_mode=True))
        weights.append(F.avg_pool2d(weights[-1], 2, ceil_mode=True))
    filled = pictures[-1] / weights[-1].clamp_min(1e-6)
    for part, weight in zip(pictures[-2::-1], weights[-2::-1], strict=True):
        coarse = F.interpolate(filled, size=part.shape[-2:], mode="bilinear", align_corners=False)
        filled = mix(coarse, part / weight.clamp_min(1e-6), (weight > 0).to(part.dtype))
    return filled


def shift(layer: Tensor, dice: Dice) -> Tensor:
    """Move every sample by whole pixels, in any direction, by up to a third of the picture; new pixels are zero."""
    count, _, height, width = layer.shape
    steps = (dice.uniform(-1 / 3, 1 / 3, count, 2) * torch.tensor([height, width], device=layer.device)).round()
    rows = torch.arange(height, device=layer.device)[None] - steps[:, :1]
    columns = torch.arange(width, device=layer.device)[None] - steps[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None]
    source = rows.clamp(0, height - 1).long()[:, :, None] * width + columns.clamp(0, width - 1).long()[:, None]
    moved = layer.flatten(2).gather(2, source.flatten(1)[:, None].expand(-1, layer.shape[1], -1)).view_as(layer)
    return moved * inside


def like_light(picture: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """For every sample, find the sample whose background is nearest in mean and deviation of colours.

    Returns:
        Its index ``(N,)``, and whether it is near enough to count as equal light ``(N,)``.
    """
    area = known.mean((2, 3)).clamp_min(1e-3)
    mean = (picture * known).mean((2, 3)) / area
    deviation = (((picture - mean[..., None, None]).square() * known).mean((2, 3)) / area).sqrt()
    features = torch.cat([mean, deviation], 1)
    distance = torch.cdist(features, features).fill_diagonal_(torch.inf)
    nearest, index = distance.min(1)
    return index, nearest < _NEAR_LIGHT


def _soften(matte: Tensor, config: SynthesisConfig, dice: Dice) -> Tensor:
    """Give some mattes a soft edge, inwards only, so that pixels outside stay pure background."""
    soft = dice.uniform(0, 1, len(matte), 1, 1, 1) < config.soft
    radius = dice.integer(1, max(1, matte.shape[-1] // 64))
    blurred = F.avg_pool2d(matte, 2 * radius + 1, 1, radius, count_include_pad=False)
    return torch.where(soft, (2 * blurred - 1).clamp_min(0) * matte, matte)
