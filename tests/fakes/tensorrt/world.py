"""The world of the stand-in: versions of TensorRT with their names, what fails, and a record of calls."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.cuda import FakeCuda

VERSIONS = ("8.6", "10.3", "10.13", "10.16", "11.4", "rtx-1.7")
WEAK = ("8.6", "10.3", "10.13", "10.16")
"""Versions that build networks without types of their own, too."""
_SURFACES = Path(__file__).parents[2] / "golden" / "tensorrt_api"


def surface(version: str) -> dict[str, list[str]]:
    """Classes of a version and their attributes."""
    content: dict[str, list[str]] = json.loads((_SURFACES / f"{version}.json").read_text())
    return content


@dataclass
class World:
    """Behaviour of the fake TensorRT, and a record of calls.

    Attributes:
        cuda: its device.
        fails: names of calls that fail, with their messages.
        configs: attributes and flags of every build.
        dla: DLA cores.
        murmurs: errors that every call reports before the one that counts.
        swallowed: what callbacks raised and the bindings forgot.
        strays: engines that were freed while another GPU, or none, was current.
        cancelled: builds that a monitor stopped.
        parsed: opset of every file.
        gpu: whether there is one, of which TensorRT for RTX wants to know only at times.
        compiled: kernels that TensorRT for RTX compiled while it ran.
        sides: height and width of the inputs of networks.
        layers: kind, inputs and result of every layer; empty for a single one. ``ELEMENTWISE:PROD`` names an operation.
    """

    cuda: FakeCuda = field(default_factory=FakeCuda)
    fails: dict[str, str] = field(default_factory=dict)
    configs: list[dict[str, Any]] = field(default_factory=list)
    dla: int = 0
    builds: int = 0
    batches: int = 0
    runtimes: list[Any] = field(default_factory=list)
    quantized: bool = False
    halves: bool = False
    names: tuple[str, ...] = ("composite", "mask")
    packed: tuple[str, ...] = ()
    open_batch: bool = False
    murmurs: tuple[str, ...] = ()
    swallowed: list[BaseException] = field(default_factory=list)
    strays: int = 0
    cancelled: int = 0
    parsed: list[int] = field(default_factory=list)
    compiled: int = 0
    gpu: bool = True
    sides: tuple[int, int] = (4, 4)
    layers: tuple[tuple[str, tuple[str, ...], str], ...] = ()
