"""The demo page before strangers: large pictures, large requests, empty calls, and what it tells of its server."""

import contextlib
import http.client
import json
import os
import re
import tempfile
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest

import edge_harmony
from edge_harmony.demo import offers as module
from edge_harmony.demo.offers import DEFAULT
from edge_harmony.demo.server import serve
from edge_harmony.samples import sample_files
from tests.demo_visitor import Visitor, file_data

pytestmark = pytest.mark.lengthy

gradio = pytest.importorskip("gradio")

from gradio.utils import get_upload_folder  # noqa: E402

PORT = 7898 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@pytest.fixture(scope="module")
def address():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "find_offers", lambda: [DEFAULT])
        page = serve("127.0.0.1", PORT, pixels=1_000_000)
    yield page.local_url
    page.close()


def status(address, path, data=None):
    try:
        with urlopen(Request(address + path, data, {"content-type": "application/json"})) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


CLOSED = (
    *("docs", "redoc", "openapi.json", "gradio_api/openapi.json", "monitoring", "monitoring/summary", "monitoring/x"),
    *("gradio_api/info", "gradio_api/info/", "gradio_api/info?all_endpoints=True", "gradio_api/runs"),
    *("gradio_api/proxy=http://127.0.0.1:1/", "gradio_api/dev/reload", "gradio_api/stream/a/b/1/playlist.m3u8"),
    *("gradio_api/file=http://127.0.0.1:1/a.png", "gradio_api/file=HTTPS://127.0.0.1:1/", "gradio_api/deep_link"),
)


@pytest.mark.parametrize("path", CLOSED)
def test_what_describes_or_watches_the_server_is_closed(address, path):
    assert status(address, path) == 404
    assert status(address, "") == 200


def test_the_page_does_not_tell_where_it_is_installed(address):
    with urlopen(f"{address}config") as answer:
        config = answer.read().decode()
    for folder in (Path(edge_harmony.__file__).parent, Path.home(), Path.cwd(), Path(gradio.__file__).parent):
        assert f"{folder}/" not in config or str(folder) == "/", folder
    assert "up to 1 megapixels" in config


def test_requests_have_a_size(address):
    assert status(address, "gradio_api/queue/join", b" " * (2 << 20)) == 413
    assert status(address, "gradio_api/queue/join", b"{}") == 422
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    headers = {"content-type": "application/json", "transfer-encoding": "chunked"}
    parts = (b" " * (1 << 18) for _ in range(9))
    with contextlib.closing(connection):
        connection.request("POST", "/gradio_api/queue/join", parts, headers, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read()) == {"error": "a request has at most 1 MiB"}


def test_no_answer_tells_where_uploads_are(address):
    composite, mask = next(iter(sample_files()))
    visitor = Visitor(address)
    editor, given = visitor.editor(composite), visitor.file(mask)
    made = visitor.harmonize(values_of(editor, given, *DEFAULT, 1.0))
    answers = [made, json.dumps([editor, given])]
    answers += [visitor.ask(path).decode() for path in ("/", "/config", "/config?page=", "/gradio_api/startup-events")]
    folder = get_upload_folder()
    assert "event: complete" in made
    for answer in answers:
        assert folder not in answer
        assert tempfile.gettempdir() not in answer
    urls = re.findall(r'"url": "([^"]+)"', made) + [sample["image"]["url"] for sample in gallery(visitor)]
    assert len(urls) == 2 + len(list(sample_files()))
    for url in urls:
        assert cv2.imdecode(
            np.frombuffer(visitor.ask(f"/gradio_api{url.partition('/gradio_api')[2]}"), np.uint8), 1
        ).any()


def values_of(*values):
    """The values of a call, with those of the mask's edge if they are left out."""
    return [*values, *(0, False)[len(values) - 6 :]]


def gallery(visitor):
    config = json.loads(visitor.ask("/config"))
    return next(part["props"]["value"] for part in config["components"] if part["type"] == "gallery")


def test_calls_are_answered_in_a_sentence(address, tmp_path):
    composite, mask = next(iter(sample_files()))
    big = tmp_path / "big.png"
    cv2.imwrite(str(big), np.zeros((1001, 1000, 3), np.uint8))
    (tmp_path / "no.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    page = Visitor(address)
    files = page.editor(composite), page.file(mask)
    elsewhere = file_data("http://127.0.0.1:1/a.png")
    with_offer = (*DEFAULT, 1.0)
    calls = (
        ((None, None, *with_offer), "there is no composite yet"),
        ((None, None, None, None, None, 1), "choose a network"),
        ((None, None, *DEFAULT, None), "a value of this call cannot be used"),
        ((7, None, *DEFAULT, 1), "a value of this call cannot be used"),
        ((None, {"a": 1}, *DEFAULT, 1), "a value of this call cannot be used"),
        ((None, None, [], *DEFAULT[1:], 1), "a value of this call cannot be used|does not run here"),
        ((None, None, *DEFAULT, 7), "Value 7 is greater than maximum value"),
        ((None, None, "magic", *DEFAULT[1:], 1), "not in the list of choices"),
        ((files[0], elsewhere, *DEFAULT, 1), "a picture is named by an address; upload it"),
        (({"background": elsewhere, "layers": [], "composite": None}, None, *DEFAULT, 1), "named by an address"),
        (({"background": None, "layers": [elsewhere], "composite": None}, None, *DEFAULT, 1), "named by an address"),
    )

    def refused(*call, said):
        event, data = page.harmonize(values_of(*call)).split("\n", 1)
        assert event == "event: error", data
        assert re.search(said, data), data
        assert "None" not in data

    for call, said in calls:
        refused(*call, said=said)
    too_large = "1000 x 1001 pixels, and 1 megapixels are taken here"
    for wrong, said in ((big, too_large), (tmp_path / "no.png", "not a picture")):
        refused(page.editor(wrong), None, *with_offer, said=said)
        refused(files[0], page.file(wrong), *with_offer, said=said)
    small = tmp_path / "small.png"
    spot = np.zeros(cv2.imread(str(mask)).shape[:2], np.uint8)
    spot[100:104, 100:104] = 255
    cv2.imwrite(str(small), spot)
    refused(files[0], page.file(small), *with_offer, -10, False, said="nothing of the mask is left")
    event, data = page.harmonize(values_of(*files, *with_offer)).split("\n", 1)
    assert event == "event: complete", data
    slides, told, *_ = json.loads(data.removeprefix("data: "))
    assert len(slides) == 2
    assert "edge-s onnxruntime int8" in told


def test_nothing_is_written_into_the_package(address):
    assert not list(Path(module.__file__).parent.glob("*.pyi"))


def test_samples_are_copies(address):
    copies = [folder for folder in Path(tempfile.gettempdir()).glob("edge-harmony-*") if folder.is_dir()]
    names = {path.name for composite, mask in sample_files() for path in (composite, mask)}
    assert any({path.name for path in folder.iterdir()} == names for folder in copies)
