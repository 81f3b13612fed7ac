"""The socket that a server listens on."""

from __future__ import annotations

import socket

from edge_harmony.errors import UsageError, first_line

LOCAL = ("127.0.0.1", "localhost", "::1")
"""Addresses that can be reached from this machine only."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: address of this machine.
        port: port, or 0 for any that is free.

    Raises:
        UsageError: the port is taken, or the address is not one of this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise UsageError(f"cannot listen on {host}:{port} ({reason})", "choose another --port or --host") from None
