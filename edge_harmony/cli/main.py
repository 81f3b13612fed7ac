"""The entry point: verbs, exit statuses, one line per error."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence

import typer

import edge_harmony
from edge_harmony.cli.benchmark import benchmark
from edge_harmony.cli.build import build
from edge_harmony.cli.calibrate import calibrate
from edge_harmony.cli.check import check
from edge_harmony.cli.compare import compare
from edge_harmony.cli.console import (
    Interrupted,
    Terminated,
    checked_stdout,
    err,
    fill_streams,
    log_to_stderr,
    one_line,
    terminable,
    with_verbosity,
)
from edge_harmony.cli.demo import demo
from edge_harmony.cli.doctor import doctor
from edge_harmony.cli.evaluate import evaluate
from edge_harmony.cli.export import export
from edge_harmony.cli.harmonize import harmonize
from edge_harmony.cli.import_checkpoint import import_checkpoint
from edge_harmony.cli.models import models
from edge_harmony.cli.selftest import selftest
from edge_harmony.cli.sensitivity import sensitivity
from edge_harmony.cli.train import train
from edge_harmony.cli.trtexec import TrtexecCommand
from edge_harmony.errors import EdgeHarmonyError, ExitCode, first_line, is_out_of_memory

# From 0.20 on, typer has its own copy of click and exports only leaves of the exception tree, so the base class is
# found from one of them.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

log = logging.getLogger("edge_harmony")

_INTERRUPTED, _TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM

app = typer.Typer(
    name="edge-harmony",
    help="Image harmonization on edge devices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_VERBS = (
    harmonize,
    evaluate,
    train,
    calibrate,
    sensitivity,
    export,
    build,
    check,
    compare,
    benchmark,
    selftest,
    import_checkpoint,
    models,
    doctor,
    demo,
)
for _verb in _VERBS:
    _kind = TrtexecCommand if _verb is build else None
    app.command("import" if _verb is import_checkpoint else None, cls=_kind)(with_verbosity(_verb))


def _print_version(value: bool) -> None:
    if value:
        typer.echo(edge_harmony.__version__)
        raise typer.Exit()


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Image harmonization on edge devices."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; errors are one line on stderr."""
    fill_streams()
    log_to_stderr()
    try:
        with terminable(), checked_stdout():
            status = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except EdgeHarmonyError as error:
        log.debug("where the error was raised", exc_info=True)
        _complain(str(error))
        return int(error.exit_code)
    except _UsageError as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if message:
            _complain(f"{message} Try edge-harmony --help.")
        return int(ExitCode.USAGE)
    except (KeyboardInterrupt, Interrupted, typer.Abort):
        _complain("interrupted")
        return _INTERRUPTED
    except Terminated:
        _complain("terminated")
        return _TERMINATED
    except OSError as error:  # a name that no file can have, a disk that breaks
        log.debug("where the error was raised", exc_info=True)
        _complain(f"{error.filename or 'a file'} cannot be used ({first_line(error)})")
        return int(ExitCode.FAILURE)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        _complain("this machine has not enough memory for it; use smaller pictures")
        return int(ExitCode.FAILURE)
    return status if isinstance(status, int) else int(ExitCode.OK)


def _complain(message: str) -> None:
    err.print(f"error: {one_line(message)}", markup=False, highlight=False, soft_wrap=True)


def run() -> None:
    """Console script."""
    sys.exit(main())
