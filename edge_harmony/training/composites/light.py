"""Changes of light and camera, in batches, for an object's colours or a whole sample's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_harmony.training.composites import recolour
from edge_harmony.training.composites.dice import Dice
from edge_harmony.training.composites.synthesis_config import SynthesisConfig

_ROTATIONS = 8


def relight(real: Tensor, changed: Tensor, config: SynthesisConfig, dice: Dice) -> tuple[Tensor, Tensor]:
    """Change exposure, white balance, gamma and saturation of whole samples; a foreground that fitted still fits.

    Args:
        real: real pictures ``(N, 3, H, W)``.
        changed: these with other colours.
        config: probability.
        dice: source of randomness.

    Returns:
        Both.
    """
    chosen = (dice.uniform(0, 1, len(real)) < config.relight).nonzero().flatten()
    if not len(chosen):
        return real, changed
    column = (len(chosen), 1, 1, 1)
    exposure, balance, gamma = (
        dice.normal(0.4, *column),
        dice.normal(0.1, len(chosen), 3, 1, 1),
        dice.normal(0.15, *column),
    )
    saturation = torch.exp(dice.normal(0.25, *column))
    table = recolour.adjust_light(recolour.levels(exposure), exposure, balance, gamma)[:, :, 0]
    lit = (recolour.look_up(picture.index_select(0, chosen), table) for picture in (real, changed))
    new_real, new_changed = (recolour.adjust_saturation(part, saturation).clamp_(0, 1) for part in lit)
    return real.index_copy(0, chosen, new_real), changed.index_copy(0, chosen, new_changed)


def photometric(x: Tensor, mask: Tensor, config: SynthesisConfig, dice: Dice) -> Tensor:
    """Change light, curves, saturation and contrast; for some samples the light varies over the object."""
    count = len(x)
    column = (count, 1, 1, 1)
    exposure = dice.normal(0.5, *column)
    balance = dice.normal(0.12, count, 3, 1, 1)
    field = recolour.smooth_field(dice.normal(1.0, count, 4, 3, 3), (x.shape[2], x.shape[3]))
    uneven = (dice.uniform(0, 1, *column) < config.spatial).to(x.dtype)
    exposure = exposure + 0.4 * uneven * field[:, :1]
    balance = balance + 0.08 * uneven * field[:, 1:]
    x = recolour.adjust_light(x, exposure, balance, dice.normal(0.15, *column))
    steps = torch.exp(dice.normal(0.25, count, 1, 6) + dice.normal(0.1, count, 3, 6))
    curve = F.pad(steps.cumsum(2) / steps.sum(2, keepdim=True), (1, 0))
    x = recolour.apply_curve(x, curve)
    x = recolour.adjust_saturation(x, torch.exp(dice.normal(0.3, *column)))
    return recolour.adjust_contrast(x, mask, torch.exp(dice.normal(0.18, *column)))


def camera(x: Tensor, config: SynthesisConfig, dice: Dice) -> Tensor:
    """Simulate another camera and light: white balance in a camera's own space, exposure, haze, tone curve, saturation.

    Exposure varies smoothly over the object with probability ``spatial``.
    """
    count = len(x)
    column = (count, 1, 1, 1)
    mixing = dice.normal(0.08, count, 3, 3)
    eye = torch.eye(3, device=x.device)
    mixing = mixing * (1 - eye) + eye
    mixing = mixing / mixing.sum(2, keepdim=True)  # gray stays gray
    gains = torch.exp(dice.normal(0.14, count, 3))
    response = torch.linalg.solve(mixing, gains[:, :, None] * mixing)
    light = (response @ recolour.to_linear(x).flatten(2)).view_as(x)
    field = recolour.smooth_field(dice.normal(1.0, count, 1, 3, 3), (x.shape[2], x.shape[3]))
    uneven = (dice.uniform(0, 1, *column) < config.spatial).to(x.dtype)
    light = light * torch.exp(dice.normal(0.35, *column) + 0.25 * uneven * field)
    haze = dice.normal(0.12, *column).clamp(0, 0.5)
    air = dice.uniform(0.3, 0.8, *column) * torch.exp(dice.normal(0.06, count, 3, 1, 1))
    light = torch.lerp(light, air.expand_as(light), haze)
    y = recolour.to_srgb(light.clamp_min(1e-6) ** torch.exp(dice.normal(0.15, *column))).clamp(0, 1)
    y = y + dice.normal(0.3, *column).clamp(-0.8, 0.8) * (y * y * (3 - 2 * y) - y)
    return recolour.adjust_saturation(y, torch.exp(dice.normal(0.25, *column)))


def scene_map(x: Tensor, reference: Tensor, dice: Dice) -> Tensor:
    """Map the colours of whole pictures to those of whole reference pictures, by one of three estimates."""
    everywhere = x.new_ones(len(x), 1, *x.shape[2:])
    kind = ("reinhard", "covariance", "histogram")[dice.integer(0, 2)]
    return transfer(kind, x, everywhere, reference, everywhere, dice)


def transfer(kind: str, x: Tensor, mask: Tensor, reference: Tensor, reference_mask: Tensor, dice: Dice) -> Tensor:
    """Recolour regions to match reference regions, see :mod:`edge_harmony.training.composites.recolour`."""
    if kind == "reinhard":
        return recolour.reinhard_transfer(x, mask, reference, reference_mask)
    if kind == "covariance":
        return recolour.covariance_transfer(x, mask, reference, reference_mask)
    if kind == "histogram":
        return recolour.histogram_transfer(x, mask, reference, reference_mask)
    return recolour.idt_transfer(x, mask, reference, reference_mask, dice.rotations(_ROTATIONS))
