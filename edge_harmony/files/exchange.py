"""Two paths exchanged in one step, so that a kill leaves one of them or the other, and never none."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_HERE = {"linux": -100, "darwin": -2}
"""``AT_FDCWD`` of both systems."""
_EXCHANGE = 2
"""``RENAME_EXCHANGE`` of Linux, ``RENAME_SWAP`` of macOS."""
_CALLS = {"linux": "renameat2", "darwin": "renameatx_np"}


def exchange(one: Path, other: Path) -> bool:
    """Exchange two files or folders of one file system: ``renameat2(2)`` of Linux, ``renameatx_np(2)`` of macOS.

    Args:
        one: path that exists.
        other: path that exists.

    Returns:
        Whether it was done; not where the system or the file system has no such call.
    """
    name = _CALLS.get(sys.platform)
    call = getattr(ctypes.CDLL(None, use_errno=True), name, None) if name else None
    if call is None:
        return False
    here = _HERE[sys.platform]
    return bool(call(here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(_EXCHANGE)) == 0)
