"""The streams and signals of the process; it loads no rich, so that help and errors come at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from edge_harmony.errors import EdgeHarmonyError, first_line

_ENDS = 5000
"""Letters at either end of a long message that are shown."""


class Interrupted(BaseException):
    """Ctrl-C has ended a verb."""


class Terminated(BaseException):
    """SIGTERM has come: the process ends, and removes on its way what is half done."""


def one_line(message: str) -> str:
    """A message as one line; what a terminal would obey, or cannot show, is written as an escape.

    Names and values from files may be long: the middle of a message of more than 10,000 letters is left out.
    """
    if len(message) > 2 * _ENDS:
        message = f"{message[:_ENDS]} ... {message[-_ENDS:]}"
    line = " ".join(message.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)


def say(line: str) -> None:
    """Write a line to stderr. Where nobody can read it, it is lost with what follows: the exit status counts."""
    try:
        print(one_line(line), file=sys.stderr, flush=True)
    except OSError:
        _lead_nowhere(sys.stderr)


def _lead_nowhere(stream: TextIO) -> None:
    """Lose what a stream still holds and is given, instead of failing at each flush."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def fill_streams() -> None:
    """Open the standard streams that are closed, on nothing: a file would be opened in their place and printed into."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115  (to the end of the process)
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115


class StdoutError(EdgeHarmonyError):
    """Nothing can be written to stdout: nobody reads it, or its disk is full."""


class _Stdout:
    """A stream whose failure is an error, then and at every later use; what Python still holds for it goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._failure = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._checked():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._checked():
            self._stream.flush()

    @contextmanager
    def _checked(self) -> Iterator[None]:
        if self._failure:
            raise StdoutError(self._failure)
        try:
            yield
        except OSError as error:
            _lead_nowhere(self._stream)
            self._failure = f"stdout cannot be used ({first_line(error)})"
            raise StdoutError(self._failure) from None


@contextmanager
def checked_stdout() -> Iterator[None]:
    """Have failures of stdout raise :class:`StdoutError`, at the end too."""
    before = sys.stdout
    sys.stdout = cast(TextIO, _Stdout(before))
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = before


@contextmanager
def terminable() -> Iterator[None]:
    """Have SIGTERM raise :class:`Terminated`, so that files and processes are tidied up; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
