"""Faults that were found and are not mended yet. The list must shrink to nothing; nothing new is added to pass."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.inputs import Verdict

KNOWN: tuple[tuple[str, str], ...] = ()
"""Kind of file or accident, and a pattern of the fault's line."""


def is_known(verdict: Verdict) -> bool:
    """Whether a fault is on the list."""
    return any(verdict.kind == kind and re.search(pattern, verdict.fault) for kind, pattern in KNOWN)
