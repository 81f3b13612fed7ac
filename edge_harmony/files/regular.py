"""Reading files that people name: what is no regular file is refused, because reading it may never end."""

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
