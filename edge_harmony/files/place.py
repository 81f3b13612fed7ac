"""Whether a result can be written where it is wanted, asked before the work that makes it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge_harmony.errors import UsageError
from edge_harmony.files.names import LONGEST
from edge_harmony.files.regular import refuse_special

_ANOTHER = "choose another output"


def check_place(path: Path) -> None:
    """Refuse the path of a file or folder that the system would refuse in the end. Nothing is made or changed.

    Folders that are not there yet are no reason: most verbs make them.

    Raises:
        UsageError: a name in it is too long or one that no file can have, a file lies where a folder has to be, a pipe
            or a device lies there, or the folder cannot be written.
    """
    refuse_special(path)
    for part in path.parts:
        if len(os.fsencode(part)) > LONGEST:
            raise UsageError(f"the name {part} is too long", f"use at most {LONGEST} bytes")
    for place in (path, *path.parents):
        try:
            mode = place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UsageError(f"cannot write {path} ({error.strerror})", _ANOTHER) from None
        if stat.S_ISDIR(mode):
            break
        if place != path:
            raise UsageError(f"cannot write {path}: {place} is no folder", _ANOTHER)
    else:
        raise UsageError(f"cannot write {path}: the working folder is gone", _ANOTHER)
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {place} cannot be written", "choose another or change its permissions")
