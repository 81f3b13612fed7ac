"""Composites synthesized in batches, on any device, from real pictures with masks.

A sample's foreground is recoloured by one of several kinds of change (or taken from a given composite), pasted
back through its mask, and the whole is cropped, flipped and compressed. What it must keep: the background stays the
real picture (up to JPEG noise, where that is on), values stay in [0, 1], and one generator state gives one result.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from edge_harmony.data import color
from edge_harmony.data.jpeg import jpeg_noise

KINDS = ("given", "reinhard", "covariance", "histogram", "idt", "photometric", "identity")
"""The kinds of change, in the order of the columns of the internal choice."""

_MIN_FOREGROUND = 1e-3
_ROTATIONS = 8


class SynthesisConfig(BaseModel):
    """How training composites are made; weights are relative, probabilities are per sample."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    given: float = Field(0.35, ge=0, description="weight of the data set's own composite")
    reinhard: float = Field(0.15, ge=0, description="weight of mean/deviation transfer from another sample")
    covariance: float = Field(0.15, ge=0, description="weight of covariance transfer from another sample")
    histogram: float = Field(0.10, ge=0, description="weight of histogram transfer from another sample")
    idt: float = Field(0.0, ge=0, description="weight of iterated distribution transfer from another sample")
    photometric: float = Field(0.20, ge=0, description="weight of light, curve, saturation and contrast changes")
    identity: float = Field(0.05, ge=0, description="weight of composites that fit already")
    strength: tuple[float, float] = Field((0.4, 1.0), description="how far a transfer goes, drawn uniformly")
    spatial: float = Field(0.2, ge=0, le=1, description="probability of smooth light variation over the object")
    relight: float = Field(
        0.0, ge=0, le=1, description="probability of one change of light over real picture and given composite alike"
    )
    swap: float = Field(
        0.0, ge=0, le=1, description="probability of another sample's mask; given composites keep theirs"
    )
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    crop: tuple[float, float] = Field((0.7, 1.0), description="side of the crop, drawn uniformly")
    mask_noise: float = Field(0.2, ge=0, le=1, description="probability of an eroded, dilated or feathered mask")
    jpeg: float = Field(0.3, ge=0, le=1, description="probability of JPEG noise on the composite")
    jpeg_quality: tuple[int, int] = Field((75, 98), description="JPEG quality, drawn uniformly")

    @model_validator(mode="after")
    def _check(self) -> SynthesisConfig:
        if not any(getattr(self, kind) > 0 for kind in KINDS):
            raise ValueError("at least one kind of change needs a weight above 0")
        for name in ("strength", "crop", "jpeg_quality"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} must be an increasing range, got {low} to {high}")
        if not 0.05 <= self.crop[0] <= self.crop[1] <= 1:
            raise ValueError("crop must lie in 0.05 to 1")
        if not 1 <= self.jpeg_quality[0] <= self.jpeg_quality[1] <= 100:
            raise ValueError("jpeg_quality must lie in 1 to 100")
        return self


@dataclass(frozen=True)
class Batch:
    """``composite`` and ``real`` ``(N, 3, S, S)``, ``mask`` ``(N, 1, S, S)``, all in [0, 1]."""

    composite: Tensor
    real: Tensor
    mask: Tensor


class Dice:
    """Random draws of one generator, as tensors on its device."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform draws in [low, high)."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.generator.device)

    def normal(self, deviation: float, *shape: int) -> Tensor:
        """Normal draws of mean 0."""
        return deviation * torch.randn(shape, generator=self.generator, device=self.generator.device)

    def integer(self, low: int, high: int) -> int:
        """One integer in [low, high]."""
        return int(torch.randint(low, high + 1, (1,), generator=self.generator, device=self.generator.device).item())

    def rotations(self, count: int) -> Tensor:
        """Random orthogonal matrices ``(count, 3, 3)``."""
        return torch.linalg.qr(self.normal(1.0, count, 3, 3))[0]

    def choice(self, weights: list[float], count: int) -> Tensor:
        """``count`` indices drawn with the given weights."""
        table = torch.tensor(weights, device=self.generator.device)
        return torch.multinomial(table, count, replacement=True, generator=self.generator)


def synthesize(
    real: Tensor,
    mask: Tensor,
    given: Tensor | None,
    size: int,
    config: SynthesisConfig,
    generator: torch.Generator,
) -> Batch:
    """Make a batch of training composites.

    Args:
        real: ``(N, 3, H, W)`` RGB in [0, 1].
        mask: ``(N, 1, H, W)`` in [0, 1].
        given: the data set's own composites like ``real``; None where there are none (own photographs): their
            weight then counts as 0.
        size: side S of the result.
        config: what is drawn and how often.
        generator: source of all randomness, on the device of the tensors.
    """
    dice = Dice(generator)
    stack = torch.cat([real, mask] if given is None else [real, mask, given], 1)
    stack = relight(crop_and_flip(stack, size, config, dice), config, dice)
    real, mask = stack[:, :3], perturb_mask(stack[:, 3:4], config, dice)
    weights = [0.0 if kind == "given" and given is None else getattr(config, kind) for kind in KINDS]
    kinds = dice.choice(weights, len(real))
    changed = real.clone()
    others = torch.roll(torch.arange(len(real), device=real.device), dice.integer(1, max(1, len(real) - 1)))
    if config.swap:
        swapped = (dice.uniform(0, 1, len(real)) < config.swap) & (kinds != KINDS.index("given"))
        mask = torch.where(swapped[:, None, None, None], mask.flip(0), mask)
    for number, kind in enumerate(KINDS):
        chosen = (kinds == number).nonzero().flatten()
        if not len(chosen) or kind == "identity":
            continue
        source, region = real[chosen], mask[chosen]
        if kind == "given":
            changed[chosen] = stack[chosen, 4:7]
        elif kind == "photometric":
            changed[chosen] = photometric(source, region, config, dice)
        else:
            other = others[chosen]
            moved = transfer(kind, source, region, real[other], mask[other], dice)
            strength = dice.uniform(*config.strength, len(chosen), 1, 1, 1)
            usable = mask[other].mean((1, 2, 3), keepdim=True) > _MIN_FOREGROUND
            changed[chosen] = source + torch.where(usable, strength, torch.zeros_like(strength)) * (moved - source)
    # 8-bit levels, as in a file; where the mask is 0 the composite is the real picture itself
    changed = (changed.clamp(0, 1) * 255).round() / 255
    composite = torch.where(mask > 0, mask * changed + (1 - mask) * real, real)
    return Batch(compress(composite, config, dice), real, mask)


def transfer(kind: str, x: Tensor, mask: Tensor, reference: Tensor, reference_mask: Tensor, dice: Dice) -> Tensor:
    """Recolour regions after reference regions, see :mod:`edge_harmony.data.color`."""
    if kind == "reinhard":
        return color.reinhard_transfer(x, mask, reference, reference_mask)
    if kind == "covariance":
        return color.covariance_transfer(x, mask, reference, reference_mask)
    if kind == "histogram":
        return color.histogram_transfer(x, mask, reference, reference_mask)
    return color.idt_transfer(x, mask, reference, reference_mask, dice.rotations(_ROTATIONS))


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
    return F.grid_sample(stack, grid, mode="bilinear", padding_mode="border", align_corners=False).clamp(0, 1)


def relight(stack: Tensor, config: SynthesisConfig, dice: Dice) -> Tensor:
    """Change exposure, white balance, gamma and saturation of whole samples: what fitted before still fits.

    Args:
        stack: ``(N, 4 or 7, H, W)``: real picture, mask and, where there is one, given composite.
    """
    chosen = (dice.uniform(0, 1, len(stack)) < config.relight).nonzero().flatten()
    if not len(chosen):
        return stack
    column = (len(chosen), 1, 1, 1)
    exposure, balance, gamma = (
        dice.normal(0.4, *column),
        dice.normal(0.1, len(chosen), 3, 1, 1),
        dice.normal(0.15, *column),
    )
    saturation = torch.exp(dice.normal(0.25, *column))
    table = color.adjust_light(color.levels(exposure), exposure, balance, gamma)[:, :, 0]
    stack = stack.clone()
    for start in range(0, stack.shape[1], 4):
        part = color.look_up(stack[chosen, start : start + 3], table)
        stack[chosen, start : start + 3] = color.adjust_saturation(part, saturation).clamp(0, 1)
    return stack


def perturb_mask(mask: Tensor, config: SynthesisConfig, dice: Dice) -> Tensor:
    """Make masks binary, then erode, dilate or feather some of them, as people's masks are."""
    mask = (mask > 0.5).to(mask.dtype)
    chosen = (dice.uniform(0, 1, len(mask)) < config.mask_noise).nonzero().flatten()
    radius = dice.integer(1, max(1, mask.shape[-1] // 64))
    for k, part in enumerate(chosen.tensor_split(3)):
        if not len(part):
            continue
        source, window = mask[part], 2 * radius + 1
        if k == 0:
            mask[part] = F.max_pool2d(source, window, 1, radius)
        elif k == 1:
            mask[part] = -F.max_pool2d(-source, window, 1, radius)
        else:
            mask[part] = F.avg_pool2d(source, window, 1, radius, count_include_pad=False)
    return mask


def photometric(x: Tensor, mask: Tensor, config: SynthesisConfig, dice: Dice) -> Tensor:
    """Light, curves, saturation and contrast, with a light field that varies over the object for some."""
    count = len(x)
    column = (count, 1, 1, 1)
    exposure = dice.normal(0.5, *column)
    balance = dice.normal(0.12, count, 3, 1, 1)
    field = color.smooth_field(dice.normal(1.0, count, 4, 3, 3), (x.shape[2], x.shape[3]))
    uneven = (dice.uniform(0, 1, *column) < config.spatial).to(x.dtype)
    exposure = exposure + 0.4 * uneven * field[:, :1]
    balance = balance + 0.08 * uneven * field[:, 1:]
    x = color.adjust_light(x, exposure, balance, dice.normal(0.15, *column))
    steps = torch.exp(dice.normal(0.25, count, 1, 6) + dice.normal(0.1, count, 3, 6))
    curve = F.pad(steps.cumsum(2) / steps.sum(2, keepdim=True), (1, 0))
    x = color.apply_curve(x, curve)
    x = color.adjust_saturation(x, torch.exp(dice.normal(0.3, *column)))
    return color.adjust_contrast(x, mask, torch.exp(dice.normal(0.18, *column)))


def compress(composite: Tensor, config: SynthesisConfig, dice: Dice) -> Tensor:
    """Put JPEG noise on some of the composites."""
    chosen = (dice.uniform(0, 1, len(composite)) < config.jpeg).nonzero().flatten()
    quality = dice.uniform(*config.jpeg_quality, len(composite)).round()
    if len(chosen):
        composite = composite.clone()
        composite[chosen] = jpeg_noise(composite[chosen], quality[chosen])
    return composite
