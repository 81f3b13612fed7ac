"""Activation ranges for post-training quantization: a float network sees pictures, and its points get their ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from edge_harmony.data.calibration_set import CalibrationSet
from edge_harmony.errors import InputError, UsageError, name_some
from edge_harmony.files.atomic import make_folder, make_place_for, sha256_of
from edge_harmony.files.identity import check_outputs
from edge_harmony.files.resources import cache_folder
from edge_harmony.models.edge import EdgeNet
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import read_weights, resolve_weights, restore, save_weights
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.quantization.equalize import equalize
from edge_harmony.quantization.fake_quant import ACTIVATION_RANGE, ActivationQuantizer
from edge_harmony.quantization.histograms import (
    DEFAULT_PERCENTILE,
    Histogram,
    Histograms,
    Method,
    load_histograms,
    save_histograms,
)
from edge_harmony.quantization.prepare import prepare_qat, set_quantization

_SAVE_EVERY = 16
"""Pictures between two writes of what was counted."""


@dataclass(frozen=True)
class CalibratedRanges:
    """The result of :func:`calibrate_weights`, by the names of the quantization points.

    Attributes:
        scales: of the points; the range is 127 times as much.
        largest: the largest magnitude that was seen.
    """

    scales: dict[str, float]
    largest: dict[str, float]


def calibrate_weights(
    model: str,
    weights: Path | None,
    pictures: CalibrationSet,
    root: Path,
    output: Path,
    *,
    method: Method = "mse",
    percentile: float = DEFAULT_PERCENTILE,
    equal_channels: bool = False,
    cache: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> CalibratedRanges:
    """Give float weights activation ranges without training, and write them to a file.

    Existing ranges of the weights are replaced. The histograms are cached per weights and set: another method costs
    nothing, and a stopped run can go on.

    Args:
        model: name in the registry.
        weights: file of its weights; None for the shipped ones.
        pictures: the set.
        root: where its files lie.
        output: weights file to write.
        method: where ranges are cut off, see :meth:`Histogram.threshold`.
        percentile: in per cent, of the method of this name.
        equal_channels: first make the ranges of channels equal where that costs nothing, by a pass over the pictures
            (:func:`~edge_harmony.quantization.equalize.equalize`), and those of the input's planes
            (:meth:`~edge_harmony.models.edge.EdgeNet.halve_distances`); the float network computes the same.
        cache: folder for what was counted; ``calibration`` in the cache by default.
        advance: called for every picture, those that an earlier run has counted too.

    Raises:
        UsageError: an unknown network, method or percentile, there are no weights, or ``output`` is one of the inputs.
        ArtifactError: the weights are damaged or of another network.
        CapabilityError: channels shall be equalized, and the network has none where that costs nothing.
        InputError: files of the set are missing or changed, or a point saw nothing but zeros.
    """
    entry = find_model(model)
    source = resolve_weights(entry.name, weights)
    check_outputs([output], [source, *pictures.paths(root)])
    make_place_for(output)
    stored = read_weights(source)
    network, options = fold_norms(restore(entry.name, stored)), dict(stored.options)
    pictures.verify(root)
    if equal_channels:
        equalize(network, inputs_of(pictures, root, entry.size))
        if isinstance(network, EdgeNet):
            network.halve_distances()
            options["half_distances"] = network.half_distances
    network = prepare_qat(network)
    key = f"{sha256_of(source)}-{pictures.sha256}-{entry.size[0]}x{entry.size[1]}{'-equal-halved' * equal_channels}"
    kept = make_folder(cache or cache_folder() / "calibration") / f"{key[:16]}-{pictures.sha256[:16]}.npz"
    histograms, seen = load_histograms(kept, key)
    total = len(pictures.files)
    points = {name for name, module in network.named_modules() if isinstance(module, ActivationQuantizer)}
    if seen > total or histograms.keys() != points:
        histograms, seen = {}, 0
    for _ in range(seen):
        advance()
    if seen < total:
        save = _saver(lambda counted, done: save_histograms(kept, counted, key, done), seen, total, advance)
        histograms = collect(network, inputs_of(pictures, root, entry.size, seen), histograms, save)
    scales = set_ranges(network, histograms, method, percentile)
    save_weights(
        output,
        network,
        name=entry.name,
        options=options,
        recipe_sha256=stored.recipe_sha256,
        images=stored.images,
        history=stored.history,
    )
    return CalibratedRanges(scales, {point: histograms[point].largest for point in scales})


def inputs_of(
    pictures: CalibrationSet, root: Path, size: tuple[int, int], start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """A set as a network takes it: composites ``(1, 3, H, W)`` and masks ``(1, 1, H, W)`` in [0, 1], from ``start`` on.

    Raises:
        InputError: a picture cannot be read.
    """
    for _, composite, mask in pictures.pictures(root, start):
        planes, small_mask = to_working_size(composite, mask, size)
        yield torch.from_numpy(planes), torch.from_numpy(small_mask)


def _saver(
    save: Callable[[Histograms, int], None], seen: int, total: int, advance: Callable[[], None]
) -> Callable[[Histograms], None]:
    """Advance with every picture, and save now and then and at the end."""
    done = seen

    def after(histograms: Histograms) -> None:
        nonlocal done
        done += 1
        advance()
        if done % _SAVE_EVERY == 0 or done == total:
            save(histograms, done)

    return after


def collect(
    model: nn.Module,
    inputs: Iterable[tuple[Tensor, Tensor]],
    histograms: Histograms | None = None,
    done: Callable[[Histograms], None] | None = None,
) -> Histograms:
    """Run a prepared network in float and count the values at its quantization points.

    Args:
        model: a network from :func:`~edge_harmony.quantization.prepare.prepare_qat`.
        inputs: inputs of the network, ``(composite, mask)``.
        histograms: histograms to continue; filled in place.
        done: called after every item, for example to save.

    Raises:
        InputError: there are no pictures, or values are not finite.
    """
    points = {name: module for name, module in model.named_modules() if isinstance(module, ActivationQuantizer)}
    counted = histograms if histograms is not None else {}
    for name in points:
        counted.setdefault(name, Histogram())
    hooks = [module.register_forward_hook(_counter(counted[name])) for name, module in points.items()]
    set_quantization(model, enabled=False)
    model.eval()
    try:
        with torch.inference_mode():
            for composite, mask in inputs:
                if not bool(composite.isfinite().all() and mask.isfinite().all()):
                    raise InputError("the calibration pictures hold values that are not finite", "check the pictures")
                model(composite, mask)
                if done is not None:
                    done(counted)
    finally:
        for hook in hooks:
            hook.remove()
        set_quantization(model, enabled=True)
    if not any(histogram.counts.any() for histogram in counted.values()):
        raise InputError("the calibration set is empty", "give at least one picture")
    return counted


def _counter(histogram: Histogram) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def hook(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        histogram.add(output.detach().float().cpu().numpy())

    return hook


def set_ranges(
    model: nn.Module, histograms: Histograms, method: Method, percentile: float = DEFAULT_PERCENTILE
) -> dict[str, float]:
    """Set the scale of every quantization point of a prepared network; returns the scales by name.

    Raises:
        UsageError: the method is unknown, or the percentile is outside (0, 100].
        InputError: a point saw only zeros.
    """
    if method not in get_args(Method):
        raise UsageError(f"there is no calibration method {method!r}", f"choose from {', '.join(get_args(Method))}")
    if not 0 < percentile <= 100:
        raise UsageError(f"the percentile is {percentile}", "give more than 0 and at most 100")
    silent = [name for name, histogram in histograms.items() if histogram.largest == 0.0]
    if silent:
        raise InputError(
            f"{len(silent)} points of the network saw only zeros: {name_some(silent)}", "calibrate on more pictures"
        )
    scales: dict[str, float] = {}
    for name, module in model.named_modules():
        if isinstance(module, ActivationQuantizer):
            scales[name] = histograms[name].threshold(method, percentile) / ACTIVATION_RANGE[1]
            module.scale.fill_(scales[name])
    return scales
