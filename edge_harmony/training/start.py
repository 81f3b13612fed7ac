"""Starting a run from weights: shipped weights, weights of another run, or the averages in a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from edge_harmony.errors import ArtifactError, name_some
from edge_harmony.files.atomic import sha256_of
from edge_harmony.models.edge import EdgeNet
from edge_harmony.models.layers.conv_unit import ConvUnit, fold_norms
from edge_harmony.models.weights_file import read_weights
from edge_harmony.quantization.fake_quant import ActivationQuantizer
from edge_harmony.quantization.prepare import load_ranges

PicturesAndMasks = Iterable[tuple[Tensor, Tensor]]


def start_from(path: Path, model: nn.Module, batches: Callable[[], PicturesAndMasks]) -> list[dict[str, Any]]:
    """Load weights into a network, in place.

    A network with norms gets back those that the weights have folded, see :func:`unfold_norms`, and no activation
    ranges: its quantized stages calibrate their own. One that is prepared for quantization gets weights and ranges as
    they are.

    Args:
        path: a weights file, or a training checkpoint, whose averaged weights are used.
        model: the network, with its norms or prepared
            (:func:`~edge_harmony.quantization.prepare.prepare_qat`).
        batches: function that returns ``(composite, mask)`` to measure norms with; called only if norms are folded.

    Returns:
        the weights' history with this file at its end, see :class:`~edge_harmony.models.weights_file.Weights`.

    Raises:
        UsageError: the file does not exist.
        ArtifactError: the file is damaged, its tensors do not fit the network, or a prepared network finds no ranges.
    """
    weights = read_weights(path)
    prepared = any(isinstance(module, ActivationQuantizer) for module in model.modules())
    if prepared and not (weights.folded and weights.ranges):
        raise ArtifactError(
            f"the weights {path} have no activation ranges, which the recipe's first stage keeps",
            'calibrate them, or train without scales = "kept"',
        )
    target = fold_norms(copy.deepcopy(model)) if weights.folded and not prepared else model
    own = {name: value for name, value in target.state_dict().items() if name.rpartition(".")[0] not in weights.ranges}
    given = weights.tensors
    wrong = [f"{name} is not in the network" for name in given if name not in own]
    wrong += [f"{name} is missing" for name in own if name not in given]
    wrong += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    if wrong:
        raise ArtifactError(
            f"the weights {path} do not fit the recipe's network: {name_some(wrong)}",
            f"they are of {weights.name} with the options {weights.options}",
        )
    _load(given, weights.options, target)
    if prepared:
        load_ranges(target, weights.ranges)
    elif weights.folded:
        unfold_norms(target, model, batches())
    taken = {"recipe_sha256": weights.recipe_sha256, "images": weights.images, "sha256": sha256_of(path)}
    return [*weights.history, taken]


def _load(tensors: Mapping[str, Tensor], options: Mapping[str, Any], model: nn.Module) -> None:
    """Load tensors that fit, and convert them if the file's network has its distances at another scale."""
    model.load_state_dict(tensors, strict=False)  # of a prepared network all but the ranges
    if isinstance(model, EdgeNet):
        wanted, model.half_distances = model.half_distances, options.get("half_distances", False)
        model.halve_distances(wanted)


@torch.no_grad()
def unfold_norms(folded: nn.Module, model: nn.Module, batches: PicturesAndMasks) -> None:
    """Convert a network with folded norms back to one with norms that computes equal values, so that it trains better.

    Each norm gets the mean and variance of its convolution's output over the batches, and the gain and offset that undo
    them: the output does not change, up to rounding.

    Args:
        folded: the network without norms; it is run in evaluation mode.
        model: this network with norms, changed in place.
        batches: inputs of the network, ``(composite, mask)``.
    """
    moments: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def keep(_: nn.Module, __: Any, output: Tensor) -> None:
            values = output.double()
            moments.setdefault(name, []).append((values.mean((0, 2, 3)), values.square().mean((0, 2, 3))))

        return keep

    bare = dict(folded.named_modules())
    normed = {
        name: unit
        for name, unit in model.named_modules()
        if isinstance(unit, ConvUnit) and isinstance(unit.norm, nn.BatchNorm2d)
    }
    hooks = [bare[f"{name}.conv"].register_forward_hook(watch(name)) for name in normed]
    folded.eval()
    for composite, mask in batches:
        folded(composite, mask)
    for hook in hooks:
        hook.remove()
    state = folded.state_dict()
    model.load_state_dict(state, strict=False)  # convolutions before a norm have no bias
    for name, unit in normed.items():
        norm = cast(nn.BatchNorm2d, unit.norm)
        mean, square = (torch.stack(parts).mean(0) for parts in zip(*moments[name], strict=True))
        variance = (square - mean.square()).clamp_min(1e-12)
        values = {
            "running_mean": mean - state[f"{name}.conv.bias"],
            "running_var": variance,
            "weight": torch.sqrt(variance + norm.eps),
            "bias": mean,
        }
        for key, value in values.items():
            getattr(norm, key).copy_(value)
