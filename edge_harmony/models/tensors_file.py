"""Safetensors files: the same bytes for the same content, and one door for those that come from elsewhere.

https://huggingface.co/docs/safetensors: eight bytes with the length of a JSON header, the header, the tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from edge_harmony.errors import EdgeHarmonyError, parsing
from edge_harmony.files.atomic import atomic_write

_ALIGNMENT = 8
_METADATA = "__metadata__"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file, whole or not at all; equal content gives equal bytes.

    Raises:
        UsageError: the file cannot be written.
    """
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    atomic_write(path, _ordered(save(stored, metadata=dict(metadata))))


def read_tensors(
    path: Path, message: str, hint: str, kind: type[EdgeHarmonyError]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a file, and the texts in its header.

    Args:
        path: of the file.
        message: what an error says of a file that cannot be read; the reason follows in brackets.
        hint: what to do then.
        kind: of the error.

    Raises:
        EdgeHarmonyError: of ``kind``, if the file is damaged or no safetensors file.
    """
    with parsing(message, hint, kind), safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118  (no mapping)


def read_texts(path: Path, message: str, hint: str, kind: type[EdgeHarmonyError]) -> dict[str, str]:
    """The texts in the header of a file, without its tensors; see :func:`read_tensors`."""
    with parsing(message, hint, kind), safe_open(path, framework="pt") as file:
        return file.metadata() or {}


def _ordered(data: bytes) -> bytes:
    """A file with its header in order: safetensors writes the texts of the header in a random one."""
    start = _ALIGNMENT + int.from_bytes(data[:_ALIGNMENT], "little")
    header = json.loads(data[_ALIGNMENT:start])
    texts = dict(sorted(header.pop(_METADATA, {}).items()))
    text = json.dumps({_METADATA: texts} | dict(sorted(header.items())), separators=(",", ":"), ensure_ascii=False)
    encoded = text.encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    return b"".join((len(encoded).to_bytes(_ALIGNMENT, "little"), encoded, memoryview(data)[start:]))
