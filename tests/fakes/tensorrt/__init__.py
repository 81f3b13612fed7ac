"""A TensorRT stand-in on the CUDA stand-in; it fails on demand.

The modules are cut to the real binding surface of a version: names that the version lacks are missing. As TensorRT and
its bindings: the first logger is the only one, it is called from other threads too and is not kept alive; what
callbacks raise is printed and forgotten; constructors that TensorRT answers with null raise TypeError; errors of
kernels that were tried and left out come before the one that counts; calibration reads batches of the best shape of
its profile; a plan loads only in the version and on the GPU that it was built for; DLA has rules of its own; the parser
before 10 ignores axes that are inputs; layers come as their base class; scratch memory that is left to the caller must
be enough for the shapes, and it and the buffers must still be held when the network, or a graph of it, runs.
"""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any

from edge_harmony.backends.tensorrt.bridge import TensorRT
from tests.fakes.tensorrt.building import builder_classes
from tests.fakes.tensorrt.engines import runtime_classes
from tests.fakes.tensorrt.networks import network_classes
from tests.fakes.tensorrt.voice import Severity, Voice
from tests.fakes.tensorrt.world import VERSIONS, WEAK, World, surface

__all__ = ["VERSIONS", "WEAK", "World", "fake_tensorrt", "surface"]

_DERIVED = ("ILogger", "IProfiler", "IProgressMonitor", "IInt8EntropyCalibrator2", "IInt8MinMaxCalibrator")
"""Classes that Python derives from: their constructor is called, and their methods are TensorRT's to call."""


def fake_tensorrt(version: str, world: World) -> TensorRT:
    """A TensorRT of a version, with the names of the real bindings."""
    names = surface(version)
    module = SimpleNamespace(__version__=version.removeprefix("rtx-") + ".0")
    for kind, members in names.items():
        if {"name", "value"} <= set(members):
            choices = [m for m in members if m not in ("name", "value")]
            setattr(module, kind, enum.IntEnum(kind, choices) if choices else object)
        else:
            setattr(module, kind, type(kind, (), {m: None for m in members if not m.startswith("_")}))
    for kind, real in _classes(module, names, world).items():
        if kind in names:
            setattr(module, kind, _cut(real, names[kind]))
    parts = tuple(int(part) for part in module.__version__.split("."))
    return TensorRT(module, "tensorrt-rtx" if version.startswith("rtx") else "tensorrt", parts)


def _cut(kind: type, names: list[str]) -> type:
    """Cut a class to a version: names not written here do nothing, names that the version lacks are removed."""
    for name in vars(kind).keys() - {*names}:
        if not name.startswith("_"):
            delattr(kind, name)
    for name in names:
        if not hasattr(kind, name) and not name.startswith("__"):
            setattr(kind, name, None)
    return kind


def _classes(trt: Any, names: dict[str, list[str]], world: World) -> dict[str, type]:
    voice = Voice(world)
    networks = network_classes(trt, world, voice)
    derived = {name: type(name, (), {"__init__": lambda self: None}) for name in _DERIVED}
    derived["ILogger"].Severity = Severity
    return {
        **networks,
        **builder_classes(trt, names, world, voice, networks["INetworkDefinition"]),
        **runtime_classes(trt, world, voice),
        **derived,
    }
