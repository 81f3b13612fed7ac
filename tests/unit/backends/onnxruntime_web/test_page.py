"""The page in a browser: pixels against the package, a cut-out, 12 megapixels, a phone, no network.

With ``EDGE_HARMONY_SCREENSHOTS=docs/images`` the docs' screenshots go there.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from edge_harmony.backends.onnxruntime_web.options import PageOptions
from edge_harmony.backends.onnxruntime_web.runtime import runtime_files
from edge_harmony.cli.main import main
from edge_harmony.errors import CapabilityError
from edge_harmony.files.manifest import read_manifest
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.alpha import straight
from edge_harmony.pictures.images import read_mask, read_picture
from edge_harmony.pictures.paste import paste
from edge_harmony.pictures.placement import Placement
from edge_harmony.samples import sample_pictures

pytestmark = pytest.mark.slow

LARGE = (3024, 4032)
"""A phone's photograph of 12 megapixels."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def site(made_once):
    """The page of edge-s in INT8, as export writes it."""
    pytest.importorskip("torch")

    def fill(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("EDGE_HARMONY_HOME", str(folder / "home"))
            try:
                runtime_files(PageOptions().runtimes["wasm"])
            except CapabilityError as error:
                (folder / "missing").write_text(str(error))
            else:
                assert main(["export", "edge-s", "--target", "web-int8", "-o", str(folder / "site")]) == 0

    folder = made_once("page", fill)
    if (folder / "missing").exists():
        pytest.skip((folder / "missing").read_text())
    return folder / "site"


@pytest.fixture(scope="module")
def server(site):
    found = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture(scope="module")
def tab(server, browser):
    tab = browser.new_page(viewport={"width": 1280, "height": 860})
    tab.set_default_timeout(120_000)
    tab.seen, tab.wrong = [], []
    tab.on("request", lambda request: tab.seen.append(request.url))
    tab.on("pageerror", lambda error: tab.wrong.append(str(error)))
    tab.goto(f"http://127.0.0.1:{server.server_port}/")
    told(tab, "Ready")
    return tab


@pytest.fixture(scope="module")
def harmonizer(site):
    (artifact,) = site.glob("*.onnx")
    with Harmonizer.from_pretrained(artifact=artifact) as found:
        yield found


@pytest.fixture
def photograph(tmp_path):
    folder = Path(os.environ.get("EDGE_HARMONY_SCREENSHOTS", tmp_path))

    def take(tab, name):
        tab.screenshot(path=folder / f"{name}.jpg", type="jpeg", quality=85)
        assert cv2.imread(str(folder / f"{name}.jpg")).std() > 20

    return take


def told(tab, text):
    """Wait until the page says it."""
    tab.wait_for_function("text => document.querySelector('#status').textContent.includes(text)", arg=text)


def give(tab, role, path, says):
    tab.locator(f"[data-role={role}] input").set_input_files(path)
    told(tab, says)


def harmonize(tab, says="Predicted"):
    tab.get_by_role("button", name="Harmonize").click()
    told(tab, says)


def saved(tab, name, folder):
    with tab.expect_download() as download:
        tab.get_by_role("button", name=name, exact=True).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def draw(tab, *points):
    """A stroke through points, which are shares of the canvas."""
    box = tab.locator("#view").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place, steps=5)
    tab.mouse.up()


def differences(path, expected):
    """Levels between a file and an array."""
    found = read_picture(path).pixels[..., :3].astype(int)
    assert found.shape == expected.shape
    return np.abs(found - expected)


def sample(index):
    _, composite, mask = list(sample_pictures())[index]
    return composite, np.rint(255 * mask).astype(np.uint8)


def test_the_network_is_for_cpus(site):
    (artifact,) = site.glob("*.onnx")
    assert read_manifest(artifact).flavour == "unsigned"
    assert main(["check", str(artifact), "--target", "web-int8"]) == 0


def test_a_drawn_mask_then_other_strengths(tab, harmonizer, tmp_path):
    composite, _ = sample(1)
    cv2.imwrite(str(tmp_path / "mine.png"), composite[..., ::-1])
    give(tab, "picture", tmp_path / "mine.png", "Paint over the foreground")
    harmonize(tab, "nothing is foreground yet")
    draw(tab, (0.7, 0.45), (0.75, 0.6), (0.7, 0.8))
    draw(tab, (0.1, 0.1), (0.2, 0.1))
    tab.get_by_role("button", name="Undo").click()
    tab.get_by_label("Erase").check()
    draw(tab, (0.7, 0.8), (0.71, 0.8))
    tab.get_by_label("Paint", exact=True).check()
    harmonize(tab)
    mask = read_mask(saved(tab, "Mask", tmp_path))
    height, width = mask.shape
    at = lambda x, y: mask[round(y * height), round(x * width)]  # noqa: E731
    assert (at(0.7, 0.46), at(0.75, 0.6), at(0.15, 0.1), at(0.7, 0.8)) == (1, 1, 0, 0)
    assert 0.01 < mask.mean() < 0.2
    assert ((mask > 0) & (mask < 1)).any()  # soft edges
    weight = np.rint(255 * mask).astype(np.uint8)
    for strength in (1, 0.45, 1.5, 0):
        if strength != 1:
            tab.locator("#strength").fill(str(strength))
            told(tab, f"strength {strength:.2f}")
        expected = harmonizer.harmonize(composite, weight, strength=strength)
        found = saved(tab, "PNG", tmp_path)
        assert found.name == "mine_harmonized.png"
        assert differences(found, expected).max() <= 1, strength
        assert (differences(found, composite)[weight > 0].mean() > 0.5) == (strength > 0)
        np.testing.assert_array_equal(read_picture(found).pixels[..., :3][weight == 0], composite[weight == 0])
    tab.locator("#strength").fill("1")
    told(tab, "strength 1.00")
    jpeg = saved(tab, "JPEG", tmp_path)
    assert jpeg.suffix == ".jpg"
    assert differences(jpeg, harmonizer.harmonize(composite, weight)).mean() < 3


def test_a_sample_and_the_slider(tab, photograph):
    tab.get_by_role("button", name="hopper on china").click()
    told(tab, "Harmonize, or mend the mask")
    harmonize(tab)
    before = tab.locator("#view").screenshot()
    draw(tab, (0.5, 0.5), (0.7, 0.5))
    assert tab.locator("#split input").input_value() == "700"
    assert tab.locator("#view").screenshot() != before
    tab.locator("#split input").fill("500")
    assert tab.locator("#view").screenshot() == before
    tab.locator("#split input").fill("760")
    photograph(tab, "web-wide")


def test_a_turned_photograph_is_upright(tab, harmonizer, tmp_path):
    composite, mask = sample(1)
    metadata = Image.Exif()
    metadata[274] = 6  # orientation: turn it clockwise
    Image.fromarray(np.rot90(composite)).save(tmp_path / "turned.jpg", quality=100, subsampling=0, exif=metadata)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    give(tab, "picture", tmp_path / "turned.jpg", "Paint over the foreground")
    give(tab, "mask", tmp_path / "mask.png", "Harmonize, or mend the mask")
    harmonize(tab, "for 640 x 427 pixels")
    assert differences(saved(tab, "PNG", tmp_path), harmonizer.harmonize(composite, mask)).mean() < 2


def test_a_cut_out_on_a_background(tab, harmonizer, tmp_path):
    front, mask = sample(1)
    cut = np.dstack([front[..., ::-1], np.where(mask > 127, 255, 0).astype(np.uint8)])
    cv2.imwrite(str(tmp_path / "cut.png"), cut)
    behind = np.ascontiguousarray(sample(0)[0][:, :500])
    cv2.imwrite(str(tmp_path / "behind.png"), behind[..., ::-1])
    give(tab, "picture", tmp_path / "cut.png", "drop its background")
    harmonize(tab, "no background yet")
    give(tab, "background", tmp_path / "behind.png", "Drag the cut-out")
    tab.locator("#scale").fill("-100")
    box = tab.locator("#view").bounding_box()
    draw(tab, (0.5, 0.5), (0.5 + 60 / box["width"], 0.5 + 30 / box["height"]))
    harmonize(tab)
    shrunk = behind.shape[1] / box["width"]
    position = round(behind.shape[1] / 2 + 60 * shrunk), round(behind.shape[0] / 2 + 30 * shrunk)
    placed, weight = Placement(position, 0.5).place(front, cut[..., 3].copy(), (behind.shape[1], behind.shape[0]))
    expected = harmonizer.harmonize(paste(placed, behind, weight), weight)
    # a pixel of rounding where the pointer is moves the edges; inside and outside nothing is left of it
    near = cv2.dilate(weight, np.ones((5, 5))) != cv2.erode(weight, np.ones((5, 5)))
    difference = differences(saved(tab, "PNG", tmp_path), expected)
    assert difference[~near & (weight == 0)].max() == 0
    assert np.median(difference[~near & (weight > 0)]) <= 2


@pytest.mark.parametrize("multiplied", [False, True])
def test_soft_edges_keep_their_colours(multiplied, tab, tmp_path):
    """A canvas multiplies colours by alpha; without strength the page saves the composite, which is Python's."""
    front, _ = sample(1)
    front = np.ascontiguousarray(front[:300, :300]) // 2 + 120
    y, x = np.mgrid[:300, :300].astype(np.float32)
    width = 8 if multiplied else 80  # colours that were multiplied are told by those of opaque pixels beside them
    mask = np.rint(np.clip(255 * (120 - np.hypot(y - 150, x - 150)) / width, 0, 255)).astype(np.uint8)
    colours = np.rint(front * (mask[..., None] / 255)).astype(np.uint8) if multiplied else front
    cv2.imwrite(str(tmp_path / "soft.png"), np.dstack([colours[..., ::-1], mask]))
    behind = np.ascontiguousarray(sample(0)[0][:400, :420])
    cv2.imwrite(str(tmp_path / "below.png"), behind[..., ::-1])
    tab.reload()  # without the background of an earlier test
    told(tab, "Ready")
    give(tab, "picture", tmp_path / "soft.png", "drop its background")
    give(tab, "background", tmp_path / "below.png", "Drag the cut-out")
    tab.locator("#scale").fill("0")
    harmonize(tab)
    tab.locator("#strength").fill("0")
    told(tab, "strength 0.00")
    found = straight(np.dstack([colours, mask]))
    assert (found[..., :3] != colours).any() == multiplied
    placed, weight = Placement().place(np.ascontiguousarray(found[..., :3]), mask, (420, 400))
    assert differences(saved(tab, "PNG", tmp_path), paste(placed, behind, weight)).max() <= 1
    tab.locator("#strength").fill("1")
    told(tab, "strength 1.00")


def test_what_does_not_fit_is_said(tab, tmp_path):
    composite, mask = sample(1)
    cv2.imwrite(str(tmp_path / "mine.png"), composite[..., ::-1])
    (tmp_path / "text.png").write_text("no picture")
    cv2.imwrite(str(tmp_path / "square.png"), mask[:300, :300])
    cv2.imwrite(str(tmp_path / "coloured.png"), composite)
    cv2.imwrite(str(tmp_path / "half.png"), mask[::2, ::2])
    give(tab, "picture", tmp_path / "text.png", "cannot decode text.png")
    give(tab, "picture", tmp_path / "mine.png", "Paint over the foreground")
    give(tab, "mask", tmp_path / "square.png", "another aspect")
    give(tab, "mask", tmp_path / "coloured.png", "is coloured")
    give(tab, "mask", tmp_path / "half.png", "Harmonize, or mend the mask")
    harmonize(tab)
    assert tab.wrong == []


def resident(kind):
    """The most memory that the browser's processes of a kind have had, in bytes; Linux counts it."""
    peaks = []
    for process in psutil.Process().children(recursive=True):
        try:
            if f"--type={kind}" in process.cmdline():
                status = Path(f"/proc/{process.pid}/status").read_text()
                peaks.append(1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1]))
        except (psutil.Error, OSError):
            continue  # it has ended
    return max(peaks)


def test_twelve_megapixels_fit_into_memory(tab, harmonizer, tmp_path):
    composite, mask = (cv2.resize(part, LARGE[::-1], interpolation=cv2.INTER_CUBIC) for part in sample(1))
    cv2.imwrite(str(tmp_path / "photo.png"), composite[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    cv2.imwrite(str(tmp_path / "photo_mask.png"), mask)
    before = resident("renderer")
    give(tab, "picture", tmp_path / "photo.png", "Paint over the foreground")
    give(tab, "mask", tmp_path / "photo_mask.png", "Harmonize, or mend the mask")
    harmonize(tab, "for 4032 x 3024 pixels")
    found = saved(tab, "PNG", tmp_path)
    taken = resident("renderer") - before
    assert differences(found, harmonizer.harmonize(composite, mask)).max() <= 1
    print(f"12 megapixels take {taken / 2**20:.0f} MiB more than small pictures")
    assert taken < 12 * 4 * LARGE[0] * LARGE[1]


def test_a_phone(tab, server, photograph):
    for scheme in ("light", "dark"):
        phone = tab.context.browser.new_page(
            viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True, is_mobile=True
        )
        try:
            phone.set_default_timeout(600_000)
            phone.goto(f"http://127.0.0.1:{server.server_port}/")
            told(phone, "Ready")
            phone.get_by_role("button", name="flower on china").tap()
            told(phone, "Harmonize, or mend the mask")
            phone.get_by_role("button", name="Harmonize").tap()
            told(phone, "Predicted")
            assert phone.evaluate("document.documentElement.scrollWidth") <= 390
            for name in ("#view", "#status", "#harmonize"):
                box = phone.locator(name).bounding_box()
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= 390
                assert box["y"] + box["height"] <= 844
            if scheme == "light":
                photograph(phone, "web-phone")
        finally:
            phone.close()


def test_without_a_network(tab, server, harmonizer, tmp_path):
    tab.wait_for_function("document.body.classList.contains('offline')")
    answer = tab.context.new_cdp_session(tab).send("Page.getInstallabilityErrors")
    # a page in a window that forgets everything cannot be installed
    assert [error["errorId"] for error in answer["installabilityErrors"]] == ["in-incognito"]
    address = f"http://127.0.0.1:{server.server_port}/"
    assert [url for url in tab.seen if not url.startswith((address, f"blob:{address}", "data:"))] == []
    server.shutdown()
    server.server_close()
    tab.reload()
    told(tab, "Ready")
    assert tab.evaluate("crossOriginIsolated")  # so that ONNX Runtime has threads
    threads = min(4, tab.evaluate("navigator.hardwareConcurrency"))
    assert f"edge-s in INT8, WASM, {threads} thread" in tab.locator("#about").inner_text()
    composite, mask = sample(0)
    cv2.imwrite(str(tmp_path / "mine.png"), composite[..., ::-1])
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    give(tab, "picture", tmp_path / "mine.png", "Paint over the foreground")
    give(tab, "mask", tmp_path / "mask.png", "Harmonize, or mend the mask")
    harmonize(tab)
    assert differences(saved(tab, "PNG", tmp_path), harmonizer.harmonize(composite, mask)).max() <= 1
    assert tab.wrong == []
