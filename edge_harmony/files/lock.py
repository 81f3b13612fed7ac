"""A folder that one run at a time writes to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from edge_harmony.errors import UsageError
from edge_harmony.files.atomic import remove_left_overs


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Refuse a second run on this machine that writes to a folder, where the system has locks (``flock``).

    The system frees the lock of a process that ends, however it ends: a dead run never keeps others out. Half-written
    files are removed before the run, which are a dead run's, and after it, which are those of workers that died.

    Raises:
        UsageError: another run is writing to it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        remove_left_overs(folder)
        yield
        remove_left_overs(folder)
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # file systems without locks on folders
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another run is writing to {folder}", "wait for it, or choose another folder"
                ) from None
        remove_left_overs(folder)
        yield
        remove_left_overs(folder)
    finally:
        os.close(held)
