"""What TensorRT says while it parses, builds and loads: errors for our messages, everything for a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from edge_harmony.errors import ArtifactError, CapabilityError, UsageError

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT

_KEPT = 50
_OUT_OF_MEMORY = ("out of memory", "OutOfMemory", "memory allocation")


class Log:
    """Collects errors and warnings; writes every line to a file where one is asked for.

    Args:
        tensorrt: whose logger to make.
        path: a file for the verbose log; closed by :meth:`close`.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, tensorrt: TensorRT, path: Path | None = None) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self._file = _open(path) if path else None
        self.logger: trt.ILogger = _make_logger(tensorrt, self)

    def take(self, severity: str, message: str) -> None:
        """One line from TensorRT."""
        if self._file is not None:
            self._file.write(f"[{severity}] {message}\n")
        kept = {"INTERNAL_ERROR": self.errors, "ERROR": self.errors, "WARNING": self.warnings}.get(severity)
        if kept is not None and len(kept) < _KEPT:
            kept.append(message)

    def first_error(self) -> str:
        """The first error, in one line; where there was none, that nothing was said."""
        return " ".join(self.errors[0].split()) if self.errors else "it gives no reason"

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _open(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path} ({error.strerror})", "choose a folder that can be written") from None


def unusable(problem: str, log: Log, fix: str) -> ArtifactError | CapabilityError:
    """The error for what TensorRT gave back nothing for: memory where its words say so, else the file."""
    said = f"{problem} ({log.first_error()})"
    if any(word in line for line in log.errors for word in _OUT_OF_MEMORY):
        return CapabilityError(said, "close what else uses the GPU; --memPoolSize=workspace:MiB gives a build less")
    return ArtifactError(said, fix)


def _make_logger(tensorrt: TensorRT, log: Log) -> Any:
    base: Any = tensorrt.get("ILogger")

    class Logger(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            log.take(str(getattr(severity, "name", severity)), message)

    return Logger()
