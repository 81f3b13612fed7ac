"""The networks by name: factory, size, default weights. Names and figures need no torch; building needs it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_harmony.errors import UsageError, parsing
from edge_harmony.extras import require_torch
from edge_harmony.files.artifacts import Output

if TYPE_CHECKING:
    from torch import nn

DEFAULT_MODEL = "edge-s"
_SHOWN = 60
"""Letters of an option's value that an error shows."""


@dataclass(frozen=True)
class ModelEntry:
    """A network of the registry.

    Attributes:
        name: what the command line calls it.
        factory: ``module:class``, imported when built.
        output: what it returns, see :data:`edge_harmony.files.artifacts.Output`.
        parameters: how many it has.
        flops: floating-point operations for one picture at ``size``, a multiply-add counting as two.
        size: height and width that it works at; exports may choose others.
        summary: one line for people.
        options: the factory's arguments.
        unnamed: all arguments of weights that name none, as versions before 0.2 wrote them.
        weights: the network whose shipped weights it takes, which is the same network at another size; itself if empty.
    """

    name: str
    factory: str
    output: Output
    parameters: int
    flops: int
    size: tuple[int, int] = field(default=(256, 256), kw_only=True)
    summary: str
    options: dict[str, Any] = field(default_factory=dict)
    unnamed: dict[str, Any] = field(default_factory=dict)
    weights: str = ""

    def takes_weights_of(self, name: str) -> bool:
        """Whether weights that name a network are for this one: they name it, or one that shares weights with it."""
        return name == self.name or (name in MODELS and MODELS[name].owner == self.owner)

    @property
    def owner(self) -> str:
        """The network whose shipped weights this one takes."""
        return self.weights or self.name

    def build(self, **options: Any) -> nn.Module:
        """Build the network with fresh weights; ``options`` override the entry's own.

        Raises:
            CapabilityError: torch is not installed.
            UsageError: the factory does not take these options.
        """
        return self._made(self.options | options, options)

    def rebuild(self, options: Mapping[str, Any]) -> nn.Module:
        """Build the network that a file describes by all its ``options``; what the entry has become since is ignored.

        Raises:
            CapabilityError: torch is not installed.
            UsageError: the factory does not take these options.
        """
        return self._made(options, options)

    def _made(self, arguments: Mapping[str, Any], told: Mapping[str, Any]) -> nn.Module:
        require_torch()
        module, name = self.factory.split(":")
        factory = getattr(importlib.import_module(module), name)
        text = ", ".join(f"{key} = {str(value)[:_SHOWN]}" for key, value in told.items())
        with parsing(f"{self.name} does not take the options {text}", "see its docstring", UsageError):
            model: nn.Module = factory(**{k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()})
        return model


_ON_LITE0: dict[str, Any] = {
    "widths": (16, 24, 40, 112, 320),
    "hidden": 192,
    "encoder": "efficientnet-lite0",
    "decoder_widths": (160, 96),
    "overall": 128,
    "half_distances": True,
}
_ENTRIES = (
    ModelEntry(
        "edge-n",
        "edge_harmony.models.edge:EdgeNet",
        "affine",
        485_928,
        223_268_352,
        "smallest of the edge family",
        {"widths": (16, 16, 32, 80, 112), "hidden": 64, "overall": 64},
        {"widths": (16, 24, 32, 64, 96), "hidden": 64},
    ),
    ModelEntry(
        "edge-s",
        "edge_harmony.models.edge:EdgeNet",
        "affine",
        4_147_416,
        520_569_280,
        "the default: affine colour transforms at 1/8, EfficientNet-lite0 as encoder",
        _ON_LITE0,
        {"widths": (32, 32, 56, 96, 128)},
        size=(160, 160),
    ),
    ModelEntry(
        "edge-m",
        "edge_harmony.models.edge:EdgeNet",
        "affine",
        4_147_416,
        748_940_544,
        "the network of edge-s on larger pictures",
        _ON_LITE0,
        {"widths": (32, 48, 80, 112, 144)},
        "edge-s",
        size=(192, 192),
    ),
    ModelEntry(
        "edge-l",
        "edge_harmony.models.edge:EdgeNet",
        "affine",
        4_147_416,
        1_330_249_216,
        "the network of edge-s on the largest pictures",
        _ON_LITE0,
        {},
        "edge-s",
    ),
    ModelEntry(
        "hdnet",
        "edge_harmony.models.hdnet:HDNet",
        "rgb",
        10_413_487,
        57_919_835_648,
        "HDNet of the paper (ACM MM 2023)",
        {"width": 32},
    ),
    ModelEntry(
        "hdnet-lite",
        "edge_harmony.models.hdnet:HDNet",
        "rgb",
        652_663,
        3_784_354_688,
        "HDNet-lite of the paper (ACM MM 2023)",
        {"width": 8},
    ),
    ModelEntry(
        "fmm",
        "edge_harmony.models.fmmnet:FMMNet",
        "rgb",
        11_066_948,
        74_885_103_616,
        "attention-based feature modulation (BMVC 2020)",
        {"width": 64},
    ),
    ModelEntry(
        "fmm-lite",
        "edge_harmony.models.fmmnet:FMMNet",
        "rgb",
        531_598,
        3_880_124_416,
        "FMM at the cost of hdnet-lite",
        {"width": 14},
    ),
    ModelEntry(
        "rcl",
        "edge_harmony.models.rclnet:RCLNet",
        "rgb",
        9_764_259,
        50_671_386_624,
        "external style fusion, region-wise contrast (2022)",
        {"width": 32},
    ),
    ModelEntry(
        "rcl-lite",
        "edge_harmony.models.rclnet:RCLNet",
        "rgb",
        611_691,
        3_230_662_656,
        "RCL at the cost of hdnet-lite",
        {"width": 8},
    ),
)
MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def find_model(name: str) -> ModelEntry:
    """The registry's entry of a name.

    Raises:
        UsageError: there is none; the message names the closest, nothing is guessed.
    """
    if name in MODELS:
        return MODELS[name]
    close = difflib.get_close_matches(name, MODELS, 1)
    hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(MODELS)}"
    raise UsageError(f"there is no model {name!r}", hint)


def build_model(name: str, **options: Any) -> nn.Module:
    """Build a network of the registry with fresh weights."""
    return find_model(name).build(**options)


def weights_folder() -> Path:
    """Where the weights and artifacts that ship with the package lie."""
    return Path(__file__).parent / "weights"


def has_weights(name: str) -> bool:
    """Whether weights of a network are shipped.

    Raises:
        UsageError: there is no such network.
    """
    return _weights_path(name).is_file()


def bundled_weights(name: str) -> Path:
    """The shipped weights of a network, which networks may share.

    Raises:
        UsageError: none are shipped.
    """
    path = _weights_path(name)
    if not path.is_file():
        shipped = [entry for entry in MODELS if has_weights(entry)]
        raise UsageError(
            f"no weights of {name} are shipped", f"pass --weights FILE, or use one of: {', '.join(shipped)}"
        )
    return path


def _weights_path(name: str) -> Path:
    return weights_folder() / f"{find_model(name).owner}.safetensors"
