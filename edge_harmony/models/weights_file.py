"""Weights on disk: safetensors, with what is needed to rebuild the network in the file's header."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, FiniteFloat, Json, ValidationError
from torch import Tensor, nn

from edge_harmony.errors import ArtifactError, UsageError, last_line, parsing
from edge_harmony.files.toml import problems_of
from edge_harmony.models.layers.conv_unit import ConvUnit, fold_norms
from edge_harmony.models.registry import bundled_weights, find_model
from edge_harmony.models.tensors_file import read_tensors, read_texts, write_tensors

FORMAT = "edge-harmony-weights-1"
CHECKPOINT = "edge-harmony-checkpoint-1"


@dataclass(frozen=True)
class Weights:
    """A weights file as read.

    Attributes:
        name: of the network in the registry.
        options: of its factory.
        folded: norms are folded into the convolutions.
        ranges: activation ranges of quantization points by name; empty if never quantized.
        tensors: the state dict without the ranges.
        recipe_sha256: of the recipe that trained it, if one did.
        images: seen under that recipe, if known.
        history: what it had been trained on before that recipe, oldest first: ``recipe_sha256``, ``images`` seen under
            it, and ``sha256`` of the weights file that was taken over (None where the run itself went on).
    """

    name: str
    options: dict[str, Any]
    folded: bool
    ranges: dict[str, float]
    tensors: dict[str, Tensor]
    recipe_sha256: str | None
    images: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


class Header(BaseModel):
    """What :func:`describe` writes, with its types; see :class:`Weights`."""

    format: str
    model: str
    options: Json[dict[str, Any]]
    folded: Json[bool]
    ranges: Json[dict[str, FiniteFloat]] = {}
    recipe_sha256: str
    images: Json[int | None] = None
    history: Json[list[dict[str, Any]]] = []


def save_weights(
    path: Path,
    model: nn.Module,
    *,
    name: str,
    options: Mapping[str, Any] | None = None,
    recipe_sha256: str | None = None,
    images: int | None = None,
    history: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write a network's weights, with its activation ranges if it was prepared for quantization."""
    ranges = activation_ranges(model)
    state = {k: v for k, v in model.state_dict().items() if k.rpartition(".")[0] not in ranges}
    metadata = {"format": FORMAT} | describe(model, name, options, recipe_sha256, images, history)
    write_tensors(path, state, metadata)


def write_half(source: Path, target: Path) -> None:
    """Copy a weights file with its numbers in 16 bits, half as large; reading makes them 32 bits again.

    A tensor keeps 32 bits if one of its numbers is too large for 16 (65,504). The relative error of the others is at
    most 2^-11; numbers below 6e-5 lose more, those below 3e-8 become 0.

    Raises:
        UsageError: there is no source, or the target cannot be written.
        ArtifactError: the source is damaged.
    """
    read_weights(source)
    tensors, metadata = read_tensors(source, *_damaged(source), ArtifactError)
    halves = {name: value.half() for name, value in tensors.items() if value.dtype == torch.float32}
    fitting = {name: value for name, value in halves.items() if value.isfinite().all()}
    write_tensors(target, tensors | fitting, metadata)


def describe(
    model: nn.Module,
    name: str,
    options: Mapping[str, Any] | None,
    recipe_sha256: str | None,
    images: int | None,
    history: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """The description of the network in a file's header, see :class:`Weights`."""
    folded = any(isinstance(m, ConvUnit) and isinstance(m.norm, nn.Identity) for m in model.modules())
    facts = {
        "model": name,
        "options": json.dumps(all_options(name, options)),
        "folded": json.dumps(folded),
        "ranges": json.dumps(activation_ranges(model)),
        "recipe_sha256": recipe_sha256 or "",
    }
    known = {"images": images, "history": list(history) or None}  # files without them stay as they were
    return facts | {key: json.dumps(value) for key, value in known.items() if value is not None}


def all_options(name: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of a network's factory: the registry's, and those that were given in their place."""
    return find_model(name).options | dict(options or {})


def activation_ranges(model: nn.Module) -> dict[str, float]:
    """Scales of the quantization points that hold one, by the point's name in the network."""
    return {
        name: float(scale)
        for name, module in model.named_modules()
        if isinstance(scale := getattr(module, "scale", None), Tensor) and scale.ndim == 0
    }


def read_weights(path: Path) -> Weights:
    """Read a weights file; of a training checkpoint the averaged weights.

    Raises:
        UsageError: the file does not exist.
        ArtifactError: it is damaged or not a weights file of ours.
    """
    damaged = _damaged(path)
    tensors, metadata = read_tensors(path, *damaged, ArtifactError)
    header = _header_of(path, metadata)
    ranges = header.ranges
    if header.format == CHECKPOINT:
        with parsing(*damaged, ArtifactError):
            tensors, ranges = _averaged(tensors, ranges)
    return Weights(
        name=header.model,
        options=header.options or _unnamed(header.model),
        folded=header.folded,
        ranges=ranges,
        tensors={key: value.float() if value.dtype == torch.float16 else value for key, value in tensors.items()},
        recipe_sha256=header.recipe_sha256 or None,
        images=header.images,
        history=header.history,
    )


def read_header(path: Path) -> Header:
    """What a weights file says of itself, without its tensors.

    Raises:
        UsageError: the file does not exist.
        ArtifactError: it is damaged or not a weights file of ours.
    """
    return _header_of(path, read_texts(path, *_damaged(path), ArtifactError))


def _header_of(path: Path, metadata: Mapping[str, str]) -> Header:
    if metadata.get("format") not in (FORMAT, CHECKPOINT):
        raise ArtifactError(
            f"{path} is a safetensors file but has no edge-harmony weights", "convert it with edge-harmony import"
        )
    try:
        return Header.model_validate(metadata)
    except ValidationError as error:
        message, hint = _damaged(path)
        raise ArtifactError(f"{message} ({problems_of(error, 'header')})", hint) from None


def _unnamed(name: str) -> dict[str, Any]:
    """The options of weights that name none."""
    entry = find_model(name)
    return dict(entry.unnamed or entry.options)


def _damaged(path: Path) -> tuple[str, str]:
    """Message and hint for a damaged file.

    Raises:
        UsageError: there is no file.
    """
    if not path.is_file():
        raise UsageError(f"there are no weights {path}", "check the path")
    return f"the weights {path} are damaged", "download or train them again"


def _averaged(tensors: dict[str, Tensor], points: Mapping[str, float]) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The averaged weights in a checkpoint, and the averaged ranges of its quantization points."""
    average = {key.removeprefix("average/"): value for key, value in tensors.items() if key.startswith("average/")}
    ranges = {point: float(average[f"{point}.scale"]) for point in points}
    return {key: value for key, value in average.items() if key.rpartition(".")[0] not in ranges}, ranges


def resolve_weights(name: str, path: Path | None = None) -> Path:
    """The weights file to use for a network: ``path``, else the shipped ones."""
    return path if path is not None else bundled_weights(name)


def restore(name: str, weights: Weights) -> nn.Module:
    """Build a network in evaluation mode with the tensors of a weights file, in float.

    Raises:
        ArtifactError: the weights are of another network or do not fit it.
    """
    entry = find_model(name)
    if not entry.takes_weights_of(weights.name):
        raise ArtifactError(f"these are weights of {weights.name}, not of {name}", f"pass --model {weights.name}")
    again = "train or convert them again"
    try:
        with parsing(f"the weights do not fit {name}", again, ArtifactError):
            model = entry.rebuild(weights.options)
    except UsageError as error:
        raise ArtifactError(f"the weights do not fit {name} ({error.message})", again) from None
    if weights.folded:
        fold_norms(model)
    try:
        model.load_state_dict(weights.tensors)
    except RuntimeError as error:
        raise ArtifactError(f"the weights do not fit {name} ({last_line(error)})", again) from None
    return model.eval()


def load_model(name: str, weights: Path | str | None = None) -> nn.Module:
    """A network with weights, in float and evaluation mode.

    Args:
        name: in the registry.
        weights: a weights file; by default the shipped one.

    Raises:
        UsageError: unknown name, or nothing shipped and nothing given.
        ArtifactError: the weights are damaged or of another network.
    """
    path = resolve_weights(name, None if weights is None else Path(weights))
    return restore(name, read_weights(path))
