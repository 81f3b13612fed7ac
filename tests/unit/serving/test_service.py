"""The HTTP service with a real client: results, statuses, limits, and its end."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

from edge_harmony.cli.main import main
from edge_harmony.errors import UsageError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.images import decode_picture
from edge_harmony.samples import sample_files

pytestmark = pytest.mark.lengthy

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")

from edge_harmony.serving.app import ServiceLimits, make_app  # noqa: E402
from edge_harmony.serving.service import Service  # noqa: E402

COMPOSITE, MASK = (path.read_bytes() for path in next(iter(sample_files())))
PIXELS = 1_000_000


def png(*shape, level=0):
    return cv2.imencode(".png", np.full(shape, level, np.uint8))[1].tobytes()


class Gate:
    """A harmonizer whose work goes on when it is let."""

    def __init__(self, harmonizer):
        self.harmonizer, self.open = harmonizer, threading.Event()
        self.entered = threading.Semaphore(0)

    def harmonize_bytes(self, *arguments, **options):
        self.entered.release()
        assert self.open.wait(60)
        return self.harmonizer.harmonize_bytes(*arguments, **options)


@pytest.fixture(scope="module")
def harmonizer():
    with Harmonizer.from_pretrained(threads=1) as loaded:
        yield loaded


@pytest.fixture
def serve():
    started = []

    def start(harmonizer, describe=False, **limits):
        app = make_app(
            harmonizer, ServiceLimits(**{"pixels": PIXELS, "body_bytes": 2 << 20} | limits), describe=describe
        )
        started.append(Service(app, "127.0.0.1", 0, ending_seconds=60))
        return started[-1]

    yield start
    for service in started:
        service.close()


@pytest.fixture(scope="module")
def client(harmonizer):
    app = make_app(harmonizer, ServiceLimits(pixels=PIXELS, body_bytes=2 << 20), model="edge-s")
    service = Service(app, "127.0.0.1", 0)
    with httpx.Client(base_url=service.url, timeout=60) as opened:
        yield opened
    service.close()


def test_a_composite_and_its_mask(client, harmonizer):
    answer = client.post("/harmonize", files={"composite": COMPOSITE, "mask": MASK}, data={"format": "png"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    expected = harmonizer.harmonize_bytes(COMPOSITE, MASK, ".png")
    np.testing.assert_array_equal(decode_picture(answer.content, "").pixels, decode_picture(expected, "").pixels)


def test_the_format_is_that_of_the_composite_unless_it_is_named(client):
    files = {"composite": ("photo", COMPOSITE), "mask": MASK}
    assert client.post("/harmonize", files=files).content[:3] == b"\xff\xd8\xff"
    for named, start in (("webp", b"RIFF"), ("JPG", b"\xff\xd8\xff"), (".tif", b"II*\0")):
        assert client.post("/harmonize", files=files, data={"format": named}).content.startswith(start), named


def test_a_foreground_on_a_background(client, harmonizer):
    background, place = png(300, 400, 3, level=90), {"x": 200, "y": 150, "scale": 0.5, "anchor": "center"}
    files = {"foreground": COMPOSITE, "background": background, "mask": MASK}
    answer = client.post("/harmonize", files=files, data=place | {"format": "png", "strength": 0.5})
    expected = harmonizer.harmonize_bytes(
        COMPOSITE, MASK, ".png", background=background, position=(200, 150), scale=0.5, strength=0.5
    )
    made = decode_picture(answer.content, "").pixels
    assert made.shape == (300, 400, 3)
    np.testing.assert_array_equal(made, decode_picture(expected, "").pixels)


WRONG = {
    "no file": ({"strength": (None, "1")}, {}, 400, "there is no composite; send composite and mask"),
    "no mask": ({"composite": COMPOSITE}, {}, 400, "there is no mask"),
    "both": ({"composite": COMPOSITE, "foreground": COMPOSITE, "mask": MASK}, {}, 400, "both a composite and"),
    "no background": ({"foreground": COMPOSITE, "mask": MASK}, {}, 400, "foreground and background belong together"),
    "misspelt": ({"composite": COMPOSITE, "mask": MASK}, {"strenght": 1}, 400, "no field 'strenght'; the fields are"),
    "strength": ({"composite": COMPOSITE, "mask": MASK}, {"strength": 2}, 400, "strength: input should be less than"),
    "not a number": ({"composite": COMPOSITE, "mask": MASK}, {"strength": "nan"}, 400, "strength: "),
    "half a place": ({"composite": COMPOSITE, "mask": MASK}, {"x": 3}, 400, "x and y belong together"),
    "a place without background": ({"composite": COMPOSITE, "mask": MASK}, {"x": 3, "y": 3}, 400, "on a background"),
    "anchor": ({"foreground": COMPOSITE, "background": COMPOSITE, "mask": MASK}, {"anchor": "x"}, 400, "no anchor 'x'"),
    "format": ({"composite": COMPOSITE, "mask": MASK}, {"format": "gif"}, 400, "there is no format 'gif'; use one of"),
    "text": ({"composite": b"dear madam", "mask": MASK}, {}, 422, "composite is not a picture that can be read"),
    "an empty mask": ({"composite": COMPOSITE, "mask": png(1, 1)[:30]}, {}, 422, "mask"),
    "another size": ({"composite": COMPOSITE, "mask": png(9, 9, level=255)}, {}, 422, "mask"),
    "pixels": ({"composite": png(1001, 1000), "mask": MASK}, {}, 413, "composite has 1000 x 1001 pixels, and 1 mega"),
    "pixels of the mask": ({"composite": COMPOSITE, "mask": png(1001, 1000)}, {}, 413, "mask has 1000 x 1001"),
    "scaled": (
        {"foreground": COMPOSITE, "background": COMPOSITE, "mask": MASK},
        {"scale": 50},
        413,
        "at scale 50 the foreground has more than 1 megapixels",
    ),
    "twice": ([("composite", COMPOSITE), ("mask", MASK), ("mask", MASK)], {}, 400, "there are 2 fields mask; send one"),
    "two values": ({"composite": COMPOSITE, "mask": MASK}, {"strength": ["1", "0.5"]}, 400, "2 fields strength; send"),
    "bytes": ({"composite": bytes(3 << 20), "mask": MASK}, {}, 413, "a request has at most 2 MiB"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_requests_are_answered_in_a_sentence(client, name):
    files, data, status, said = WRONG[name]
    answer = client.post("/harmonize", files=files, data=data)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert said in answer.json()["error"]
    assert len(answer.json()["error"].splitlines()) == 1


def test_what_is_no_form_and_what_is_no_route(client):
    for body in ({"json": {"a": 1}}, {"content": b"abc"}, {"data": {"strength": 1}}, {}):
        answer = client.post("/harmonize", **body)
        assert answer.status_code == 415
        assert "multipart/form-data" in answer.json()["error"]
    broken = client.post("/harmonize", content=b"abc", headers={"content-type": "multipart/form-data"})
    assert (broken.status_code, list(broken.json())) == (400, ["error"])
    text = client.post("/harmonize", files={"composite": (None, "abc")})
    assert (text.status_code, text.json()["error"]) == (400, "composite is no file; send it as one")
    assert client.get("/harmonize").status_code == 405
    for path in ("/", "/docs", "/redoc", "/openapi.json", "/harmonize/x"):
        assert (client.get(path).status_code, list(client.get(path).json())) == (404, ["error"])
    assert client.post("/healthz", content=bytes(1 << 20)).status_code in (405, 413)


def test_the_description_is_served_when_asked_for(serve, harmonizer):
    service = serve(harmonizer, describe=True)
    schema = httpx.get(f"{service.url}/openapi.json").json()
    assert "strength" in schema["components"]["schemas"]["Fields"]["properties"]
    assert httpx.get(f"{service.url}/docs").status_code == 200


SAMPLE = re.compile(r'^[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? \d+(\.\d+)?$')


def figures(client):
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert all(line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.match(line) for line in lines)
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_health_and_metrics(client):
    health = client.get("/healthz").json()
    assert (health["status"], health["model"]) == ("ok", "edge-s")
    before = figures(client)
    answer = client.post("/harmonize", files={"composite": COMPOSITE, "mask": MASK})
    client.post("/harmonize", files={"composite": COMPOSITE})
    after = figures(client)

    def grown(name):
        return after[f"edge_harmony_{name}"] - before.get(f"edge_harmony_{name}", 0)

    assert grown('requests_total{status="200"}') == grown('requests_total{status="400"}') == 1
    assert grown("request_seconds_count") == grown('request_seconds_bucket{le="+Inf"}') == 2
    assert grown("work_seconds_count") == 1
    height, width = decode_picture(COMPOSITE, "").pixels.shape[:2]
    assert grown("pixels_total") == height * width
    assert grown("received_bytes_total") > 2 * len(COMPOSITE) + len(MASK)
    assert grown("sent_bytes_total") > len(answer.content)
    assert after["edge_harmony_jobs_running"] == after["edge_harmony_requests_admitted"] == 0
    assert after["process_resident_memory_bytes"] > 10 << 20


def post(service, **options):
    files = {"composite": COMPOSITE, "mask": MASK}
    return httpx.post(f"{service.url}/harmonize", files=files, timeout=60, **options)


def test_more_than_can_wait_is_told_when_to_come_again(serve, harmonizer):
    gate = Gate(harmonizer)
    service = serve(gate, jobs=1, waiting=1)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        first = threads.submit(post, service)
        assert gate.entered.acquire(timeout=60)
        second = threads.submit(post, service)
        while figures(httpx.Client(base_url=service.url))["edge_harmony_requests_admitted"] < 2:
            pass
        third = post(service)
        assert (third.status_code, third.json()) == (503, {"error": "the server is busy"})
        assert int(third.headers["retry-after"]) >= 1
        assert not gate.entered.acquire(blocking=False)  # the second waits
        gate.open.set()
        assert first.result().status_code == second.result().status_code == 200
    assert post(service).status_code == 200


def test_a_request_does_not_wait_longer_than_it_may(serve, harmonizer):
    gate = Gate(harmonizer)
    service = serve(gate, jobs=1, waiting=1, wait_seconds=0.1)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        first = threads.submit(post, service)
        assert gate.entered.acquire(timeout=60)
        second = post(service)
        assert second.status_code == 503
        assert "retry-after" in second.headers
        gate.open.set()
        assert first.result().status_code == 200


def test_what_nobody_waits_for_any_more_is_not_worked_on(serve, harmonizer):
    gate = Gate(harmonizer)
    service = serve(gate, jobs=1, waiting=1)
    with concurrent.futures.ThreadPoolExecutor(1) as threads, httpx.Client(base_url=service.url) as watching:
        first = threads.submit(post, service)
        assert gate.entered.acquire(timeout=60)
        request = httpx.Request("POST", service.url, files={"composite": COMPOSITE, "mask": MASK})
        with socket.create_connection(("127.0.0.1", service.port)) as gone:
            head = f"POST /harmonize HTTP/1.1\r\nhost: x\r\ncontent-type: {request.headers['content-type']}\r\n"
            body = request.read()
            gone.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            while figures(watching)["edge_harmony_requests_admitted"] < 2:
                pass
        gate.open.set()
        assert first.result().status_code == 200
        while figures(watching)["edge_harmony_requests_admitted"]:
            pass
        assert figures(watching)['edge_harmony_requests_total{status="499"}'] == 1
    assert not gate.entered.acquire(blocking=False)


def test_a_body_that_does_not_arrive_is_given_up(serve, harmonizer):
    service = serve(harmonizer, body_seconds=0.2)
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as slow:
        slow.sendall(b"POST /harmonize HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n")
        slow.sendall(b"content-length: 1000\r\n\r\n--b\r\n")
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        assert answer.status == 408
        assert json.loads(answer.read()) == {"error": "the request did not arrive within 0.2 s"}


def test_a_client_that_sends_on_hears_that_it_is_too_much(client):
    def parts():
        yield b'--b\r\ncontent-disposition: form-data; name="composite"; filename="a"\r\n\r\n'
        for _ in range(64):
            yield bytes(1 << 18)

    answer = client.post("/harmonize", content=parts(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert (answer.status_code, answer.json()) == (413, {"error": "a request has at most 2 MiB"})


@pytest.mark.parametrize("body", [b"x" * (1 << 20), b"--b\r\n" + b"X: y\r\n" * (1 << 18)], ids=["no part", "heads"])
def test_a_client_that_sends_on_hears_that_its_form_is_broken(client, body):
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=60) as raw:
        raw.sendall(b"POST /harmonize HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\n")
        raw.sendall(b"content-length: %d\r\n\r\n" % len(body) + body)
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert answer.status == 400
        assert list(json.loads(answer.read())) == ["error"]


HEAD = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"


def opened(application, **limits):
    return contextlib.closing(Service(application, "127.0.0.1", 0, **limits))


@pytest.mark.parametrize("before", [b"", HEAD + b"\r\n"], ids=["first", "after another"])
@pytest.mark.parametrize("begun", [b"", HEAD])
def test_a_head_that_does_not_arrive_is_given_up(harmonizer, before, begun):
    with opened(make_app(harmonizer, ServiceLimits()), head_seconds=0.2) as service:
        slow = None
        while slow is None:  # a busy machine may take longer for a whole head than it is given here
            slow = after(service.port, before)
        with slow:
            with contextlib.suppress(ConnectionError):  # given up already
                slow.sendall(begun)
            assert is_closed(slow)


def insist(ask, *arguments):
    """The answer to a request that is sent again where its connection was closed before."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            return ask(*arguments)


def is_closed(connection):
    """Wait for what a connection brings; whether it is its end."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def after(port, before):
    """A connection after the answer to a request, or None if it was given up before."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    if before:
        answer = http.client.HTTPResponse(connection)
        try:
            connection.sendall(before)
            answer.begin()
        except (ConnectionError, http.client.HTTPException):
            connection.close()
            return None
        assert json.loads(answer.read())["status"] == "ok"
    return connection


def test_work_takes_longer_than_a_head_may(harmonizer):
    gate = Gate(harmonizer)
    with (
        opened(make_app(gate, ServiceLimits()), head_seconds=0.2) as service,
        concurrent.futures.ThreadPoolExecutor(1) as threads,
    ):
        answer = threads.submit(insist, post, service)
        gate.entered.acquire()
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as slow:
            assert is_closed(slow)  # so that much time has passed
        gate.open.set()
        assert answer.result().status_code == 200


def test_connections_have_a_number(harmonizer):
    with opened(make_app(harmonizer, ServiceLimits()), most=3) as service:
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(socket.create_connection(("127.0.0.1", service.port), 60)) for _ in range(3)]
            for connection in held:
                connection.sendall(HEAD)
            more = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), 60))
            assert is_closed(more)
            held[0].sendall(b"\r\n")
            assert held[0].recv(12) == b"HTTP/1.1 200"
        assert insist(httpx.get, f"{service.url}/healthz").status_code == 200


def test_strangers_write_nothing_into_the_log(client, caplog):
    answer = client.post("/harmonize", content=b"abc", headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=60) as raw:
        raw.sendall(b"no request\r\n\r\n")
        assert raw.recv(12) == b"HTTP/1.1 400"
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "python_multipart"))] == []


class Failing:
    def __init__(self, error):
        self.error = error

    def harmonize_bytes(self, *arguments, **options):
        raise self.error


def test_faults_of_the_server_tell_nothing_of_it(serve, caplog):
    answer = post(serve(Failing(ValueError("/secret/path"))))
    assert (answer.status_code, answer.json()["error"]) == (500, "this failed, and the log of the server says why")
    assert "/secret/path" in caplog.text
    answer = post(serve(Failing(MemoryError())))
    assert answer.status_code == 503
    assert "too little memory" in answer.json()["error"]
    assert "retry-after" in answer.headers


def test_a_taken_port_is_an_error(serve, harmonizer, capsys):
    service = serve(harmonizer)
    with pytest.raises(UsageError, match="cannot listen on"):
        Service(None, "127.0.0.1", service.port)
    assert main(["serve", "--port", str(service.port)]) == 2
    assert "choose another --port" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_sigterm_ends_it_when_its_request_is_answered():
    command = [sys.executable, "-m", "edge_harmony", "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            text = "".join(iter(process.stdout.readline, "}\n")) + "}"
            url = json.loads(text)["url"]
            big = cv2.imencode(".png", cv2.resize(cv2.imdecode(np.frombuffer(COMPOSITE, np.uint8), 1), (3000, 2000)))
            files = {"composite": big[1].tobytes(), "mask": MASK}
            with concurrent.futures.ThreadPoolExecutor(1) as threads:
                answer = threads.submit(httpx.post, f"{url}/harmonize", files=files, data={"fit": "true"}, timeout=120)
                with httpx.Client(base_url=url) as watching:
                    while not figures(watching)["edge_harmony_jobs_running"]:
                        assert not answer.done()
                process.send_signal(signal.SIGTERM)
                assert answer.result().status_code == 200
            assert process.wait(120) == 128 + signal.SIGTERM
            said = process.stderr.read()
        finally:
            process.kill()
    assert "until Ctrl-C" in said
    assert "Traceback" not in said
