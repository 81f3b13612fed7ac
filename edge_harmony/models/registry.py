"""The networks by name: factory, size, default weights. Names and figures need no torch; building needs it."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_harmony.errors import UsageError, parsing
from edge_harmony.extras import require_torch
from edge_harmony.files.manifest import Output

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
        output: what it returns, see :data:`edge_harmony.files.manifest.Output`.
        parameters: how many it has.
        flops: floating-point operations for one picture at ``size``, a multiply-add counting as two.
        size: height and width that it works at; exports may choose others.
        summary: one line for people.
        options: the factory's arguments.
        unnamed: the arguments of weights that name none, as versions before 0.2 wrote them.
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

    def build(self, **options: Any) -> nn.Module:
        """Build the network with fresh weights; ``options`` override the entry's own.

        Raises:
            CapabilityError: torch is not installed.
            UsageError: the factory does not take these options.
        """
        require_torch()
        module, name = self.factory.split(":")
        factory = getattr(importlib.import_module(module), name)
        merged = {k: tuple(v) if isinstance(v, list) else v for k, v in (self.options | options).items()}
        told = ", ".join(f"{key} = {str(value)[:_SHOWN]}" for key, value in options.items())
        with parsing(f"{self.name} does not take the options {told}", "see its docstring", UsageError):
            model: nn.Module = factory(**merged)
        return model


_ENTRIES = (
    ModelEntry(
        "edge-n",
        "edge_harmony.models.edge:EdgeNet",
        "affine",
        485_928,
        223_268_352,
        "smallest of the edge family",
        {"widths": (16, 16, 32, 80, 112), "hidden": 64, "overall": 64},
        {"widths": (16, 24, 32, 64, 96), "hidden": 64, "overall": 0},
    ),
    ModelEntry(
        "edge-s",
        "edge_harmony.models.edge:EdgeNet",
        "affine",
        868_088,
        571_445_248,
        "the default: affine colour transforms at 1/8, INT8",
        {"widths": (32, 32, 64, 96, 128), "hidden": 128, "overall": 64},
        {"widths": (32, 32, 56, 96, 128), "overall": 0},
    ),
    ModelEntry(
        "edge-m",
        "edge_harmony.models.edge:EdgeNet",
        "affine",
        1_148_568,
        880_164_864,
        "affine colour transforms at 1/8, half again as wide as edge-s",
        {"widths": (32, 48, 80, 112, 144), "hidden": 128, "overall": 64},
        {"overall": 0},
    ),
    ModelEntry(
        "edge-l",
        "edge_harmony.models.edge:EdgeNet",
        "affine",
        4_147_416,
        1_330_249_216,
        "largest of the edge family: EfficientNet-lite0 as encoder",
        {
            "widths": (16, 24, 40, 112, 320),
            "hidden": 192,
            "encoder": "efficientnet-lite0",
            "decoder_widths": (160, 96),
            "overall": 128,
        },
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
        "rcl",
        "edge_harmony.models.rclnet:RCLNet",
        "rgb",
        9_764_259,
        50_671_386_624,
        "external style fusion, region-wise contrast (2022)",
        {"width": 32},
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


def bundled_weights(name: str) -> Path:
    """The shipped weights of a network.

    Raises:
        UsageError: none are shipped.
    """
    path = weights_folder() / f"{find_model(name).name}.safetensors"
    if not path.is_file():
        shipped = sorted(p.stem for p in weights_folder().glob("*.safetensors"))
        raise UsageError(
            f"no weights of {name} are shipped", f"pass --weights FILE, or use one of: {', '.join(shipped)}"
        )
    return path
