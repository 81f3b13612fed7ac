"""What stands before the page: a limit on the size of requests, and Gradio's routes that the page has no use for.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_PREFIX = "/gradio_api"
_CLOSED = (
    *("/docs", "/redoc", "/openapi.json", "/monitoring", "/proxy=", "/stream", "/dev"),
    *("/process_recording", "/vibe", "/undo-vibe", "/custom_component", "/runs", "/run-history"),
)
"""Beginnings of paths: descriptions of the server and of its use, requests to other servers, tools of developers."""
_LARGE = ("/upload", "/component_server")
_SMALL_BODY, _DIGITS = 1 << 20, 15
_LINGER_BYTES, _LINGER_SECONDS = 16 << 20, 2.0
"""How much of a refused body is still read, and for how long: a client that is still sending when the connection is
closed sees a reset connection instead of the answer (RFC 9112, section 9.6)."""


class Guard:
    """An ASGI application around another one.

    Args:
        app: the application.
        largest: bytes of the body of an upload; other bodies have 1 MiB.
    """

    def __init__(self, app: Application, largest: int) -> None:
        self._app, self._largest = app, largest

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request that is refused, and pass on the others."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(_PREFIX)
        if path.startswith(_CLOSED):
            await _refuse(send, 404, "there is no such page")
            return
        limit = self._largest if path.startswith(_LARGE) else _SMALL_BODY
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or len(said) > _DIGITS or int(said) > limit:
            await _drain(receive)
            await _refuse(send, 413, f"a request has at most {limit >> 20} MiB")
            return
        counted = _Counted(receive, send, limit)
        try:
            await self._app(scope, counted.receive, counted.send)
        except Exception:
            if not counted.is_over:
                raise
        if counted.is_over and not counted.has_answered:
            await _drain(receive)
            await _refuse(send, 413, f"a request has at most {limit >> 20} MiB")


class _Counted:
    """The two ends of a request whose body is counted while it is read."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._left = receive, send, limit
        self.is_over = self.has_answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.is_over = True
                return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if self.is_over and not self.has_answered:
            return  # what it says of a client that went away; ours follows
        self.has_answered = True
        await self._send(message)


async def _drain(receive: Receive) -> None:
    """Read the rest of a body and forget it, within limits."""
    left = _LINGER_BYTES
    with contextlib.suppress(asyncio.TimeoutError):
        while left > 0:
            message = await asyncio.wait_for(receive(), _LINGER_SECONDS)
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            left -= len(message.get("body", b""))


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": reason}).encode()})
