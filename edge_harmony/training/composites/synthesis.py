"""Composites synthesized in batches, on any device, from real pictures with masks.

A sample's foreground is recoloured by one of several kinds of change (or taken from a given composite), pasted
back through its mask, and the whole is cropped, flipped and compressed. Three properties always hold: the background
is the real picture (up to JPEG noise, if that is on), values are in [0, 1], and one generator state gives one result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_harmony.training.composites.dice import Dice
from edge_harmony.training.composites.jpeg import jpeg_noise
from edge_harmony.training.composites.light import camera, photometric, relight, scene_map, transfer
from edge_harmony.training.composites.placement import box_blur, dilate, erode, place
from edge_harmony.training.composites.synthesis_config import KINDS, SynthesisConfig

_MIN_FOREGROUND = 1e-3
_NEAR_KINDS = ("reinhard", "covariance", "histogram")


@dataclass(frozen=True)
class Batch:
    """``composite`` and ``real`` ``(N, 3, S, S)``, ``mask`` and ``matte`` ``(N, 1, S, S)``, all in [0, 1].

    The matte is the region of the paste; the mask is the network's input and may be off by some pixels.
    """

    composite: Tensor
    real: Tensor
    mask: Tensor
    matte: Tensor


def synthesize(
    real: Tensor,
    mask: Tensor,
    given: Tensor | None,
    size: int,
    config: SynthesisConfig,
    generator: torch.Generator,
    partners: Tensor | None = None,
) -> Batch:
    """Make a batch of training composites.

    Args:
        real: ``(N, 3, H, W)`` RGB in [0, 1].
        mask: ``(N, 1, H, W)`` in [0, 1].
        given: the data set's own composites, like ``real``; None if there are none (own photographs), which sets their
            weight to 0.
        size: side S of the result.
        config: the kinds of change and their probabilities.
        generator: source of all randomness, on the device of the tensors.
        partners: ``(N,)``: for each sample the index of a sample with an object of similar colours
            (:func:`edge_harmony.training.dataset.draw_alike`), for changes of kind ``near``; by default any other.
    """
    dice = Dice(generator)
    stack = torch.cat([real, mask] if given is None else [real, mask, given], 1)
    stack = crop_and_flip(stack, size, config, dice)
    real, mask = stack[:, :3].contiguous(), (stack[:, 3:4] > 0.5).to(stack.dtype)
    weights = [0.0 if kind == "given" and given is None else getattr(config, kind) for kind in KINDS]
    kinds = dice.choice(weights, len(real))
    others = torch.roll(torch.arange(len(real), device=real.device), dice.integer(1, max(1, len(real) - 1)))
    if config.swap:
        swapped = (dice.uniform(0, 1, len(real)) < config.swap) & (kinds != KINDS.index("given"))
        mask = torch.where(swapped[:, None, None, None], mask.flip(0), mask)
    changed = real.clone()
    for number, kind in enumerate(KINDS):
        chosen = (kinds == number).nonzero().flatten()
        if not len(chosen) or kind == "identity":
            continue
        other = (others if kind != "near" or partners is None else partners)[chosen]
        if kind == "given":
            changed[chosen] = stack[chosen, 4:7]
        else:
            own, its_mask = real.index_select(0, chosen), mask.index_select(0, chosen)
            changed[chosen] = change(kind, own, its_mask, real[other], mask[other], config, dice)
    real, changed = relight(real, changed.clamp_(0, 1), config, dice)
    changed = changed.mul_(255).round_().div_(255)  # 8-bit levels, as in a file
    composite, real, matte = place(real, changed, mask, config, dice)
    return Batch(compress(composite, config, dice), real, perturb_mask(matte, config, dice), matte)


def join(parts: Sequence[Batch]) -> Batch:
    """Join batches of equal picture size."""
    return Batch(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Batch)))


def change(
    kind: str,
    source: Tensor,
    region: Tensor,
    other: Tensor,
    other_region: Tensor,
    config: SynthesisConfig,
    dice: Dice,
) -> Tensor:
    """Recolour pictures ``(N, 3, S, S)`` by one kind of change; ``other`` are other samples of the batch."""
    if kind == "photometric":
        return photometric(source, region, config, dice)
    if kind == "camera":
        return camera(source, config, dice)
    strength = dice.uniform(*config.strength, len(source), 1, 1, 1)
    if kind == "scene":
        return torch.lerp(source, scene_map(source, other, dice), strength)
    usable = other_region.mean((1, 2, 3), keepdim=True) > _MIN_FOREGROUND
    if kind == "near":
        kind = _NEAR_KINDS[dice.integer(0, 1)]
    moved = transfer(kind, source, region, other, other_region, dice)
    return source + torch.where(usable, strength, torch.zeros_like(strength)) * (moved - source)


def crop_and_flip(stack: Tensor, size: int, config: SynthesisConfig, dice: Dice) -> Tensor:
    """Cut a random square of every sample, flip some, and resize to ``size`` (bilinear).

    Args:
        stack: ``(N, C, H, W)``; all channels of a sample move together.
    """
    count = len(stack)
    scale = dice.uniform(*config.crop, count)
    shift = dice.uniform(-1, 1, count, 2) * (1 - scale)[:, None]
    sign = torch.where(dice.uniform(0, 1, count) < config.flip, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3, device=stack.device, dtype=stack.dtype)
    theta[:, 0, 0] = scale * sign
    theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, [count, stack.shape[1], size, size], align_corners=False)
    return F.grid_sample(stack, grid, mode="bilinear", padding_mode="border", align_corners=False).clamp_(0, 1)


def perturb_mask(matte: Tensor, config: SynthesisConfig, dice: Dice) -> Tensor:
    """The masks for the network: some are eroded, dilated or feathered, like people's masks. The paste is unchanged."""
    mask = matte.clone()
    chosen = (dice.uniform(0, 1, len(mask)) < config.mask_noise).nonzero().flatten()
    radius = dice.integer(1, max(1, mask.shape[-1] // 64))
    for k, part in enumerate(chosen.tensor_split(3)):
        if not len(part):
            continue
        if k == 0:
            mask[part] = dilate(mask[part], radius)
        elif k == 1:
            mask[part] = erode(mask[part], radius)
        else:
            mask[part] = box_blur(mask[part], radius)
    return mask


def compress(composite: Tensor, config: SynthesisConfig, dice: Dice) -> Tensor:
    """Add JPEG noise to some of the composites."""
    chosen = (dice.uniform(0, 1, len(composite)) < config.jpeg).nonzero().flatten()
    quality = dice.uniform(*config.jpeg_quality, len(composite)).round()
    if len(chosen):
        composite = composite.clone()
        composite[chosen] = jpeg_noise(composite[chosen], quality[chosen])
    return composite
