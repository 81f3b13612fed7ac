"""The name and the instruction sets of this machine's CPU, which decide how 8-bit kernels are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""Instructions of x86 that add products of 8 bits in 32 bits, as the flags of ``/proc/cpuinfo``."""


@dataclass(frozen=True)
class Processor:
    """What the system says about the CPU: its name, empty if unknown, and the flags of its instruction sets."""

    name: str = ""
    flags: frozenset[str] = frozenset()

    @property
    def has_vnni(self) -> bool:
        """Whether the system reports an integer dot product of x86; only Linux reports any."""
        return bool(self.flags & VNNI)


def read_processor(root: Path = Path("/")) -> Processor:
    """The first CPU of ``/proc/cpuinfo``; an empty :class:`Processor` where there is no such file.

    Args:
        root: of the file system.
    """
    fields: dict[str, str] = {}
    try:
        with (root / "proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, colon, value = line.partition(":")
                if not colon:  # an empty line: what follows are its other cores, which may be hundreds
                    break
                fields[key.strip()] = value.strip()
    except OSError:
        return Processor()
    return Processor(fields.get("model name", ""), frozenset(fields.get("flags", fields.get("Features", "")).split()))
