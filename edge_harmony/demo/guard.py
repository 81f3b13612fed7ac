"""What stands before the page: a limit on the size of requests, and Gradio's routes that the page has no use for."""

from __future__ import annotations

from edge_harmony.demo.hidden_folder import HiddenFolder
from edge_harmony.web.asgi import Application, Message, Receive, Send, refuse
from edge_harmony.web.body import BodyLimit

_PREFIX = "/gradio_api"
_CLOSED = (
    *("/docs", "/redoc", "/openapi.json", "/info", "/monitoring", "/profiling", "/runs", "/run-history"),
    *("/proxy=", "/stream", "/dev", "/process_recording", "/vibe", "/undo-vibe", "/custom_component"),
    *("/call/v2", "/deep_link"),
)
"""Beginnings of paths: descriptions of the server and of its use, requests to other servers, tools of developers, calls
by a description, and pages that are kept for ever."""
_FILE = "/file="
_ELSEWHERE = "://"
"""In the name of a file: an address, which Gradio would fetch."""
_LARGE = ("/upload", "/component_server")
_SMALL_BODY = 1 << 20


class Guard:
    """An ASGI application around another one.

    Args:
        app: the application.
        largest: bytes of the body of an upload; other bodies have 1 MiB.
        folder: of uploads, see :class:`HiddenFolder`.
    """

    def __init__(self, app: Application, largest: int, folder: str) -> None:
        hidden = HiddenFolder(app, folder)
        self._limited = BodyLimit(hidden, lambda scope: largest if _path(scope).startswith(_LARGE) else _SMALL_BODY)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request that is refused, and pass on the others."""
        if scope["type"] == "http" and _is_closed(_path(scope)):
            await refuse(scope, receive, send, 404, "there is no such page")
            return
        await self._limited(scope, receive, send)


def _is_closed(path: str) -> bool:
    return path.startswith(_CLOSED) or (path.startswith(_FILE) and _ELSEWHERE in path)


def _path(scope: Message) -> str:
    path: str = scope["path"]
    return path.removeprefix(_PREFIX)
