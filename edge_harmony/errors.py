"""The exception tree: every error a user can cause or meet has a hint and an exit status.

Exit statuses are a contract of the command line: 0 ok, 1 failure, 2 usage, 3 capability missing here,
4 accuracy out of budget, 5 latency/memory/energy out of budget, 6 inconclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

_NAMED_IN_ERROR = 5


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was not enough memory: Python's error, or OpenCV's own."""
    of_opencv = type(error).__module__ == "cv2" and getattr(error, "code", None) == _NO_MEMORY
    return isinstance(error, MemoryError) or of_opencv


def name_some(items: Sequence[str]) -> str:
    """The first few names and the number of further ones, so that an error stays one line."""
    rest = len(items) - _NAMED_IN_ERROR
    return ", ".join(items[:_NAMED_IN_ERROR]) + (f" and {rest} more" if rest > 0 else "")


def first_line(error: BaseException) -> str:
    """The first line of another library's error; its type if the message is empty."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
