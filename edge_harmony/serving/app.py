"""The service's routes: ``/harmonize``, ``/healthz`` and ``/metrics``."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import edge_harmony
from edge_harmony.errors import CapabilityError, EdgeHarmonyError, InputError, UsageError, is_out_of_memory
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.serving.call import Call, Fields
from edge_harmony.serving.jobs import Busy, Jobs, Unwanted
from edge_harmony.serving.metrics import CONTENT_TYPE, Metrics
from edge_harmony.web.asgi import Application, Message, Receive, Send, refuse
from edge_harmony.web.body import BodyLimit
from edge_harmony.web.pixels import MOST_PIXELS, TooManyPixels

log = logging.getLogger(__name__)

ROUTE = "/harmonize"
_SMALL_BODY = 64 << 10
_CLIENT_WENT_AWAY = 499
_NO_FORM = "the body is no form; send multipart/form-data with the files composite and mask"


@dataclass(frozen=True)
class ServiceLimits:
    """What a service takes.

    Attributes:
        body_bytes: of a request.
        pixels: of a picture.
        jobs: requests that are worked on at a time.
        waiting: requests that arrive or wait meanwhile; further ones are answered with 503.
        wait_seconds: for a request's turn, after which it is answered with 503.
        body_seconds: in which a body has to arrive.
    """

    body_bytes: int = 64 << 20
    pixels: int = MOST_PIXELS
    jobs: int = 1
    waiting: int = 16
    wait_seconds: float = 30.0
    body_seconds: float = 60.0


def make_app(harmonizer: Harmonizer, limits: ServiceLimits, *, describe: bool = False, **facts: str) -> Application:
    """The service as an ASGI application.

    Args:
        harmonizer: the network; it must serve several threads, as those of :meth:`Harmonizer.from_pretrained` do.
        limits: on requests.
        describe: also serve ``/docs`` and ``/openapi.json``.
        facts: labels of ``edge_harmony_info``, and more of the answer of ``/healthz``.
    """
    labels = {"version": edge_harmony.__version__} | facts
    metrics, jobs = Metrics(labels), Jobs(limits.jobs, limits.waiting, limits.wait_seconds)
    hidden: dict[str, Any] = {} if describe else {"openapi_url": None, "docs_url": None}
    app = FastAPI(title="edge-harmony", version=edge_harmony.__version__, redoc_url=None, **hidden)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)

    @app.post(ROUTE, response_class=Response, responses={200: {"content": {"image/*": {}}}})
    async def harmonize(
        request: Request, fields: Annotated[Fields, Form(media_type="multipart/form-data")]
    ) -> Response:
        """Harmonize a picture; the answer is a picture file, or ``{"error": ...}``."""
        try:
            _refuse_repeated(name for name, _ in (await request.form()).multi_items())
            call = Call.of(fields)
            made = await jobs.run(lambda: call.harmonize(harmonizer, limits.pixels), request.is_disconnected)
        except Exception as error:
            return _answer(error, jobs)
        metrics.harmonized(made.seconds, made.pixels)
        return Response(made.data, media_type=made.media_type, headers={"cache-control": "no-store"})

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """That the service answers, with its version and network."""
        return {"status": "ok"} | labels

    @app.get("/metrics")
    async def show_metrics() -> Response:
        """Counts and times for Prometheus."""
        return Response(metrics.text(jobs.running, jobs.admitted), media_type=CONTENT_TYPE)

    def limit(scope: Message) -> int:
        return limits.body_bytes if _is_call(scope) else _SMALL_BODY

    return Front(BodyLimit(app, limit, limits.body_seconds), jobs, metrics)


def _refuse_repeated(names: Iterable[str]) -> None:
    """Refuse a form in which a field comes twice, of which only one would count.

    Raises:
        UsageError: it does.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"there are {count} fields {name}", "send one")


class Front:
    """What stands before the routes: a request to ``/harmonize`` is given a place before its body is read, and counted.

    Args:
        app: the application behind it.
        jobs: the places.
        metrics: where requests are counted.
    """

    def __init__(self, app: Application, jobs: Jobs, metrics: Metrics) -> None:
        self._app, self._jobs, self._metrics = app, jobs, metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer that there is no place for it."""
        if scope["type"] != "http" or not _is_call(scope):
            await self._app(scope, receive, send)
            return
        ends = _Ends(receive, send)
        start = time.perf_counter()
        try:
            if not dict(scope["headers"]).get(b"content-type", b"").lower().startswith(b"multipart/form-data"):
                await refuse(scope, ends.receive, ends.send, 415, _NO_FORM)
                return
            with self._jobs.admission():
                await self._app(scope, ends.receive, ends.send)
        except Busy as error:
            headers = [(b"retry-after", str(error.retry_after).encode())]
            await refuse(scope, ends.receive, ends.send, 503, str(error), headers)
        finally:
            self._metrics.answered(ends.status, time.perf_counter() - start, ends.received, ends.sent)


class _Ends:
    """The two ends of a request, which count what passes."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.status = _CLIENT_WENT_AWAY
        self.received = self.sent = 0
        self._is_gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.received += len(message.get("body", b""))
        self._is_gone |= message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._is_gone:
            self.status = message["status"]
        self.sent += len(message.get("body", b""))
        await self._send(message)


def _is_call(scope: Message) -> bool:
    return scope["path"] == ROUTE and scope["method"] == "POST"


def _answer(error: Exception, jobs: Jobs) -> JSONResponse:
    """The answer in place of a picture."""
    if isinstance(error, Unwanted):
        return _refusal(_CLIENT_WENT_AWAY, str(error))
    if isinstance(error, Busy) or is_out_of_memory(error):
        busy = "the server is busy" if isinstance(error, Busy) else "the server has too little memory for it now"
        return _refusal(503, busy, {"retry-after": str(jobs.retry_after())})
    if isinstance(error, EdgeHarmonyError):
        return _refusal(next((status for kind, status in _STATUS if isinstance(error, kind)), 500), str(error))
    log.error("a request failed", exc_info=error)
    return _refusal(500, "this failed, and the log of the server says why")


_STATUS = ((TooManyPixels, 413), (InputError, 422), (UsageError, 400), (CapabilityError, 501))


def _refusal(status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": reason}, status, headers)


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _refusal(error.status_code, str(error.detail), dict(error.headers or {}))


async def _answer_validation(request: Request, error: Exception) -> JSONResponse:
    """The first thing that is wrong with the fields of a request."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        reason = f"there is no field {field!r}; the fields are {', '.join(Fields.model_fields)}"
    elif first["type"] == "value_error":
        reason = f"{field} is no file; send it as one"
    else:
        reason = f"{field}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return _refusal(400, reason)
