"""The page: what it imports, and a walk through it in a browser, which also takes the docs' screenshots.

With ``EDGE_HARMONY_SCREENSHOTS=docs/images`` the pictures go there.
"""

import os
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

from edge_harmony.demo.server import serve
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures.images import decode_picture
from edge_harmony.samples import sample_pictures

pytestmark = pytest.mark.lengthy

gradio = pytest.importorskip("gradio")

PORT = 7893 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
RNG = np.random.default_rng(8)


def test_the_page_is_up_before_other_runtimes_are_imported():
    code = "import sys; from edge_harmony.demo.page import make_page; make_page(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    modules = set(done.stdout.split())
    assert {"gradio", "onnxruntime"} <= modules
    assert not {"torch", "openvino", "coremltools", "tensorrt"} & modules


@pytest.fixture(scope="module")
def address():
    page = serve("127.0.0.1", PORT)
    yield page.local_url
    page.close()


@pytest.fixture(scope="module")
def tab(address, browser):
    tab = browser.new_page(viewport={"width": 1280, "height": 1120})
    tab.set_default_timeout(600_000)
    tab.seen = []
    tab.on("request", lambda request: tab.seen.append(request.url))
    tab.goto(address)
    tab.locator("#samples img").first.wait_for()
    return tab


@pytest.fixture
def photograph(tab, tmp_path):
    folder = Path(os.environ.get("EDGE_HARMONY_SCREENSHOTS", tmp_path))

    def take(name):
        tab.wait_for_timeout(600)  # animations
        tab.screenshot(path=folder / f"{name}.jpg", type="jpeg", quality=85)
        assert cv2.imread(str(folder / f"{name}.jpg")).std() > 20

    return take


def told(tab, *words):
    """Wait until the page says all of it."""
    tab.wait_for_function(
        "words => words.every(word => document.querySelector('#told')?.innerText.includes(word))", arg=list(words)
    )


def press(tab, is_done):
    """Harmonize until it is done: an upload or a stroke is seen before the server has it."""
    while not is_done():
        tab.get_by_role("button", name="Harmonize").click()
        tab.wait_for_timeout(1500)


def shown(tab):
    """Before and after, as the page shows them: ``(H, W, 3)`` arrays."""
    sources = [image.get_attribute("src") for image in tab.locator("#result img").all()]
    assert len(sources) == 2
    with urlopen(sources[0]) as one, urlopen(sources[1]) as other:
        return decode_picture(one.read(), "before").pixels, decode_picture(other.read(), "after").pixels


@pytest.mark.slow
def test_a_sample_then_another_network(tab, photograph):
    _, composite, mask = list(sample_pictures())[1]
    tab.locator("#samples img").nth(1).click()
    told(tab, "ms", f"{composite.shape[1]} x {composite.shape[0]}", "edge-s onnxruntime int8")
    with Harmonizer.from_pretrained("edge-s") as harmonizer:
        wanted = harmonizer.harmonize(composite, mask)
    before, after = shown(tab)
    np.testing.assert_array_equal(before, composite)
    np.testing.assert_array_equal(after, wanted)
    photograph("demo")

    handle = tab.locator("#strength input[type=range]")
    assert (handle.get_attribute("min"), handle.get_attribute("max")) == ("0", "1.5")
    with Harmonizer.from_pretrained("edge-s") as harmonizer:
        for strength in (0.5, 0.0, 1.5):
            handle.fill(str(strength))
            told(tab, "the same prediction", f"strength {strength:.2f}")
            _, after = shown(tab)
            np.testing.assert_array_equal(after, harmonizer.harmonize(composite, mask, strength=strength))
    handle.fill("1")
    told(tab, "strength 1.00")
    np.testing.assert_array_equal(shown(tab)[1], wanted)

    for label, choice in (("Network", "edge-n"), ("Backend", "openvino")):
        tab.get_by_label(label).click()
        tab.get_by_role("option", name=choice).click()
    tab.get_by_role("button", name="Harmonize").click()
    told(tab, "edge-n openvino int8")
    _, other = shown(tab)
    assert (other != wanted).any()
    np.testing.assert_array_equal(other[mask == 0], composite[mask == 0])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_samples_and_the_button_at_once(tab, address, scheme):
    phone = tab.context.browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    try:
        phone.set_default_timeout(600_000)
        phone.goto(address)
        phone.locator("#samples img").first.wait_for()
        for name in ("#samples img >> nth=4", "#harmonize"):
            box = phone.locator(name).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
            assert box["y"] + box["height"] <= 844
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        phone.locator("#samples img").first.click()
        told(phone, "ms")
        phone.wait_for_function(  # the page scrolls to the result
            """() => {
              const box = document.querySelector('#result').getBoundingClientRect();
              return box.top >= 0 && box.bottom <= window.innerHeight;
            }"""
        )
        assert all(phone.evaluate("[...document.querySelectorAll('img')].map(image => image.alt)"))
        phone.get_by_label("Refine its edge").check()
        phone.locator("#grow input[type=number]").fill("4")
        before = phone.locator("#told").inner_text()
        phone.get_by_role("button", name="Harmonize").click()
        phone.wait_for_function("before => document.querySelector('#told').innerText !== before", arg=before)
    finally:
        phone.close()


@pytest.mark.slow
def test_before_and_after_slide(tab):
    box = tab.locator("#result").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = tab.locator("#result").screenshot()
    tab.mouse.move(*middle)
    tab.mouse.down()
    tab.mouse.move(middle[0] + 180, middle[1], steps=8)
    tab.mouse.up()
    while tab.locator("#result").screenshot() == before:
        tab.wait_for_timeout(100)


@pytest.mark.slow
def test_painting_a_mask_on_an_uploaded_picture(tab, tmp_path, photograph):
    _, picture, _ = next(iter(sample_pictures()))
    picture = np.ascontiguousarray(picture[:300, :420])
    cv2.imwrite(str(tmp_path / "mine.png"), picture[..., ::-1])
    tab.reload()
    tab.locator("#samples img").first.wait_for()
    tab.locator("#composite input[type=file]").first.set_input_files(tmp_path / "mine.png")
    tab.locator("#composite canvas").first.wait_for()
    press(tab, lambda: tab.get_by_text("nothing is foreground yet").count())

    box = tab.locator("#composite canvas").first.bounding_box()
    left, top = box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.5
    tab.mouse.move(left, top)
    tab.mouse.down()
    for k in range(1, 5):
        tab.mouse.move(left + 18 * k, top + 4 * (k % 3))
    tab.mouse.up()
    press(tab, lambda: "420 x 300" in tab.locator("#told").inner_text())
    told(tab, "420 x 300", "edge-s")
    before, after = shown(tab)
    np.testing.assert_array_equal(before, picture)
    changed = (before != after).any(2)
    assert 0.002 < changed.mean() < 0.4
    rows, columns = np.nonzero(changed)
    assert columns.max() - columns.min() > 1.2 * (rows.max() - rows.min())  # the stroke went sideways
    photograph("demo-painted")


@pytest.mark.slow
def test_uploading_a_mask(tab, tmp_path):
    mask = np.zeros((300, 420), np.uint8)
    mask[100:200, 100:300] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    cv2.imwrite(str(tmp_path / "colours.png"), RNG.integers(0, 256, (300, 420, 3), np.uint8))
    tab.locator("#mask input[type=file]").set_input_files(tmp_path / "mask.png")
    tab.locator("#mask img").wait_for()
    tab.get_by_role("button", name="Harmonize").click()
    told(tab, "420 x 300")
    tab.wait_for_function("!document.querySelector('#told').innerText.match(/ [0-5] %/)")  # more than the stroke
    before, after = shown(tab)
    assert (before != after).any(2)[mask > 0].mean() > 0.5
    tab.locator("#mask").get_by_label("Remove Image").click()
    tab.locator("#mask img").wait_for(state="detached")
    tab.locator("#mask input[type=file]").set_input_files(tmp_path / "colours.png")
    tab.locator("#mask img").wait_for()
    tab.get_by_role("button", name="Harmonize").click()
    tab.get_by_text("cannot be a mask").first.wait_for()


@pytest.mark.slow
def test_nothing_came_from_elsewhere(tab, address):
    elsewhere = [url for url in tab.seen if not url.startswith((address, "data:", "blob:"))]
    assert len(tab.seen) > 20
    assert elsewhere == []
