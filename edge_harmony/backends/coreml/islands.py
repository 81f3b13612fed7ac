"""Parts of a program that compute in 32 bits, where an iPhone leaves the neural engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from coremltools.converters.mil.mil import types

from edge_harmony.backends.coreml.operations import tensors_read

_NO_WORK = {"const", "cast", "quantize", "dequantize"}


def wide_islands(operations: Iterable[Any]) -> list[list[str]]:
    """The names of the operations that compute in 32 bits, in connected groups, of a program with 16 bits too.

    Constants, casts and conversions from and to 8 bits are no work. A program that computes nothing in 16 bits has no
    islands: it is one piece.

    Args:
        operations: of a function, in its order, as coremltools loads them.
    """
    working = [op for op in operations if op.op_type not in _NO_WORK and not op.op_type.startswith("constexpr")]
    if not any(op.outputs[0].dtype is types.fp16 for op in working):
        return []
    groups: list[tuple[set[str], list[str]]] = []  # the tensors that a group makes, and its operations
    for op in working:
        if op.outputs[0].dtype is not types.fp32:
            continue
        reads = {value.name for value in tensors_read(op)}
        joined = [group for group in groups if group[0] & reads]
        groups = [group for group in groups if group not in joined]
        made = {value.name for value in op.outputs}.union(*(group[0] for group in joined))
        groups.append((made, [*(name for group in joined for name in group[1]), op.name]))
    return [names for _, names in groups]
