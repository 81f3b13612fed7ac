"""Connections to the service: how many there are at a time, and how long one may take to say what it wants."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 512
"""At a time; below the 1,024 open files that many systems allow a process."""
HEAD_SECONDS = 10.0
"""In which the head of a request has to arrive."""


def protocol(most: int = MOST_CONNECTIONS, head_seconds: float = HEAD_SECONDS) -> type[H11Protocol]:
    """uvicorn's protocol with limits of its own: uvicorn waits for the head of a request for ever.

    Args:
        most: connections at a time; further ones are closed at once.
        head_seconds: in which the head of a request has to arrive, after the connection was made or the last request
            was answered; then the connection is closed.
    """

    class Limited(H11Protocol):
        _until: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.close()
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Have the time run while a head is awaited, and only then."""
            is_answered = self.cycle is None or self.cycle.response_complete
            if not (is_answered and self.conn.their_state is h11.IDLE):
                self._cancel()
            elif self._until is None and not self.transport.is_closing():
                self._until = self.loop.call_later(head_seconds, self.transport.close)

        def _cancel(self) -> None:
            if self._until is not None:
                self._until.cancel()
                self._until = None

    return Limited
