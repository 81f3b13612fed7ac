"""Serving the page from threads of this process, behind its guard."""

from __future__ import annotations

from typing import Any

from edge_harmony.demo.guard import Guard
from edge_harmony.demo.looks import SCRIPT, STYLE
from edge_harmony.demo.page import make_page, require_gradio
from edge_harmony.web.listen import listen
from edge_harmony.web.pixels import MOST_PIXELS

_MAX_UPLOAD = 100 << 20
_SESSIONS = 16


def serve(host: str, port: int, *, pixels: int = MOST_PIXELS) -> Any:
    """Serve the page from threads of this process.

    Args:
        host: address to listen on; ``127.0.0.1`` can be reached from this machine only.
        port: port to listen on.
        pixels: the most that a picture may have.

    Returns:
        The page: ``local_url`` is its address, ``close`` stops it.

    Raises:
        CapabilityError: Gradio is not installed.
        UsageError: the port is taken, or the address is not one of this machine.
    """
    gradio = require_gradio()
    listen(host, port).close()  # Gradio opens its own, and tells less where it cannot
    page = make_page(pixels)
    folder = page.uploads.folder
    own = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]  # no fonts from other servers
    page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        show_error=True,
        footer_links=[],
        max_file_size=_MAX_UPLOAD,
        state_session_capacity=_SESSIONS,
        enable_monitoring=False,
        app_kwargs={"middleware": [_middleware(folder)]},
        css=STYLE,
        js=SCRIPT,
        theme=gradio.themes.Default(font=own[0], font_mono=own[1]),
    )
    return page


def _middleware(folder: str) -> Any:
    from starlette.middleware import Middleware

    return Middleware(Guard, largest=_MAX_UPLOAD, folder=folder)
