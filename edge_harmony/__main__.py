"""``edge-harmony``, ``python -m edge_harmony`` and ``torchrun -m edge_harmony``."""

from __future__ import annotations

import sys

_INTERRUPTED = 130


def run() -> None:
    """Run the command line; Ctrl-C is answered in a line while it is still being loaded, too."""
    try:
        from edge_harmony.cli.main import run as run_command

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(_INTERRUPTED)
    finally:
        # CPython notes a KeyboardInterrupt that passes through eval() as one that nobody caught, and would end the
        # process by the signal instead of the exit status; to evaluate anything takes the note back.
        eval("None")


if __name__ == "__main__":
    run()
