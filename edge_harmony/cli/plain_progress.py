"""Progress where there is no terminal: a line every 10 seconds that says what, how far, and how long still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

EVERY_SECONDS = 10.0
_MINUTE, _HOUR = 60, 3600


class PlainProgress:
    """Lines about work on its way, from a thread of its own, so that one long step is no silence.

    Args:
        label: of the work: ``harmonizing``.
        unit: of its steps: ``files``; empty for none.
        say: writes a line.
        clock: seconds.
        every: seconds between lines.
    """

    def __init__(
        self,
        label: str,
        unit: str,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        every: float = EVERY_SECONDS,
    ) -> None:
        self._label, self._unit, self._say, self._clock, self._every = label, unit, say, clock, every
        self._start = clock()
        self._total: int | None = None
        self._done = 0
        self._share: float | None = None
        self._phase = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="edge-harmony-progress", daemon=True)

    def set_total(self, total: int | None) -> None:
        """Set the number of steps; None: unknown."""
        self._total = total

    def advance(self) -> None:
        """Count a step."""
        self._done += 1

    def set_share(self, share: float, phase: str) -> None:
        """Set the share that is done, in [0, 1], for work without steps, and the name of its phase."""
        self._share, self._phase = share, phase
        if share >= 1.0:
            self._ended.set()  # what follows may be timed

    def line(self) -> str:
        """How far the work is: ``harmonizing: 30 of 120 files, 25 %, 2.0 files/s, 45 s left``."""
        elapsed = self._clock() - self._start
        share = self._share if self._share is not None else self._done / self._total if self._total else None
        parts = []
        if self._share is None:
            parts.append(f"{self._done:,}{f' of {self._total:,}' if self._total else ''} {self._unit}".rstrip())
        if share is not None:
            parts.append(f"{100 * share:.0f} %")
        if self._phase:
            parts.append(self._phase)
        if self._share is None and self._done and elapsed > 0:
            parts.append(f"{self._done / elapsed:.1f} {self._unit}/s".replace(" /s", "/s"))
        parts.append(f"{duration(elapsed / share - elapsed)} left" if share else f"{duration(elapsed)} so far")
        return f"{self._label}: {', '.join(parts)}"

    def _tell(self) -> None:
        while not self._ended.wait(self._every):
            self._say(self.line())

    def __enter__(self) -> PlainProgress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()


def duration(seconds: float) -> str:
    """Seconds for people: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
