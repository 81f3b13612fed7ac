"""Reading ahead: run an iterator in its own thread, at most a few items ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.1


def ahead(items: Iterable[T], held: int) -> Generator[T, None, None]:
    """Yield ``items`` in order, read by another thread while the caller processes earlier ones.

    Args:
        items: iterated and closed in that thread.
        held: largest number of waiting items.

    Raises:
        Exception: any error of ``items``, raised in the place of the failed item.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(held)
    stop = threading.Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not stop.is_set():
            try:
                waiting.put((item, error), timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return

    def read() -> None:
        iterator = iter(items)
        error: BaseException | None = StopIteration()
        try:
            for item in iterator:
                put(item, None)
                if stop.is_set():
                    break
        except Exception as raised:
            error = raised
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
        put(None, error)

    thread = threading.Thread(target=read, name="edge-harmony-read", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # it is an item unless there is an error
    finally:
        stop.set()
        thread.join()
