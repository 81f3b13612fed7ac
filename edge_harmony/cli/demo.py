"""``edge-harmony demo``: a page to try harmonization on."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_harmony.cli.console import err
from edge_harmony.demo.page import require_gradio, serve

_LOCAL = ("127.0.0.1", "localhost", "::1")


def demo(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others can use the page on 0.0.0.0.")
    ] = _LOCAL[0],
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 7860,
) -> None:
    """Serve a page: drop a composite, paint or upload its mask, compare before and after, with what runs here."""
    require_gradio()
    err.print(f"loading; then http://{host}:{port} until Ctrl-C", highlight=False)
    if host not in _LOCAL:
        err.print(f"everybody who reaches {host} can use this page; it asks for no password", highlight=False)
    serve(host, port)
