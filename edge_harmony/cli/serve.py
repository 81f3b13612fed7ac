"""``edge-harmony serve``: an HTTP service that harmonizes pictures."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_harmony.backends.base import DEFAULT_PRECISION, LoadRequest
from edge_harmony.backends.discovery import load_request
from edge_harmony.cli.console import (
    ArtifactOption,
    BackendOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    WeightsOption,
    stopping,
)
from edge_harmony.cli.until_stopped import wait_until_stopped
from edge_harmony.errors import EdgeHarmonyError
from edge_harmony.files.stderr import silent_libraries
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.models.registry import DEFAULT_MODEL
from edge_harmony.pictures.parallel_rows import cores, set_threads
from edge_harmony.serving.service import Service, require_server
from edge_harmony.web.listen import LOCAL
from edge_harmony.web.pixels import MOST_PIXELS
from edge_harmony.web.warm import warm_up

_LIMITS = "Limits"


@silent_libraries()
def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")] = LOCAL[
        0
    ],
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0: one that is free.")
    ] = 8000,
    model: ModelOption = DEFAULT_MODEL,
    backend: BackendOption = None,
    precision: PrecisionOption = DEFAULT_PRECISION,
    artifact: ArtifactOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    jobs: Annotated[
        int, typer.Option("--jobs", min=0, help="Requests at a time, each on one core; 0: as many as cores.")
    ] = 0,
    waiting: Annotated[
        int,
        typer.Option(
            "--waiting", min=0, help="Requests that arrive or wait meanwhile; more get 503.", rich_help_panel=_LIMITS
        ),
    ] = 16,
    wait_seconds: Annotated[
        float, typer.Option("--wait-seconds", min=0.1, help="For a request's turn; then 503.", rich_help_panel=_LIMITS)
    ] = 30.0,
    body_seconds: Annotated[
        float,
        typer.Option("--body-seconds", min=0.1, help="In which a request arrives; then 408.", rich_help_panel=_LIMITS),
    ] = 60.0,
    mebibytes: Annotated[
        int, typer.Option("--mebibytes", min=1, help="Of a request; more get 413.", rich_help_panel=_LIMITS)
    ] = 64,
    megapixels: Annotated[
        float, typer.Option("--megapixels", min=0.1, help="Of a picture; more get 413.", rich_help_panel=_LIMITS)
    ] = MOST_PIXELS / 1e6,
    describe: Annotated[bool, typer.Option("--docs", help="Also serve /docs and /openapi.json.")] = False,
    json: JsonOption = False,
) -> None:
    """Serve HTTP: POST /harmonize takes pictures and gives a picture; /healthz and /metrics for those who watch.

    Ctrl-C or SIGTERM ends it when the requests that are being worked on are answered.
    """
    require_server()
    import cv2

    from edge_harmony.serving.app import ServiceLimits, make_app

    set_threads(1)
    cv2.setNumThreads(1)
    limits = ServiceLimits(
        body_bytes=mebibytes << 20,
        pixels=round(megapixels * 1e6),
        jobs=jobs or cores(),
        waiting=waiting,
        wait_seconds=wait_seconds,
        body_seconds=body_seconds,
    )
    request = LoadRequest(model, precision, artifact, weights, 1, device, backend=backend).resolved()
    facts = {"model": request.model, "backend": str(request.backend), "precision": request.precision}
    with Harmonizer(load_request(request)) as harmonizer:
        warm_up(harmonizer)
        application = make_app(harmonizer, limits, describe=describe, **facts)
        with stopping("closing when the requests at work are answered (again: at once)") as stop:
            service = Service(application, host, port)
            try:
                wait_until_stopped(stop, service.url, host, "it", lambda: service.is_running, json=json)
            finally:
                service.close()
    if not stop.is_set():
        raise EdgeHarmonyError("the service ended by itself", "run it with --verbose, and report what it says")
    raise typer.Exit(stop.exit_status)
