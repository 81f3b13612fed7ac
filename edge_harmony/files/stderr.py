"""Who writes to stderr: Python does, and libraries in C are kept from it where a program asks for that."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

_STDERR = 2
_kept: int | None = None
"""A copy of descriptor 2 from before libraries were silenced."""


@contextlib.contextmanager
def silent_libraries() -> Iterator[None]:
    """Keep the messages of C libraries (libpng, libjpeg, OpenCV, x264) from stderr, for the whole process.

    Python's own output to ``sys.stderr`` still appears. If ``sys.stderr`` is not descriptor 2, nothing changes.
    """
    global _kept
    if _kept is not None or not _is_stderr(sys.stderr):
        yield
        return
    sys.stderr.flush()
    before, kept = sys.stderr, os.dup(_STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    os.close(nowhere)
    with os.fdopen(os.dup(kept), "w", buffering=1, encoding=before.encoding, errors=before.errors) as ours:
        sys.stderr, _kept = ours, kept
        try:
            yield
        finally:
            sys.stderr, _kept = before, None
            os.dup2(kept, _STDERR)
            os.close(kept)


@contextlib.contextmanager
def for_children() -> Iterator[None]:
    """Give processes that are started meanwhile the stderr that libraries are kept from."""
    if _kept is None:
        yield
        return
    silent = os.dup(_STDERR)
    os.dup2(_kept, _STDERR)
    try:
        yield
    finally:
        os.dup2(silent, _STDERR)
        os.close(silent)


def _is_stderr(stream: object) -> bool:
    try:
        return stream.fileno() == _STDERR  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
