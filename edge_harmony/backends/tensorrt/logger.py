"""What TensorRT says while it parses, builds and loads, and what its callbacks raise.

TensorRT has one logger per process: it keeps the first that it is given and ignores all others. So there is one per
module here too, which hands every line to all open logs.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from edge_harmony.errors import ArtifactError, CapabilityError, UsageError, first_line

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT

logger = logging.getLogger(__name__)

_KEPT = 50
_OUT_OF_MEMORY = ("out of memory", "OutOfMemory", "memory allocation")
_NO_GPU = ("status == CUDA_SUCCESS", "CUDA initialization failure", "driver version is insufficient")
_NO_KERNEL = "Could not find any implementation"
_CLOSING = ("Engine deserialization failed", "Engine could not be created", "Engine creation failed", "Builder failed")
"""Errors that only repeat that there is no result; the cause is in the one before."""
_NEEDS = "it needs an NVIDIA GPU and its driver; see edge-harmony doctor"
T = TypeVar("T")


class Log:
    """The errors and warnings of one build or one engine, and the first exception that a callback raised.

    Lines of other builds and engines in the same process come here too: TensorRT does not say whose they are. An
    operation therefore asks only for errors since it began.

    Args:
        tensorrt: the TensorRT whose lines are collected.
        path: a file for every line, verbose ones included; closed by :meth:`close`.

    Attributes:
        logger: TensorRT's logger object, the same for all logs.
        warnings: the first of them.
        count: number of errors so far.
        failure: what a callback raised first, see :meth:`guard`.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, tensorrt: TensorRT, path: Path | None = None) -> None:
        self.warnings: list[str] = []
        self.count = 0
        self.failure: BaseException | None = None
        self._errors: deque[str] = deque(maxlen=_KEPT)
        self._file = _open(path) if path else None
        self._relay = _relay_of(tensorrt)
        self._relay.add(self)
        self.logger: trt.ILogger = self._relay.logger

    def take(self, severity: str, message: str) -> None:
        """One line from TensorRT, from any thread."""
        if severity in ("INTERNAL_ERROR", "ERROR"):
            self._errors.append(" ".join(message.split()))
            self.count += 1
        elif severity == "WARNING" and len(self.warnings) < _KEPT:
            self.warnings.append(message)
        if self._file is not None:
            with self.guard():
                self._file.write(f"[{severity}] {message}\n")

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """For the body of a callback: keeps what it raises, Ctrl-C included.

        TensorRT's bindings print the exceptions of callbacks and go on, as if nothing had happened.
        """
        try:
            yield
        except BaseException as error:
            self.failure = self.failure or error

    @contextlib.contextmanager
    def operation(self) -> Iterator[int]:
        """For a call of TensorRT that calls back: raises what a callback raised, in place of any error that follows.

        Yields:
            The number of errors so far, for :meth:`reason`.
        """
        self.failure = None
        try:
            yield self.count
        finally:
            if self.failure is not None:
                raise self.failure from None

    def errors(self, since: int = 0) -> list[str]:
        """The last errors after the first ``since``, each in one line."""
        new = min(self.count - since, len(self._errors))
        return list(self._errors)[len(self._errors) - new :]

    def reason(self, since: int = 0) -> str:
        """Why TensorRT gave up: the last error, for those before it belong to kernels that it tried and left out."""
        said = [line for line in self.errors(since) if not any(phrase in line for phrase in _CLOSING)]
        return (said or self.errors(since) or ["it gives no reason"])[-1]

    def ran_out_of_memory(self, since: int = 0) -> bool:
        """Whether memory is the reason, or why no kernel was left."""
        reason = self.reason(since)
        lines = self.errors(since) if _NO_KERNEL in reason else [reason]
        return any(word in line for line in lines for word in _OUT_OF_MEMORY)

    def close(self) -> None:
        """Take no more lines, and close the file."""
        self._relay.remove(self)
        if self._file is not None:
            self._file.close()
            self._file = None


def refusal(problem: str, log: Log, since: int, fix: str) -> ArtifactError | CapabilityError:
    """The error where TensorRT returned nothing: a lack of memory or of a GPU if its log says so, else a faulty file.

    Args:
        problem: what TensorRT could not do.
        log: gives the reason.
        since: errors before the call, see :meth:`Log.operation`.
        fix: what to do about the file.
    """
    message = f"{problem} ({log.reason(since)})"
    if any(words in log.reason(since) for words in _NO_GPU):
        return CapabilityError(message, _NEEDS)
    if log.ran_out_of_memory(since):
        return CapabilityError(message, "close what else uses the GPU; --memPoolSize=workspace:MiB gives a build less")
    return ArtifactError(message, fix)


def made(tensorrt: TensorRT, what: str, log: Log, make: Callable[[], T | None]) -> T:
    """Make one of TensorRT's objects.

    Where TensorRT returns null, constructors raise TypeError ("factory function returned nullptr") and methods give
    None.

    Args:
        tensorrt: for the error.
        what: the object, with its article, for the error.
        log: gives the reason.
        make: makes it.

    Raises:
        CapabilityError: it cannot be made, as without a GPU.
    """
    since = log.count
    try:
        thing = make()
    except (TypeError, RuntimeError) as error:
        thing, said = None, first_line(error)
    else:
        said = ""
    if thing is None:
        reason = log.reason(since) if log.count > since or not said else said
        raise CapabilityError(
            f"{tensorrt} cannot make {what} here ({reason})",
            _NEEDS,
        )
    return thing


def _open(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror})", "choose a folder that can be written") from None


class _Relay:
    """The logger of one TensorRT module, and the logs that it hands its lines to."""

    def __init__(self, tensorrt: TensorRT) -> None:
        self.module = tensorrt.module  # kept, so that no other module gets its id
        self.logger = _make_logger(tensorrt, self)
        self._logs: weakref.WeakSet[Log] = weakref.WeakSet()
        self._lock = threading.Lock()

    def add(self, log: Log) -> None:
        with self._lock:
            self._logs.add(log)

    def remove(self, log: Log) -> None:
        with self._lock:
            self._logs.discard(log)

    def take(self, severity: str, message: str) -> None:
        """One line; a Ctrl-C that arrives meanwhile is for whichever operation is under way.

        ``--verbose`` shows all lines but TensorRT's own verbose ones, of which a build has thousands.
        """
        try:
            if severity != "VERBOSE":
                logger.info("%s: %s", severity, " ".join(message.split()))
            with self._lock:
                logs = list(self._logs)
            for log in logs:
                log.take(severity, message)
        except BaseException as error:
            for log in list(self._logs):
                log.failure = log.failure or error


_RELAYS: dict[int, _Relay] = {}
_MAKING = threading.Lock()


def _relay_of(tensorrt: TensorRT) -> _Relay:
    with _MAKING:
        if id(tensorrt.module) not in _RELAYS:
            _RELAYS[id(tensorrt.module)] = _Relay(tensorrt)
        return _RELAYS[id(tensorrt.module)]


def _make_logger(tensorrt: TensorRT, relay: _Relay) -> Any:
    base: Any = tensorrt.get("ILogger")

    class Logger(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            relay.take(str(getattr(severity, "name", severity)), message)

    return Logger()
