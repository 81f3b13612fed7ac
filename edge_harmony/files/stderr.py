"""Who writes to stderr: Python does, and libraries in C are kept from it where a program asks for that."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import TextIO

_STDERR = 2
_lock = threading.Lock()
_users = 0
_kept: int | None = None
"""A copy of descriptor 2 from before libraries were silenced."""
_before: TextIO | None = None
"""``sys.stderr`` from before libraries were silenced."""


@contextlib.contextmanager
def silent_libraries() -> Iterator[None]:
    """Keep the messages of C libraries (libpng, libjpeg, OpenCV, x264) from stderr, for the whole process.

    Python's own output to ``sys.stderr`` still appears. If ``sys.stderr`` is not descriptor 2, nothing changes.
    Several threads may be within: the last one to leave gives stderr back.
    """
    global _users
    with _lock:
        within = _kept is not None or _silence()
        _users += within
    try:
        yield
    finally:
        with _lock:
            _users -= within
            if within and not _users:
                _give_back()


def _silence() -> bool:
    """Whether it could be done."""
    global _kept, _before
    if not _is_stderr(sys.stderr):
        return False
    sys.stderr.flush()
    _before, _kept = sys.stderr, os.dup(_STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    os.close(nowhere)
    sys.stderr = os.fdopen(os.dup(_kept), "w", buffering=1, encoding=_before.encoding, errors=_before.errors)
    return True


def _give_back() -> None:
    global _kept, _before
    assert _kept is not None
    assert _before is not None
    ours, sys.stderr = sys.stderr, _before
    ours.close()
    os.dup2(_kept, _STDERR)
    os.close(_kept)
    _kept = _before = None


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """The lines that libraries print meanwhile, where they are kept from stderr; none elsewhere.

    What other threads' libraries print is among them.
    """
    lines: list[str] = []
    if _kept is None:
        yield lines
        return
    with tempfile.TemporaryFile() as file, _lock:
        silent = os.dup(_STDERR)
        os.dup2(file.fileno(), _STDERR)
        try:
            yield lines
        finally:
            os.dup2(silent, _STDERR)
            os.close(silent)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()


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
