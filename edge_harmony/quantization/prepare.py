"""Preparing a float network for training, inference and export with 8-bit arithmetic."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from edge_harmony.errors import ArtifactError, CapabilityError, InputError, UsageError
from edge_harmony.models.layers.conv_unit import ConvUnit, FloatIsland, QuantPoint
from edge_harmony.quantization.fake_quant import ActivationQuantizer, QuantizedConv2d, QuantizedConvTranspose2d


def prepare_qat(model: nn.Module, keep: Collection[str] = ()) -> nn.Module:
    """Replace every quantization point and every convolution by its fake-quantized version, in place.

    The norms must be folded (:func:`~edge_harmony.models.layers.conv_unit.fold_norms`). A second call changes nothing.

    Args:
        model: the network.
        keep: names of layers that stay float: units, or single convolutions and points; see
            :mod:`~edge_harmony.quantization.sensitivity`.

    Raises:
        CapabilityError: the network marks no quantization points.
        UsageError: a layer in ``keep`` does not exist, or would not be quantized anyway.
    """
    kept = _kept_modules(model, keep)
    if not any(isinstance(module, QuantPoint | ActivationQuantizer) for module in model.modules()):
        raise CapabilityError(
            f"{type(model).__name__} marks no quantization points", "use fp32, or a network of the edge family"
        )
    for module in list(_quantizable(model)):
        if isinstance(module, ConvUnit) and isinstance(module.norm, nn.InstanceNorm2d):
            raise CapabilityError("instance norms cannot be folded, so not quantized", 'use norm = "batch"')
        if isinstance(module, ConvUnit) and not isinstance(module.norm, nn.Identity):
            raise ValueError("fold the norms before preparing for quantization")
        for name, child in list(module.named_children()):
            if child in kept:
                continue
            if type(child) is QuantPoint:
                setattr(module, name, ActivationQuantizer())
            elif type(child) is nn.Conv2d or type(child) is nn.ConvTranspose2d:
                setattr(module, name, _quantized(child))
    return model


def _kept_modules(model: nn.Module, names: Collection[str]) -> set[nn.Module]:
    """The convolutions and points of the named layers."""
    kinds = (QuantPoint, nn.Conv2d, nn.ConvTranspose2d)
    kept: set[nn.Module] = set()
    named = dict(model.named_modules())
    for name in names:
        module = named.get(name)
        found = [] if module is None else [m for m in _quantizable(module) if isinstance(m, kinds)]
        if not found or not isinstance(module, (*kinds, ConvUnit)):
            close = difflib.get_close_matches(name, named, 1)
            hint = f"did you mean {close[0]}?" if close else "edge-harmony sensitivity lists them"
            raise UsageError(f"{type(model).__name__} has no layer {name!r} to keep in float", hint)
        kept.update(found)
    return kept


def _quantizable(module: nn.Module) -> Iterator[nn.Module]:
    """The module and its descendants, without float islands."""
    if isinstance(module, FloatIsland):
        return
    yield module
    for child in module.children():
        yield from _quantizable(child)


def _quantized(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Module:
    """The fake-quantized version of a convolution, with its parameters."""
    twin = QuantizedConv2d if isinstance(layer, nn.Conv2d) else QuantizedConvTranspose2d
    result = twin(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        groups=layer.groups,
        bias=layer.bias is not None,
    )
    result.weight = nn.Parameter(layer.weight.detach().clone())
    if layer.bias is not None:
        result.bias = nn.Parameter(layer.bias.detach().clone())
    return result


@torch.no_grad()
def observe_with(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Set activation scales from calibration batches: the mean over batches of the largest magnitude.

    Args:
        model: prepared network; it runs in float during the observation.
        batches: inputs of the network, ``(composite, mask)``.

    Raises:
        InputError: there are no batches, or they hold values that are not finite.
    """
    quantizers = [module for module in model.modules() if isinstance(module, ActivationQuantizer)]
    set_quantization(model, enabled=False)
    for quantizer in quantizers:
        quantizer.scale.zero_()
    seen = 0
    hooks = [quantizer.register_forward_hook(_observer(lambda: seen)) for quantizer in quantizers]
    try:
        for composite, mask in batches:
            if not bool(composite.isfinite().all() and mask.isfinite().all()):
                raise InputError("the calibration batches hold values that are not finite", "check the pictures")
            seen += 1
            model(composite, mask)
    finally:
        for hook in hooks:
            hook.remove()
        set_quantization(model, enabled=True)
    if not seen:
        raise InputError("the calibration set is empty", "give at least one picture")


def _observer(seen: Callable[[], int]) -> Callable[[ActivationQuantizer, tuple[Tensor, ...], Tensor], None]:
    def hook(module: ActivationQuantizer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        module.observe(output, 1 / seen())

    return hook


def set_quantization(model: nn.Module, *, enabled: bool) -> None:
    """Switch fake quantization on or off; without it, a prepared network is its own float reference."""
    for module in model.modules():
        if isinstance(module, ActivationQuantizer | QuantizedConv2d | QuantizedConvTranspose2d):
            module.enabled = enabled


def learn_scales(model: nn.Module) -> None:
    """Train the activation scales of a prepared network by gradient descent."""
    for module in model.modules():
        if isinstance(module, ActivationQuantizer):
            module.learn()


def load_ranges(model: nn.Module, ranges: Mapping[str, float]) -> None:
    """Load the activation scales of a weights file into a prepared network; points kept in float are skipped.

    Raises:
        ArtifactError: scales are missing, unknown or not positive.
    """
    named = dict(model.named_modules())
    quantizers = {n: m for n, m in named.items() if isinstance(m, ActivationQuantizer)}
    ranges = {name: scale for name, scale in ranges.items() if not isinstance(named.get(name), QuantPoint)}
    if set(quantizers) != set(ranges):
        odd = sorted(set(quantizers) ^ set(ranges))
        raise ArtifactError(f"activation ranges do not fit the network (first: {odd[0]})", "train or calibrate again")
    for name, quantizer in quantizers.items():
        if not ranges[name] > 0:
            raise ArtifactError(f"the activation range of {name} is {ranges[name]}", "train or calibrate again")
        quantizer.scale.fill_(ranges[name])
