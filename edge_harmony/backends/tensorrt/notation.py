"""The notation of trtexec's flags: text to the values of :mod:`~edge_harmony.backends.tensorrt.options`, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from edge_harmony.errors import UsageError

_POOLS = ("workspace", "dlaSRAM", "dlaLocalDRAM", "dlaGlobalDRAM", "tacticSharedMem")
_UNITS = {"": 1 << 20, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_shapes(text: str, option: str) -> dict[str, tuple[int, ...]]:
    """``composite:1x3x256x256,strength:scalar`` as trtexec writes it; a scalar's shape is ``()``.

    Raises:
        UsageError: it is not of this form.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*'?(.+?)'?:(\d+(?:x\d+)*|scalar|)\s*", part)
        if found is None:
            raise UsageError(f"{option} cannot be read at {part!r}", "write name:1x3x256x256,name:1x1x256x256")
        shape = tuple(int(size) for size in found[2].split("x")) if found[2] not in ("", "scalar") else ()
        if found[1] in shapes or 0 in shape:
            problem = "twice" if found[1] in shapes else "with a size of 0"
            raise UsageError(f"{option} names {found[1]} {problem}", "write every input once, sizes from 1")
        shapes[found[1]] = shape
    return shapes


def write_shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The inverse of :func:`parse_shapes`."""
    return ",".join(f"{name}:{'x'.join(map(str, shape)) or 'scalar'}" for name, shape in shapes.items())


def parse_pools(text: str) -> dict[str, int]:
    """``workspace:1024,dlaSRAM:0.5`` in MiB, or with a unit: ``workspace:1G``; to bytes.

    Raises:
        UsageError: an unknown pool, or no size.
    """
    pools: dict[str, int] = {}
    for part in text.split(","):
        name, _, size = part.strip().partition(":")
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([BKMG]?)", size)
        if name not in _POOLS or found is None:
            raise UsageError(f"--memPoolSize cannot be read at {part!r}", f"write POOL:MiB, with {', '.join(_POOLS)}")
        pools[name] = int(float(found[1]) * _UNITS[found[2]])
    return pools


def parse_pairs(text: str, option: str, example: str) -> dict[str, str]:
    """``name:value,name:value``; the name may hold colons and be in single quotes, the value may not.

    Raises:
        UsageError: a part is not of this form.
    """
    pairs: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.strip().rpartition(":")
        name = name.removeprefix("'").removesuffix("'")
        if not name or not value:
            raise UsageError(f"{option} cannot be read at {part!r}", f"write {example}")
        pairs.pop(name, None)  # the last one counts, and takes the last place
        pairs[name] = value
    return pairs


def parse_inputs(text: str) -> dict[str, Path]:
    """``composite:picture.bin,mask:mask.bin``, the files of ``--loadInputs``.

    Raises:
        UsageError: a part is not of this form.
    """
    return {name: Path(path) for name, path in parse_pairs(text, "--loadInputs", "NAME:FILE,NAME:FILE").items()}


def parse_tactics(text: str) -> dict[str, bool]:
    """``-CUDNN,+CUBLAS``: sources of kernels to leave out and to add.

    Raises:
        UsageError: a part has no sign, or a source has both.
    """
    sources: dict[str, bool] = {}
    for part in text.split(","):
        sign, name = part.strip()[:1], part.strip()[1:].upper()
        name = "CUBLAS_LT" if name == "CUBLASLT" else name
        if sign not in ("+", "-") or not name or sources.get(name, sign == "+") != (sign == "+"):
            raise UsageError(
                f"--tacticSources cannot be read at {part!r}", "write +SOURCE to add and -SOURCE to leave out"
            )
        sources[name] = sign == "+"
    return sources
