"""The exception tree: every error a user can cause or meet has a hint and an exit status.

Exit statuses are a contract of the command line: 0 ok, 1 failure, 2 usage, 3 capability missing here,
4 accuracy out of budget, 5 latency/memory/energy out of budget, 6 inconclusive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TypeVar

_NAMED_IN_ERROR = 5
_QUOTED, _LOOKED_AT = 1000, 8000
"""Letters of another library's message that are quoted, and that are searched for the line to quote."""


class ExitCode(IntEnum):
    """Exit statuses of ``edge-harmony``; scripts depend on these numbers.

    Attributes:
        OK: success.
        FAILURE: an input cannot be used, or something broke.
        USAGE: the call is wrong.
        CAPABILITY: this machine or installation lacks something.
        ACCURACY: accuracy is out of budget.
        COST: latency, memory or energy is out of budget.
        INCONCLUSIVE: the measurements are too noisy.
    """

    OK = 0
    FAILURE = 1
    USAGE = 2
    CAPABILITY = 3
    ACCURACY = 4
    COST = 5
    INCONCLUSIVE = 6


class EdgeHarmonyError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: what was wrong, with the value.
        hint: what to do about it; appended to the line that the user sees.
    """

    exit_code = ExitCode.FAILURE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(EdgeHarmonyError):
    """The call itself is wrong: a missing path, an unknown name, contradictory options."""

    exit_code = ExitCode.USAGE


class InputError(EdgeHarmonyError):
    """The call is right, but an input cannot be used: a damaged file, sizes that do not fit."""


class ArtifactError(EdgeHarmonyError):
    """Weights, a model file or its manifest are damaged or do not belong together."""


class TrainingError(EdgeHarmonyError):
    """Training cannot go on: diverged loss, a checkpoint of another recipe."""


class CapabilityError(EdgeHarmonyError):
    """This machine or installation lacks something; the hint names the extra or the device."""

    exit_code = ExitCode.CAPABILITY


class AccuracyError(EdgeHarmonyError):
    """A result is outside its accuracy budget."""

    exit_code = ExitCode.ACCURACY


class CostError(EdgeHarmonyError):
    """A result is outside its budget of latency, memory or energy."""

    exit_code = ExitCode.COST


_NO_MEMORY = -4
"""OpenCV's ``StsNoMem``."""


_TORCH_LACKS = ("DefaultCPUAllocator: can't allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was not enough memory: Python's error, OpenCV's own, or torch's on a CPU or GPU."""
    of_opencv = type(error).__module__ == "cv2" and getattr(error, "code", None) == _NO_MEMORY
    of_torch = isinstance(error, RuntimeError) and any(words in str(error) for words in _TORCH_LACKS)
    return isinstance(error, MemoryError) or of_opencv or of_torch


def signal_behind(error: BaseException) -> BaseException | None:
    """The Ctrl-C or SIGTERM that an error has taken the place of; None if it is an error by itself.

    A library that is interrupted while it imports a part of itself fails again as it clears up, with an error of its
    own. Boundaries that catch every error of a library ask this first.
    """
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        if not isinstance(behind, Exception | GeneratorExit | SystemExit) and type(behind).__module__ != _PANICS:
            return behind
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__
    return None


Parsed = TypeVar("Parsed")

_PANICS = "pyo3_runtime"
"""Module of the exceptions that Rust's panics become; they do not derive from ``Exception``."""


@contextmanager
def parsing(message: str, hint: str, kind: type[EdgeHarmonyError] = InputError) -> Iterator[None]:
    """The boundary around a parser of others: whatever it raises becomes one error that names the file.

    Parsers of bytes from elsewhere raise more than their documentation says: errors of types, of recursion, of
    decoding, of the libraries that they call. Only the call of the parser belongs inside, so that faults of our own
    code stay visible. Errors of this package pass, and so does the lack of memory.

    Args:
        message: what was wrong, with the file's name; the parser's reason follows in brackets.
        hint: what to do.
        kind: of the error.

    Raises:
        EdgeHarmonyError: of ``kind``.
    """
    try:
        yield
    except EdgeHarmonyError:
        raise
    except BaseException as error:
        if is_out_of_memory(error) or not (isinstance(error, Exception) or type(error).__module__ == _PANICS):
            raise
        raise kind(f"{message} ({first_line(error)})", hint) from None


def parsed(
    items: Iterable[Parsed], message: str, hint: str, kind: type[EdgeHarmonyError] = InputError
) -> Iterator[Parsed]:
    """What a parser of others yields, each item within the boundary of :func:`parsing`."""
    iterator = iter(items)
    while True:
        with parsing(message, hint, kind):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def name_some(items: Sequence[str]) -> str:
    """The first few names and the number of further ones, so that an error stays one line."""
    rest = len(items) - _NAMED_IN_ERROR
    return ", ".join(items[:_NAMED_IN_ERROR]) + (f" and {rest} more" if rest > 0 else "")


def first_line(error: BaseException) -> str:
    """The first line of another library's error, the system's reason alone if it is one of the system; its type if the
    message is empty. A message may quote a whole file: a long line is cut off.
    """
    return _line(error, str(getattr(error, "strerror", None) or error)[:_LOOKED_AT], 0)


def last_line(error: BaseException) -> str:
    """The last line of another library's error, for libraries that say there what is wrong; otherwise as
    :func:`first_line`.
    """
    return _line(error, str(error)[-_LOOKED_AT:], -1)


def _line(error: BaseException, message: str, which: int) -> str:
    lines = message.strip().splitlines()
    line = lines[which].strip() if lines else type(error).__name__
    return line if len(line) <= _QUOTED else f"{line[:_QUOTED]}..."
