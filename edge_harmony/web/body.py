"""A limit on the bodies of requests, which are counted while they are read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from edge_harmony.web.asgi import Application, Message, Receive, Send, drop_rest, refuse

_DIGITS = 15


class BodyLimit:
    """An ASGI application around another one.

    Args:
        app: the application.
        limit: bytes that the body of a request may have, from its scope.
        seconds: in which a body has to arrive; None for no limit.
    """

    def __init__(self, app: Application, limit: Callable[[Message], int], seconds: float | None = None) -> None:
        self._app, self._limit, self._seconds = app, limit, seconds

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request whose body is too large (413) or too slow (408), and pass on the others."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope)
        too_large = f"a request has at most {limit / (1 << 20):g} MiB"
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or len(said) > _DIGITS or int(said) > limit:
            await refuse(scope, receive, send, 413, too_large)
            return
        counted = _Counted(scope, receive, send, limit, self._seconds)
        try:
            await self._app(scope, counted.receive, counted.send)
        except Exception:
            if not (counted.is_over or counted.is_late):
                raise
        if counted.has_answered:
            return
        if counted.is_over:
            await refuse(scope, receive, send, 413, too_large)
        elif counted.is_late:
            await refuse(scope, receive, send, 408, f"the request did not arrive within {self._seconds:g} s")


class _Counted:
    """The two ends of a request whose body is counted while it is read."""

    def __init__(self, scope: Message, receive: Receive, send: Send, limit: int, seconds: float | None) -> None:
        self._scope, self._receive, self._send, self._left = scope, receive, send, limit
        self._until = None if seconds is None else time.monotonic() + seconds
        self._is_whole = self._is_gone = False
        self.is_over = self.is_late = self.has_answered = False

    async def receive(self) -> Message:
        if self._until is None or self._is_whole:
            message = await self._receive()
        else:
            try:
                message = await asyncio.wait_for(self._receive(), max(0.0, self._until - time.monotonic()))
            except asyncio.TimeoutError:
                self.is_late = True
                return {"type": "http.disconnect"}
        self._is_gone |= message["type"] == "http.disconnect"
        if message["type"] == "http.request":
            self._is_whole = not message.get("more_body", False)
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.is_over = True
                return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if (self.is_over or self.is_late) and not self.has_answered:
            return  # what it says of a client that went away; ours follows
        self.has_answered = True
        is_end = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_end and not (self._is_whole or self._is_gone):  # an answer to a beginning, as of a form that is none
            await self._send({**message, "more_body": True})
            await drop_rest(self._scope, self._receive)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)
