"""The time between a server's start and the signal that ends it, for the verbs that serve."""

from __future__ import annotations

import sys
from collections.abc import Callable

from edge_harmony.cli.console import Stop, notes, print_json
from edge_harmony.web.listen import LOCAL

_LOOK_SECONDS = 0.2


def wait_until_stopped(
    stop: Stop, url: str, host: str, what: str, is_running: Callable[[], bool], *, json: bool
) -> None:
    """Say where a server listens and who can reach it, and wait for a signal or for the server's own end.

    Args:
        stop: of :func:`~edge_harmony.cli.console.stopping`.
        url: where it listens.
        host: the address that was asked for.
        what: what others could use: ``the page``.
        is_running: whether the server still answers.
        json: print the address as JSON, too.
    """
    notes.print(f"{url} until Ctrl-C", highlight=False)
    if host not in LOCAL:
        notes.print(f"everybody who can reach this machine can use {what}, without a password", highlight=False)
    if json:
        print_json({"url": url})
        sys.stdout.flush()
    while is_running() and not stop.wait(_LOOK_SECONDS):
        pass
