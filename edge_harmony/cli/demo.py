"""``edge-harmony demo``: a page for trying harmonization."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_harmony.cli.console import JsonOption, stopping
from edge_harmony.cli.until_stopped import wait_until_stopped
from edge_harmony.demo.server import serve
from edge_harmony.web.listen import LOCAL
from edge_harmony.web.pixels import MOST_PIXELS


def demo(
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")] = LOCAL[
        0
    ],
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 7860,
    megapixels: Annotated[
        float, typer.Option("--megapixels", min=0.1, help="The most that a picture on the page may have.")
    ] = MOST_PIXELS / 1e6,
    json: JsonOption = False,
) -> None:
    """Serve a page: drop a composite, paint or upload its mask, choose a network, compare before and after."""
    page = serve(host, port, pixels=round(megapixels * 1e6))
    try:
        with stopping("closing") as stop:
            wait_until_stopped(stop, page.local_url, host, "the page", lambda: page.is_running, json=json)
    finally:
        page.close(verbose=False)
    if stop.is_set():
        raise typer.Exit(stop.exit_status)
