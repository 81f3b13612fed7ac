"""Files that people and documents name: no pipes and devices, which may never end, or be replaced by a result."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from edge_harmony.errors import UsageError


def read_regular(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        UsageError: it is a pipe or a device.
        OSError: it does not exist, is a folder, or cannot be read.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:  # a zero byte
        raise FileNotFoundError(errno.ENOENT, "no file can have this name", str(path)) from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a pipe or a device", "name a file")
    return path.read_bytes()


def refuse_special(path: Path) -> None:
    """Refuse to write to a path that a file must not have, or that is a pipe or a device: the file would replace it.

    Raises:
        UsageError: it is one, or no file can have its name.
    """
    try:
        mode = path.stat().st_mode
    except OSError:  # there is nothing yet, or writing says what is wrong
        return
    except ValueError:
        raise UsageError(f"no file can have the name {str(path)!r}", "choose another") from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a pipe or a device, which the file would replace", "name a file")


def is_there(path: Path) -> bool:
    """Whether a path leads to a regular file; it does not where its name is one that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, say
        return False
