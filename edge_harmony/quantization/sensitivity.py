"""Find the layers that lose quality in 8 bits, and the cheapest set of layers to keep in float for a given accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge_harmony.data.calibration_set import CalibrationSet
from edge_harmony.errors import ArtifactError, InputError
from edge_harmony.models.layers.colour_transform import apply_coarse
from edge_harmony.models.layers.conv_unit import ConvUnit
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import read_weights, resolve_weights, restore
from edge_harmony.pictures.metrics import psnr_of
from edge_harmony.quantization.calibrate import inputs_of
from edge_harmony.quantization.fake_quant import ActivationQuantizer, QuantizedConv2d, QuantizedConvTranspose2d
from edge_harmony.quantization.prepare import load_ranges, prepare_qat, set_quantization

Inputs = Sequence[tuple[Tensor, Tensor]]
"""``(composite (N, 3, H, W), mask (N, 1, H, W))`` in [0, 1]."""

_CONVOLUTIONS = (QuantizedConv2d, QuantizedConvTranspose2d)
_TRIED = 8
"""Number of the most promising layers that are tried in each step."""


@dataclass(frozen=True)
class LayerLoss:
    """A layer that can stay float: a unit of convolution, activation and quantization point, or one of these alone.

    Attributes:
        name: name of the module in the network.
        psnr: dB of the foreground against the float network if only this layer is quantized.
        flops: FLOPs of the convolutions that would leave integer arithmetic with it, for one picture at the given size.
    """

    name: str
    psnr: float
    flops: int


@dataclass(frozen=True)
class Proposal:
    """Layers to keep in float.

    Attributes:
        keep: names of these layers; empty if all layers can be quantized.
        psnr: dB of the foreground against the float network, with these layers in float.
        all_quantized: dB of the foreground against the float network, with every layer quantized.
        flops: share of the network's convolutions that leaves integer arithmetic.
    """

    keep: tuple[str, ...]
    psnr: float
    all_quantized: float
    flops: float


def analyse_weights(
    model: str,
    weights: Path | None,
    pictures: CalibrationSet,
    root: Path,
    least: float,
    *,
    started: Callable[[int], None] = lambda count: None,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[LayerLoss], Proposal]:
    """Rank the layers of weights with activation ranges, and propose what to keep in float.

    Args:
        model: name in the registry.
        weights: file of its weights; None for the shipped ones.
        pictures: a set of them.
        root: where its files lie.
        least: dB of the foreground's PSNR against the float network that the proposal must reach.
        started: called with the number of layers.
        advance: called after each.

    Returns:
        What :func:`rank` and :func:`propose` return.

    Raises:
        UsageError: an unknown network, or there are no weights.
        ArtifactError: the weights are damaged, of another network, or without ranges.
        InputError: files of the set are missing or changed, or no picture has a foreground.
    """
    entry = find_model(model)
    path = resolve_weights(entry.name, weights)
    stored = read_weights(path)
    if not stored.ranges:
        raise ArtifactError(f"{path} has no activation ranges", "add them with edge-harmony calibrate")
    network = prepare_qat(restore(entry.name, stored))
    load_ranges(network, stored.ranges)
    pictures.verify(root)
    inputs = list(inputs_of(pictures, root, entry.size))
    started(len(layer_names(network)))
    ranked = rank(network, inputs, advance)
    return ranked, propose(network, inputs, least, ranked)


def layer_names(model: nn.Module) -> list[str]:
    """Names of the layers of a prepared network that can stay float, in its order."""
    return list(_layers(model))


def rank(model: nn.Module, inputs: Inputs, advance: Callable[[], None] | None = None) -> list[LayerLoss]:
    """Quantize one layer at a time and sort the layers, the worst first.

    Args:
        model: prepared network with ranges.
        inputs: pictures at the working size.
        advance: called after each layer.

    Raises:
        InputError: no picture has a foreground.
    """
    reference = _Reference(model, inputs)
    costs = _costs(model, inputs[0])
    rows = []
    for name, modules in _layers(model).items():
        set_quantization(model, enabled=False)
        _switch(modules, enabled=True)
        rows.append(LayerLoss(name, reference.psnr(), costs[name]))
        if advance is not None:
            advance()
    set_quantization(model, enabled=True)
    return sorted(rows, key=lambda layer: layer.psnr)


def propose(model: nn.Module, inputs: Inputs, least: float, ranked: Sequence[LayerLoss]) -> Proposal:
    """The cheapest layers to keep in float so that the PSNR against the float network is at least ``least``.

    The search is greedy. In each step it takes the layers with the largest error per operation, tries each in float,
    and keeps the one that helps most per operation, until the limit is met. Every step measures the whole network.

    Args:
        model: prepared network with ranges.
        inputs: pictures at the working size.
        least: dB of the foreground's PSNR against the float network.
        ranked: result of :func:`rank`.
    """
    reference = _Reference(model, inputs)
    layers = _layers(model)
    whole = max(1, _total(model, inputs[0]))
    set_quantization(model, enabled=True)
    now = start = reference.psnr()
    keep: list[LayerLoss] = []
    left = sorted(ranked, key=lambda layer: -_error(layer.psnr) / (layer.flops + whole / 1000))
    while now < least and left:
        gains = []
        for layer in left[:_TRIED]:
            _switch(layers[layer.name], enabled=False)
            after = reference.psnr()
            _switch(layers[layer.name], enabled=True)
            gains.append(((_error(now) - _error(after)) / (layer.flops + whole / 1000), after, layer))
        _, now, best = max(gains, key=lambda item: item[0])
        _switch(layers[best.name], enabled=False)
        keep.append(best)
        left.remove(best)
    set_quantization(model, enabled=True)
    share = min(1.0, sum(layer.flops for layer in keep) / whole)
    return Proposal(tuple(layer.name for layer in keep), now, start, share)


def _error(psnr: float) -> float:
    return float(10 ** (-psnr / 10))


def _layers(model: nn.Module) -> dict[str, list[nn.Module]]:
    units = {name: module for name, module in model.named_modules() if isinstance(module, ConvUnit)}
    layers: dict[str, list[nn.Module]] = {}
    for name, module in model.named_modules():
        if not isinstance(module, (*_CONVOLUTIONS, ActivationQuantizer)):
            continue
        owner = name.rpartition(".")[0]
        layers.setdefault(owner if owner in units else name, []).append(module)
    return layers


def _switch(modules: Sequence[nn.Module], *, enabled: bool) -> None:
    for module in modules:
        module.enabled = enabled  # type: ignore[assignment]


class _Reference:
    """The float network's results, for comparison."""

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        self.model = model.eval()
        self.inputs = [(c, m) for c, m in inputs if bool((m > 0).any())]
        if not self.inputs:
            raise InputError("no picture has a foreground", "give pictures with masks that are not empty")
        set_quantization(model, enabled=False)
        self.results = self._run()

    @torch.inference_mode()
    def _run(self) -> list[Tensor]:
        kind = str(self.model.output)
        return [apply_coarse(c, m, self.model(c, m), kind).clamp(0, 1) for c, m in self.inputs]

    def psnr(self) -> float:
        """dB of the foreground, from the mean squared error over all pictures; at most 99."""
        total, count = 0.0, 0.0
        for ours, theirs, (_, mask) in zip(self._run(), self.results, self.inputs, strict=True):
            inside = (mask > 0).expand_as(ours)
            total += float((ours - theirs)[inside].square().sum())
            count += float(inside.sum())
        return min(99.0, psnr_of(255.0**2 * total / count))


@torch.inference_mode()
def _costs(model: nn.Module, inputs: tuple[Tensor, Tensor]) -> dict[str, int]:
    """The FLOPs of each layer's convolution, or of the convolutions that read its point, for one picture."""
    owner = {id(module): name for name, modules in _layers(model).items() for module in modules}
    costs = dict.fromkeys(owner.values(), 0)
    made: dict[int, str] = {}
    alive: list[Tensor] = []

    def after(module: nn.Module, given: tuple[Any, ...], result: Tensor) -> None:
        name = owner[id(module)]
        if isinstance(module, ActivationQuantizer):
            made[id(result)] = name
            alive.append(result)  # ids are unique only among tensors that are alive
            return
        flops = 2 * module.weight[0].numel() * result.numel() // len(result)  # type: ignore[union-attr, index]
        costs[name] += flops
        source = made.get(id(given[0]))
        if source is not None and source != name and isinstance(model.get_submodule(source), ActivationQuantizer):
            costs[source] += flops

    hooks = [m.register_forward_hook(after) for m in model.modules() if id(m) in owner]
    set_quantization(model, enabled=True)
    try:
        model(inputs[0][:1], inputs[1][:1])
    finally:
        for hook in hooks:
            hook.remove()
    return costs


@torch.inference_mode()
def _total(model: nn.Module, inputs: tuple[Tensor, Tensor]) -> int:
    with FlopCounterMode(display=False) as counter:
        model(inputs[0][:1], inputs[1][:1])
    return int(counter.get_total_flops())
