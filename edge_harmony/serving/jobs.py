"""How many requests are worked on at a time, and how many wait."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_Result = TypeVar("_Result")

_LONGEST_RETRY = 60
_SHARE_OF_LAST = 0.1
_FIRST_SECONDS = 1.0


class Busy(Exception):
    """There is no place for a request.

    Attributes:
        retry_after: whole seconds after which there may be one.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__("the server is busy")
        self.retry_after = retry_after


class Unwanted(Exception):
    """The client went away before the turn of its request had come."""


class Jobs:
    """Work in threads: so many jobs at a time, and so many requests that wait, of all that were admitted.

    A request is admitted before its body is read, so what is uploaded is limited too. All but the work itself runs in
    one event loop.

    Args:
        running: jobs at a time.
        waiting: more requests that are admitted.
        seconds: that a request may wait for its turn.
    """

    def __init__(self, running: int, waiting: int, seconds: float) -> None:
        self.running = 0
        self.admitted = 0
        self._most, self._places, self._seconds = running, running + waiting, seconds
        self._turns = asyncio.Semaphore(running)
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="edge-harmony-serve")
        self._mean_seconds = _FIRST_SECONDS

    @contextmanager
    def admission(self) -> Iterator[None]:
        """A place for a request, until the end of the block.

        Raises:
            Busy: all are taken.
        """
        if self.admitted >= self._places:
            raise Busy(self.retry_after())
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    async def run(self, work: Callable[[], _Result], is_unwanted: Callable[[], Awaitable[bool]]) -> _Result:
        """Do work in a thread when its turn has come, and return its result.

        Raises:
            Busy: its turn did not come in time.
            Unwanted: nobody waits for it any more when its turn has come.
        """
        try:
            await asyncio.wait_for(self._turns.acquire(), self._seconds)
        except asyncio.TimeoutError:
            raise Busy(self.retry_after()) from None
        try:
            if await is_unwanted():
                raise Unwanted("the client went away")
        except BaseException:
            self._turns.release()
            raise
        self.running += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._timed, work)
        future.add_done_callback(self._has_ended)  # a request that is cancelled leaves its thread at work
        result, seconds = await asyncio.shield(future)
        self._mean_seconds += _SHARE_OF_LAST * (seconds - self._mean_seconds)
        return result

    def retry_after(self) -> int:
        """Whole seconds, at least 1, in which the admitted requests will be done if they are like the last ones."""
        return min(max(1, math.ceil(self.admitted * self._mean_seconds / self._most)), _LONGEST_RETRY)

    def close(self) -> None:
        """Wait for the threads to end."""
        self._threads.shutdown()

    @staticmethod
    def _timed(work: Callable[[], _Result]) -> tuple[_Result, float]:
        start = time.perf_counter()
        return work(), time.perf_counter() - start

    def _has_ended(self, future: object) -> None:
        self.running -= 1
        self._turns.release()
