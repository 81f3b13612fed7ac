"""Files that people and documents name: pipes are refused, because reading them may never end."""

from __future__ import annotations

import stat
from pathlib import Path

from edge_harmony.errors import UsageError


def read_regular(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        UsageError: it is a pipe or a device.
        OSError: it does not exist, is a folder, or cannot be read.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a pipe or a device", "name a file")
    return path.read_bytes()


def is_there(path: Path) -> bool:
    """Whether a path leads to a regular file; it does not where its name is one that no file can have."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long, say
        return False
