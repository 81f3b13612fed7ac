"""Reports: the same figures everywhere, and the page as a browser shows it."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
from rich.console import Console

from edge_harmony.benchmark.budget import Budget, judge
from edge_harmony.benchmark.report import axes, plots
from edge_harmony.benchmark.report.html import page, pages
from edge_harmony.benchmark.report.text import as_csv, complaints, markdown, terminal
from edge_harmony.benchmark.result import Failure
from edge_harmony.pictures.encode import write_picture
from edge_harmony.pictures.images import Picture
from tests.unit.benchmark.made import measurement, result

SPLIT = {"preprocess": [1.0] * 9, "infer": [7.0] * 9, "apply": [2.0] * 9}


@pytest.fixture(scope="module")
def made():
    failures = [Failure(contender="edge-s int8 tensorrt", error="<script>alert(1)</script> no GPU")]
    found = result(
        measurement("hdnet-lite fp32 pytorch", 100.0, psnr=29.4, stages=SPLIT),
        measurement("edge-s int8 onnxruntime", 10.0, psnr=30.4, parity=45.0, stages=SPLIT, seed=1),
        measurement("edge-s fp32 openvino", 12.0, psnr=30.5, parity=80.0, stages=SPLIT, seed=2),
        measurement("edge-n fp16 onnxruntime", 7.0, psnr=29.9, parity=60.0, stages=SPLIT, seed=3),
        measurement("<i>peer</i>", 3.0, psnr=18.0, seed=4),
        failures=failures,
    )
    return judge(found, Budget(limits=[{"contender": "edge-s*", "max_ratio": 0.11}]))


@pytest.fixture(scope="module")
def pictures(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for panel in ("composite", "mask", "result", "real", "error"):
        pixels = cv2.GaussianBlur(rng.integers(0, 256, (200, 300, 3), np.uint8), (0, 0), 20)
        place = folder / made.measurements[1].contender.folder
        place.mkdir(exist_ok=True)
        write_picture(place / f"0-{panel}.webp", Picture(pixels))
    return folder


def test_every_table_has_the_same_figures(made):
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert [row["contender"] for row in rows][:2] == ["<i>peer</i>", "edge-n fp16 onnxruntime"]  # the fastest first
    ours = next(row for row in rows if row["contender"] == "edge-s int8 onnxruntime")
    m = made.measurements[1]
    assert float(ours["p50_ms"]) == pytest.approx(m.summary.p50.estimate, rel=1e-5)
    assert float(ours["ratio"]) == pytest.approx(m.ratio.estimate, rel=1e-5)
    assert (ours["psnr_db"], ours["infer_ms"], ours["energy_mj"]) == ("30.4", "7", "")
    assert (ours["sealed_gain_db"], ours["sealed_worse"], ours["worse"], ours["no_change"]) == (
        "-0.1",
        "50",
        "25",
        "100",
    )
    text = markdown(made)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal(made, 200))
    shown = console.export_text()
    for place in (text, shown):
        line = next(line for line in place.splitlines() if "edge-s int8 onnxruntime" in line)
        assert f"{m.summary.p50.estimate:.2f}" in line
        assert "30.40" in line
        assert "PASS" in line
    assert "mJ" not in shown  # nobody measured energy: no column of dashes
    assert any("FAIL: edge-s fp32 openvino" in line for line in complaints(made))
    assert any("not run: edge-s int8 tensorrt" in line for line in complaints(made))


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_terminal_gets_the_columns_that_it_has_room_for(made, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal(made, width))
    lines = console.export_text().splitlines()
    assert any("edge-s int8 onnxruntime" in line for line in lines)
    assert not any("…" in line for line in lines[3:])
    assert ("p50 ms" in "".join(lines)) == (width >= 80)


def test_markdown_cells_do_not_break_their_table():
    text = markdown(result(measurement("a|b", 10.0)))
    assert "a\\|b" in text


def test_names_are_no_formulas_and_no_markdown():
    made = result(measurement("=1+1", 10.0), measurement("[a](http://b) <b>", 12.0))
    made = made.model_copy(
        update={"environment": made.environment.model_copy(update={"cpu": "a\n# b", "system": "*c*"})}
    )
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    assert [row["contender"] for row in rows] == ["'=1+1", "[a](http://b) <b>"]
    text = markdown(made)
    assert "| \\[a\\](http://b) &lt;b> |" in text
    assert "- system: \\*c\\*" in text
    assert [line for line in text.splitlines() if line.startswith("#")] == [f"# {made.suite}"]


def marks(drawing, kind):
    return [e for e in ET.fromstring(drawing).iter() if kind in (e.get("class") or "").split()]


def test_the_front_is_what_nothing_beats(made):
    assert plots._front([(3, 5), (1, 1), (2, 5), (4, 9), (5, 2), (1, 0), (6, 9.005)]) == [(1, 1), (2, 5), (4, 9)]
    assert [m.contender.precision for m in plots.on_front(made)] == ["fp16", "int8", "fp32"]
    drawing = plots.pareto(made, 960)
    assert len(marks(drawing, "mark")) == 5
    assert len(marks(drawing, "int8")) == 1
    (front,) = marks(drawing, "front")
    assert len(front.get("points").split()) == 3  # edge-n, edge-s int8, edge-s fp32


def test_points_lie_where_their_values_are(made):
    drawing = plots.pareto(made, 960)
    circles = {e[0].text: e for e in marks(drawing, "mark")}
    at = {name.split(":")[0]: e for name, e in circles.items()}
    fast, slow = at["edge-n fp16 onnxruntime"], at["edge-s int8 onnxruntime"]
    assert float(fast.get("cx")) < float(slow.get("cx"))
    assert float(fast.get("cy")) > float(slow.get("cy"))  # worse is lower


@pytest.mark.parametrize("width", [960, 380])
def test_plots_stay_inside_their_frame(made, width):
    for draw in (plots.pareto, plots.distributions, plots.stages):
        tree = ET.fromstring(draw(made, width))
        height = float(tree.get("height"))
        assert float(tree.get("width")) == width
        for element in tree.iter():
            for key, most in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("cy", height)):
                if element.get(key) is not None:
                    assert -1 <= float(element.get(key)) <= most + 1, (draw.__name__, element.attrib)
            for corner in (element.get("points") or "").split():
                x, y = map(float, corner.split(","))
                assert -1 <= x <= width + 1
                assert -1 <= y <= height + 1


def test_stages_fill_their_bar(made):
    bars = [e for e in ET.fromstring(plots.stages(made, 960)).iter() if e.tag == "rect"]
    assert {e.get("class") for e in bars} == {"stage-preprocess", "stage-infer", "stage-apply"}
    row = [float(e.get("width")) for e in bars[:3]]
    assert row[1] / sum(row) == pytest.approx(0.7, abs=0.01)


def test_a_result_without_scores_has_a_page_too():
    plain = result(measurement("a", 10.0), measurement("b", 11.0, seed=1))
    assert plots.pareto(plain, 960) == ""
    assert plots.stages(plain, 960) == ""
    assert "Quality against latency" not in page(plain)


def test_the_page_stands_alone_and_is_not_hostile(made, pictures):
    text = page(made, pictures)
    assert "<script>alert(1)</script>" not in text
    assert "<i>peer</i>" not in text
    assert "&lt;b&gt;a&lt;/b&gt;.jpg" in text
    addresses = re.findall(r'(?:src|href)="([^"#][^"]*)"', text)
    assert addresses
    assert all(address.startswith("data:image/webp;base64,") for address in addresses)
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/\S+", "", text)


def test_one_page_over_all_results(made):
    text = pages([("0.1.0", made), ("0.2.0", made)])
    assert text.count("<section") == 2
    assert "</b>edge-n fp16 onnxruntime" in text  # the fastest that helps: the peer is worse than doing nothing
    assert 'href="#r2"' in text


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (1100, "dark"), (390, "light"), (390, "dark")])
@pytest.mark.slow
def test_the_page_in_a_browser(made, pictures, browser, tmp_path, width, scheme):
    path = tmp_path / "report.html"
    path.write_text(page(made, pictures))
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    complaints_, asked = [], []
    tab.on("console", lambda message: complaints_.append(message.text) if message.type == "error" else None)
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(path.as_uri())
    assert not complaints_
    assert all(url.startswith(("file:", "data:")) for url in asked)  # works without a network
    assert tab.evaluate("document.documentElement.scrollWidth") <= width  # nothing runs off the side
    wide, narrow = tab.locator(".wide svg").first, tab.locator(".narrow svg").first
    assert (wide.is_visible(), narrow.is_visible()) == (width > 700, width <= 700)
    for image in tab.locator("details[open] img").all():
        image.scroll_into_view_if_needed()
    tab.wait_for_function("[...document.querySelectorAll('.panels img')].every(i => i.complete && i.naturalWidth > 0)")
    tab.evaluate("scrollTo(0, 0)")
    shot = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert (shot[2, 2].mean() > 128) == (scheme == "light")
    tab.locator("table.sortable th", has_text="PSNR").first.click()
    values = tab.locator("table.sortable tbody tr").evaluate_all("rows => rows.map(r => r.cells[0].innerText)")
    assert values[0] == "<i>peer</i>"  # lowest first
    tab.locator("table.sortable th", has_text="PSNR").first.click()
    values = tab.locator("table.sortable tbody tr").evaluate_all("rows => rows.map(r => r.cells[0].innerText)")
    assert values[0] == "edge-s fp32 openvino"
    context.close()


@pytest.mark.parametrize(
    ("low", "high"), [(2.1, 4.9), (0.9, 1.1), (3.06, 3.74), (117.3, 118), (1e-3, 1.05e-3), (1, 900)]
)
def test_a_logarithmic_axis_has_ticks_whatever_its_range(low, high):
    ticks = axes._log_ticks(low, high)
    assert len(ticks) >= 2
    assert all(low <= tick <= high for tick in ticks)
    assert len({f"{tick:g}" for tick in ticks}) == len(ticks)


def test_long_names_wrap_and_their_rows_grow():
    name = "edge-s int8 of a file with a name that goes on and on.onnx onnxruntime network"
    lines = axes._wrapped(name, 160)
    assert len(lines) > 1
    assert " ".join(lines) == name
    middles, height = axes.row_places([name, "short"], 160)
    assert middles[1] - middles[0] > axes._ROW
    assert height > 2 * axes._ROW
    drawn = axes.row_name(name, 160, 50)
    assert drawn.count("<text") == len(lines)
    assert "…" not in drawn
