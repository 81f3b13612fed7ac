"""The types of an ASGI application, and how a request is refused.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_LINGER_SECONDS, _LINGER_BYTES = 5.0, 256 << 20


async def refuse(
    scope: Message,
    receive: Receive,
    send: Send,
    status: int,
    reason: str,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Answer a request whose body nobody reads with ``{"error": reason}``, and close the connection.

    A client that is still sending would see a reset connection instead (RFC 9112, section 9.6), so a part of the rest
    is read and dropped first, see :func:`drop_rest`.

    Args:
        scope: of the request.
        receive: its body.
        send: where the answer goes.
        status: of HTTP.
        reason: for people.
        headers: more of the answer.
    """
    body = json.dumps({"error": reason}).encode()
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    own.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await drop_rest(scope, receive)
    await send({"type": "http.response.body", "body": b""})


async def drop_rest(scope: Message, receive: Receive) -> None:
    """Read what a client still sends after its answer, and drop it: for 5 seconds at most, and at most 256 MiB."""
    if not any(name == b"expect" for name, _ in scope["headers"]):  # such a client sends nothing after a refusal
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_drop(receive), _LINGER_SECONDS)


async def _drop(receive: Receive) -> None:
    left = _LINGER_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
