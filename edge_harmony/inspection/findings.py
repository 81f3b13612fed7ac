"""The result of inspecting a file before it is built or run: its layers, and reasons why a target refuses it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Arithmetic = Literal["int8", "fp16", "float"]


@dataclass(frozen=True)
class LayerReport:
    """One layer.

    Attributes:
        name: name of its node, or ``island N`` for connected float operators between layers.
        kind: its operator and activation; for an island, its operators.
        precision: the arithmetic that computes it.
        reason: the reason why this is not ``int8``; empty if it is.
    """

    name: str
    kind: str
    precision: Arithmetic
    reason: str


@dataclass(frozen=True)
class Finding:
    """A part of a file that a target refuses, or runs slowly.

    Attributes:
        node: name of the node, or another place in the file.
        problem: the problem.
        fix: what to do about it.
        fatal: whether the target refuses the file or computes wrong numbers; otherwise it is only slow.
    """

    node: str
    problem: str
    fix: str
    fatal: bool = True


@dataclass(frozen=True)
class Inspection:
    """The result of an inspection.

    Attributes:
        layers: the layers, in the file's order.
        findings: parts that the target refuses or runs slowly.
        reformats: places where a tensor leaves 8 bits for float operators and returns.
        opset: ONNX operator set of the file; None for other formats.
        unknown: questions that the file does not answer, each with the tool that does.
    """

    layers: list[LayerReport]
    findings: list[Finding]
    reformats: list[str] = field(default_factory=list)
    islands: dict[str, list[str]] = field(default_factory=dict)
    opset: int | None = None
    unknown: list[str] = field(default_factory=list)
