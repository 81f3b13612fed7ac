"""Equal ranges for the channels of a tensor, by weights that compute the same result.

An activation has one scale, so a channel whose values are small beside those of another keeps few of the 256 levels.
ReLU lets positive factors through: a unit's channels are divided by factors, and the depthwise convolution that reads
them multiplies them back. Its weights have a scale per channel, so they lose nothing.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1; ranges
are measured here, where the paper takes those of the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from edge_harmony.errors import CapabilityError
from edge_harmony.models.layers.conv_unit import ConvUnit
from edge_harmony.models.layers.inverted_bottleneck import InvertedBottleneck

_LARGEST_FACTOR = 64.0
_SHARE = 0.98
"""A channel's range holds the largest value of this share of the pictures."""


def equalize(model: nn.Module, inputs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Divide the channels before depthwise convolutions by factors that make their ranges equal, in place.

    In floating point the network's results change by rounding only.

    Args:
        model: a network with folded norms (:func:`~edge_harmony.models.layers.conv_unit.fold_norms`).
        inputs: composites ``(N, 3, H, W)`` and masks ``(N, 1, H, W)`` in [0, 1], by which ranges are measured.

    Raises:
        CapabilityError: no depthwise convolution of the network follows a unit with ReLU.
    """
    pairs = list(_pairs(model))
    if not pairs:
        raise CapabilityError(
            f"{type(model).__name__} has no depthwise convolutions, whose inputs could be equalized",
            "calibrate without it",
        )
    for (unit, reader), largest in zip(pairs, _largest([unit for unit, _ in pairs], model, inputs), strict=True):
        ranges = largest.quantile(_SHARE, dim=0)
        factors = (ranges / ranges.amax()).clamp_min(1 / _LARGEST_FACTOR)
        factors[ranges == 0] = 1  # nothing is known of a channel that was never active
        with torch.no_grad():
            unit.conv.weight.div_(factors.view(-1, 1, 1, 1))
            if unit.conv.bias is not None:
                unit.conv.bias.div_(factors)
            reader.conv.weight.mul_(factors.view(-1, 1, 1, 1))


def _pairs(model: nn.Module) -> Iterator[tuple[ConvUnit, ConvUnit]]:
    """Units with ReLU, and the depthwise unit that alone reads them."""
    for module in model.modules():
        if isinstance(module, InvertedBottleneck) and module.expand is not None:
            yield module.expand, module.filter
        elif isinstance(module, nn.Sequential):
            for unit, block in pairwise(module):
                if not (isinstance(unit, ConvUnit) and unit.relu and isinstance(block, InvertedBottleneck)):
                    continue
                if block.expand is None and block.quantize_sum is None:
                    yield unit, block.filter


@torch.no_grad()
def _largest(units: list[ConvUnit], model: nn.Module, inputs: Iterable[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """The largest value of every channel of every unit in every picture, ``(pictures, channels)`` per unit."""
    seen: list[list[Tensor]] = [[] for _ in units]
    hooks = [
        unit.register_forward_hook(lambda _, __, result, rows=rows: rows.append(result.amax((2, 3))))
        for unit, rows in zip(units, seen, strict=True)
    ]
    was_training = model.training
    model.eval()
    try:
        for composite, mask in inputs:
            model(composite, mask)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return [torch.cat(rows) for rows in seen]
