"""Operations of a program, as coremltools loads them."""

from __future__ import annotations

from typing import Any


def tensors_read(operation: Any) -> list[Any]:
    """The values that an operation reads, out of single ones and lists; absent ones are left out."""
    groups = [value if isinstance(value, list | tuple) else [value] for value in operation.inputs.values()]
    return [value for group in groups for value in group if value is not None]
