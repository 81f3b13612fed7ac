"""What every verb prints and is given: results on stdout, logs and progress on stderr."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from edge_harmony.cli.flags import with_flags
from edge_harmony.cli.plain_progress import PlainProgress
from edge_harmony.cli.streams import Interrupted, Terminated, one_line, say
from edge_harmony.errors import UsageError

out = Console()
err = Console(stderr=True)
"""The log, and errors of single files."""
notes = Console(stderr=True)
"""Notes and progress; ``--quiet`` silences them."""

VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Report each step on stderr.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Errors only: no warnings, notes and progress bars.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
ModelOption = Annotated[str, typer.Option("--model", help="Network; see edge-harmony models.")]
BackendOption = Annotated[
    str | None,
    typer.Option("--backend", help="Backend, see doctor; default: the artifact's own, else onnxruntime."),
]
PrecisionOption = Annotated[str, typer.Option("--precision", help="int8, fp16 or fp32.")]
ArtifactOption = Annotated[Path | None, typer.Option("--artifact", help="Exported file instead of the shipped one.")]
WeightsOption = Annotated[Path | None, typer.Option("--weights", help="Weights instead of the shipped ones.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or a CUDA device.")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0: the backend's choice.")]
LimitOption = Annotated[int, typer.Option("--limit", min=0, help="Use only the first N pictures; 0: all.")]


def print_json(value: Any) -> None:
    """Print one JSON object on stdout; values that JSON lacks (NaN, infinity) become null."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def tell(line: str) -> None:
    """Say on stderr what was done, unless ``--quiet``; that nobody can read it is no failure."""
    if not notes.quiet:
        say(line)


def number(value: float | None, digits: int = 2) -> str:
    """A figure for a table, or a dash."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def log_to_stderr() -> None:
    """Show the package's warnings on stderr, one line each."""
    logger = logging.getLogger("edge_harmony")
    if not any(isinstance(handler, _Lines) for handler in logger.handlers):
        logger.addHandler(_Lines())
        logger.propagate = False
    set_verbosity()


class _Lines(logging.Handler):
    """A line for each message, however long it is: programs read stderr too."""

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`."""
        level = (f"{record.levelname:8} ", f"logging.level.{record.levelname.lower()}")
        lines = [one_line(with_flags(record.getMessage()))]
        if record.exc_info:
            lines.append(logging.Formatter().formatException(record.exc_info))
        err.print(Text.assemble(level, "\n".join(lines)), soft_wrap=True)


def set_verbosity(*, verbose: bool = False, quiet: bool = False) -> None:
    """Choose what stderr shows besides errors, which always appear.

    Args:
        verbose: also show messages of the levels ``INFO`` and ``DEBUG``.
        quiet: show no warnings, notes and progress bars.

    Raises:
        UsageError: both are set.
    """
    if verbose and quiet:
        raise UsageError("--verbose and --quiet contradict each other", "pass one of them")
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logging.getLogger("edge_harmony").setLevel(level)
    notes.quiet = quiet


def with_verbosity(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options ``--verbose`` and ``--quiet``."""

    @functools.wraps(verb)
    def wrapped(*, verbose: bool, quiet: bool, **options: Any) -> None:
        set_verbosity(verbose=verbose, quiet=quiet)
        try:
            verb(**options)
        except KeyboardInterrupt:  # which typer would answer itself, without a word
            raise Interrupted from None

    own = inspect.signature(verb, eval_str=True)
    shared = inspect.signature(set_verbosity).parameters.values()
    kinds = {"verbose": VerboseOption, "quiet": QuietOption}
    added = [parameter.replace(annotation=kinds[parameter.name]) for parameter in shared]
    named = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own.parameters.values()]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in (*named, *added)}
    wrapped.__signature__ = own.replace(parameters=[*named, *added])  # type: ignore[attr-defined]
    return wrapped


def shows_progress() -> bool:
    """Whether progress bars are drawn: on a terminal, unless ``--quiet``."""
    return notes.is_terminal and not notes.quiet


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Callable[[], None]]:
    """Progress on stderr, as :func:`rate_bar` shows it without a unit; yields the function that advances it."""
    with _steps(label, "") as (set_total, advance):
        set_total(total)
        yield advance


@contextmanager
def share_bar(label: str) -> Iterator[Callable[[float, str], None] | None]:
    """Progress of work that reports its share and its phase: a bar on a terminal, else lines; None with ``--quiet``."""
    if notes.quiet:
        yield None
        return
    if not shows_progress():
        with PlainProgress(label, "", tell) as lines:
            yield lines.set_share
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[phase]}"))
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task(label, total=1.0, phase="")

        def show(share: float, phase: str) -> None:
            progress.update(task, completed=share, phase=phase)
            if share >= 1.0:
                progress.stop()  # what follows may be timed

        yield show


@contextmanager
def rate_bar(label: str, unit: str) -> Iterator[tuple[Callable[[int | None], None], Callable[[], None]]]:
    """Progress with a rate: a bar on a terminal, else a line every 10 seconds.

    Yields a function that sets the number of steps (None: unknown), and one that counts a step.
    """
    with _steps(label, unit, _Rate(unit)) as functions:
        yield functions


@contextmanager
def _steps(
    label: str, unit: str, *more: ProgressColumn
) -> Iterator[tuple[Callable[[int | None], None], Callable[[], None]]]:
    if not shows_progress():
        with PlainProgress(label, "frames" if unit == "fps" else unit, tell) as lines:
            yield lines.set_total, lines.advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *more)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=notes, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda count: progress.update(task, total=count), lambda: progress.advance(task)


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit if unit == "fps" else f"{unit}/s"

    def render(self, task: Task) -> Text:
        """The recent rate, in steps a second."""
        return Text("-" if task.speed is None else f"{task.speed:.1f} {self._unit}")


class Stop(threading.Event):
    """The wish that work ends.

    Attributes:
        exit_status: of a process that a signal ended: 128 and the signal's number.
    """

    exit_status = 128 + signal.SIGINT


@contextmanager
def stopping(says: str = "stopping; what is done is kept (again: at once)") -> Iterator[Stop]:
    """An event that the first Ctrl-C or SIGTERM sets, so that work can end in order; the second ends the process."""
    stop = Stop()

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        stop.exit_status = 128 + number
        stop.set()
        notes.print(says, highlight=False)

    in_charge = threading.current_thread() is threading.main_thread()  # others may not set handlers
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM) if in_charge}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
