"""A folder of the page's own, for what visitors upload and what is made for them, from which old files are removed.

Gradio's own removal knows only files of calls and uploads that went well: parts of uploads that were cut off stay for
ever, as do files under other names than the page's, and a new upload in the wrong moment ends it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Collection
from pathlib import Path

_VARIABLE = "GRADIO_TEMP_DIR"
"""Where Gradio reads the name of its folder, at every request."""
_GIVEN = os.environ.get(_VARIABLE)


class Uploads:
    """The folder, which is removed with this object, or at the end of the process.

    There is one at a time: the last one that was made is Gradio's.

    Attributes:
        folder: its path.
    """

    def __init__(self) -> None:
        if _GIVEN:
            Path(_GIVEN).mkdir(parents=True, exist_ok=True)
        self._holder = tempfile.TemporaryDirectory(
            prefix="edge-harmony-page-", dir=_GIVEN or None, ignore_cleanup_errors=True
        )
        self.folder = str(Path(self._holder.name).resolve())
        os.environ[_VARIABLE] = self.folder
        self._closed = threading.Event()

    def watch(self, kept_seconds: float, look_seconds: float, kept: Collection[str]) -> None:
        """Remove old files from now on.

        Args:
            kept_seconds: after which a file is removed.
            look_seconds: between two looks.
            kept: paths of files that stay.
        """
        arguments = (self._closed, look_seconds, kept_seconds, Path(self.folder), kept)
        threading.Thread(target=_sweep_often, args=arguments, name="edge-harmony-uploads", daemon=True).start()

    def close(self) -> None:
        """Remove the folder."""
        self._closed.set()
        self._holder.cleanup()


def _sweep_often(
    closed: threading.Event, look: float, kept_seconds: float, folder: Path, kept: Collection[str]
) -> None:
    while not closed.wait(look):
        sweep(folder, time.time() - kept_seconds, kept)


def sweep(folder: Path, before: float, kept: Collection[str] = ()) -> None:
    """Remove files and empty folders below a folder that are older than a moment.

    Args:
        folder: where to look.
        before: seconds since the epoch; what was written or moved there later stays.
        kept: paths of files that stay, too.
    """
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = Path(parent, name)
            with contextlib.suppress(OSError):  # gone meanwhile, in use (Windows), a folder that is not empty
                if str(path) in kept or _changed(path) >= before:
                    continue
                if name in folders and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink()


def _changed(path: Path) -> float:
    """When a file was written, or came to its place."""
    status = path.lstat()
    return max(status.st_mtime, status.st_ctime)
