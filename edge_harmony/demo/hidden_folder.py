"""The folder of uploads and results under another name: Gradio tells every visitor the paths of its files, and takes
them back.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from edge_harmony.web.asgi import Application, Message, Receive, Send

SHOWN = "/files-of-the-page"
"""What visitors see in place of the folder."""
_REWRITTEN = (b"application/json", b"text/html", b"text/event-stream")


class HiddenFolder:
    """An ASGI application around another one, in whose answers a folder has another name, and in requests its own.

    An answer is rewritten message by message: Gradio sends a page, an object of JSON or an event in one.

    Args:
        app: the application.
        folder: its path on this machine.
    """

    def __init__(self, app: Application, folder: str) -> None:
        self._app, self._folder = app, folder
        self._real = {_in_json(folder), _in_url(folder)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].replace(SHOWN, self._folder)
        headers = dict(scope["headers"])
        if headers.get(b"content-type", b"").startswith(b"application/json"):
            receive = self._opened(receive)
        await self._app({**scope, "path": path}, receive, self._hiding(send, has_body=scope["method"] != "HEAD"))

    def _opened(self, receive: Receive) -> Receive:
        """The body of a request as one message, because a name may lie across two."""
        is_read = False

        async def whole() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read, parts = True, []
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return message
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    body = b"".join(parts).replace(SHOWN.encode(), _in_json(self._folder))
                    return {"type": "http.request", "body": body, "more_body": False}

        return whole

    def _hiding(self, send: Send, *, has_body: bool) -> Send:
        """The way of an answer, on which the folder is hidden; its length is told when its first part is there."""
        start: Message | None = None
        hides = False

        async def hide(message: Message) -> None:
            nonlocal start, hides
            if message["type"] == "http.response.start":
                kind = dict(message["headers"]).get(b"content-type", b"")
                hides = has_body and kind.startswith(_REWRITTEN)
                if hides:
                    start = message
                    return
            if hides and message["type"] == "http.response.body":
                body = message.get("body", b"")
                for real in self._real:
                    body = body.replace(real, SHOWN.encode())
                message = {**message, "body": body}
                if start is not None:
                    others = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
                    if not message.get("more_body", False):
                        others.append((b"content-length", str(len(body)).encode()))
                    begun, start = {**start, "headers": others}, None
                    await send(begun)
            await send(message)

        return hide


def _in_json(folder: str) -> bytes:
    return json.dumps(folder, ensure_ascii=False)[1:-1].encode()


def _in_url(folder: str) -> bytes:
    return quote(folder, safe="/").encode()
