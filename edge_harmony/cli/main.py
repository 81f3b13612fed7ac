"""The entry point: verbs, exit statuses, one line per error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import typer

import edge_harmony
from edge_harmony.cli.benchmark import benchmark
from edge_harmony.cli.build import build
from edge_harmony.cli.calibrate import calibrate
from edge_harmony.cli.check import check
from edge_harmony.cli.compare import compare
from edge_harmony.cli.console import err, log_to_stderr, with_verbosity
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
from edge_harmony.errors import EdgeHarmonyError, ExitCode, is_out_of_memory

# From 0.20 on, typer has its own copy of click and exports only leaves of the exception tree, so the base class is
# found from one of them.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

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
    app.command("import" if _verb is import_checkpoint else None)(with_verbosity(_verb))


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
    log_to_stderr()
    try:
        status = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except EdgeHarmonyError as error:
        logging.getLogger("edge_harmony").debug("where the error was raised", exc_info=True)
        _complain(str(error))
        return int(error.exit_code)
    except _UsageError as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if message:
            _complain(f"{message} Try edge-harmony --help.")
        return int(ExitCode.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        return 130
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        _complain("this machine has not enough memory for it; use smaller pictures")
        return int(ExitCode.FAILURE)
    return status if isinstance(status, int) else int(ExitCode.OK)


def _complain(message: str) -> None:
    line = " ".join(message.split())
    err.print(f"error: {line}", markup=False, highlight=False, soft_wrap=True)


def run() -> None:
    """Console script."""
    sys.exit(main())
