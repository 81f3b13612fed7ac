"""What is found in a file before it is built or run: its layers, and what a target will not take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Arithmetic = Literal["int8", "fp16", "float"]


@dataclass(frozen=True)
class LayerReport:
    """One layer.

    Attributes:
        name: of its node, or ``island N`` for connected float operators between layers.
        kind: operator, with its activation; of an island its operators.
        precision: what it computes in.
        reason: why it is not integer; empty where it is.
    """

    name: str
    kind: str
    precision: Arithmetic
    reason: str


@dataclass(frozen=True)
class Finding:
    """Something about a file that a target will not take.

    Attributes:
        node: where.
        problem: what it is.
        fix: what to do.
        fatal: the target refuses the file, or computes something else; otherwise it is merely slow.
    """

    node: str
    problem: str
    fix: str
    fatal: bool = True


@dataclass(frozen=True)
class Inspection:
    """What a file says.

    Attributes:
        layers: in the file's order.
        findings: what the target refuses or computes slowly.
        reformats: where a tensor leaves 8 bits for float operators and comes back.
        opset: ONNX operator set of the file; None for other formats.
        unknown: what the file cannot tell, and who can.
    """

    layers: list[LayerReport]
    findings: list[Finding]
    reformats: list[str] = field(default_factory=list)
    opset: int | None = None
    unknown: list[str] = field(default_factory=list)
