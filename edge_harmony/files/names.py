"""Names of files: their order, and when two of them mean the same."""

from __future__ import annotations

import os
import re
import unicodedata

_DIGITS = re.compile(r"(\d+)")
LONGEST = 255
"""Bytes of a file's name on the file systems of Linux, macOS and Windows."""


def natural(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """A key to sort names by, in which numbers count as such: ``2.png`` comes before ``10.png``."""
    parts = _DIGITS.split(unicodedata.normalize("NFC", name))
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part), name


def folded(name: str) -> str:
    """A key that is equal for names that differ only in capitals or in their Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def shortened(name: str, room: int) -> str:
    """The beginning of a name that takes up no more than ``room`` bytes, whether it is UTF-8 or not."""
    kept = os.fsencode(name)[:room]
    while name and not name.startswith(os.fsdecode(kept)):
        kept = kept[:-1]  # the beginning of a letter
    return os.fsdecode(kept)
