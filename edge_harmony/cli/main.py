"""The entry point: verbs, exit statuses, one line per error."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence

import typer

import edge_harmony
from edge_harmony.cli.flags import with_flags
from edge_harmony.cli.streams import Interrupted, Terminated, checked_stdout, fill_streams, say, terminable
from edge_harmony.cli.verbs import Verbs
from edge_harmony.errors import EdgeHarmonyError, ExitCode, first_line, is_out_of_memory, signal_behind

# From 0.20 on, typer has its own copy of click and exports only leaves of the exception tree, so the base class is
# found from one of them.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

log = logging.getLogger("edge_harmony")

_INTERRUPTED, _TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM

app = typer.Typer(
    name="edge-harmony",
    cls=Verbs,
    help="Image harmonization on edge devices.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain: rich is imported for the help of single verbs only
)


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
    try:
        with terminable(), checked_stdout():
            status = _status_of(arguments)
    except EdgeHarmonyError as error:
        log.debug("where the error was raised", exc_info=True)
        hint = f"; {with_flags(error.hint)}" if error.hint else ""
        _complain(f"{error.message}{hint}")
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


def _status_of(arguments: Sequence[str] | None) -> object:
    """What the verb returns; a Ctrl-C or SIGTERM that a library has made an error of is one again."""
    try:
        return app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except Exception as error:
        if ended := signal_behind(error):
            raise ended from None
        raise


def _complain(message: str) -> None:
    say(f"error: {message}")


def run() -> None:
    """Console script."""
    sys.exit(main())
