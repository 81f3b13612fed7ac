"""Divide the rows of a picture among the cores: work that releases Python's lock, in a thread pool of the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_PARTS = 4

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_threads = 0


def set_threads(count: int) -> None:
    """Set how many threads share a picture in this process; 0 means one per core."""
    global _pool, _threads
    with _lock:
        if count != _threads:
            _pool, _threads = None, count


def threads() -> int:
    """How many threads share a picture."""
    return _threads or cores()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(work: Callable[[int, int], None], rows: int) -> None:
    """Call ``work(first, last)`` for parts of the rows, on all threads, and wait for the end.

    There are a few parts per thread, so that a delayed thread leaves the rest to the others. Several threads
    may call this at a time. Errors of ``work`` are raised here.
    """
    step = max(1, -(-rows // (_PARTS * threads())))
    parts = [(first, min(first + step, rows)) for first in range(0, rows, step)]
    if len(parts) < 2 or threads() == 1:
        for first, last in parts:
            work(first, last)
        return
    for _ in _started().map(lambda part: work(*part), parts):
        pass


def _started() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(threads(), thread_name_prefix="edge-harmony-rows")
        return _pool


def _begin_anew() -> None:
    """In a child after a fork: the threads of the pool have stayed in the parent, and the lock as it was."""
    global _lock, _pool
    _lock, _pool = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
