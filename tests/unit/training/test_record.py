"""What a run writes about itself: curves, pictures of held-out samples, events for TensorBoard."""

import csv
import math
import sys
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file

from edge_harmony.cli.main import main
from edge_harmony.extras import install_command
from edge_harmony.quality.preparation import PLAIN, SEALED
from edge_harmony.training.curves import _ticks, draw_curves
from edge_harmony.training.record import RecordOptions, as_csv, sheet_of
from edge_harmony.training.trainer import Trainer
from tests.unit.training.making import RECIPE, WORLD, Killed, killed_after, own_photographs, recipe

pytestmark = pytest.mark.lengthy

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [
    {"stage": "float", "images": 1000, "loss": 0.9, "psnr": 30.0, "composite_psnr": 31.0},
    {"stage": "float", "images": 2000, "loss": 0.6, "psnr": 32.5, "composite_psnr": 31.0},
    {"stage": "int8", "images": 4000, "loss": 0.5, "psnr": 33.0, "composite_psnr": 31.0},
]


def curves_of(text):
    """The corners of every curve, by its class, panel by panel."""
    panels = ET.fromstring(text).findall(f"{SVG}g")
    return [
        {
            line.get("class"): [tuple(map(float, corner.split(","))) for corner in line.get("points").split()]
            for line in panel.findall(f"{SVG}polyline")
        }
        for panel in panels
    ]


def test_curves_are_the_numbers_of_the_log():
    text = draw_curves(ROWS)
    assert text == draw_curves([dict(row) for row in ROWS])
    loss, psnr = curves_of(text)
    assert "base" not in loss
    for curve, column in ((loss["curve"], "loss"), (psnr["curve"], "psnr")):
        x, y = np.array(curve).T
        assert np.polyfit([row["images"] for row in ROWS], x, 1, full=True)[1] < 0.1  # a straight line: to scale
        assert np.polyfit([row[column] for row in ROWS], y, 1, full=True)[1] < 0.1
        assert np.corrcoef([row[column] for row in ROWS], y)[0, 1] < 0  # large is above
    assert len({y for _, y in psnr["base"]}) == 1
    assert psnr["curve"][0][1] > psnr["base"][0][1] > psnr["curve"][1][1]
    stages = [line for line in ET.fromstring(text).iter(f"{SVG}line") if line.get("class") == "stage"]
    assert [line.find(f"{SVG}title").text for line in stages] == ["float, then int8"] * 2
    assert {float(line.get("x1")) for line in stages} == {loss["curve"][1][0]}


def test_curves_of_one_row_of_gaps_and_of_nothing_but_the_loss():
    (only,) = curves_of(draw_curves([{"stage": "<a>", "images": 8, "loss": 1.0}]))
    assert len(only["curve"]) == 1
    gaps = [ROWS[0], {"stage": "float", "images": 1500, "loss": math.nan}, ROWS[1]]
    loss, psnr = curves_of(draw_curves(gaps))
    assert len(loss["curve"]) == len(psnr["curve"]) == 2


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
@example(0.0, 5e-324)
@example(-5e-324, 0.0)
def test_ticks_are_few_and_enclose_the_values(low, span):
    high = low + span
    ticks = _ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-300)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert ticks == sorted(set(ticks))


def test_pictures_are_written_and_change_no_weights(mini_root, trained, tmp_path):
    plain = Trainer(recipe(mini_root), tmp_path, WORLD, record=RecordOptions(pictures=False))
    plain.run()
    assert not (tmp_path / "curves.svg").exists()
    assert not (tmp_path / "validation.jpg").exists()
    ours, theirs = load_file(plain.weights), load_file(trained / plain.weights.name)
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    rows = list(csv.DictReader((trained / "log.csv").open()))
    text = (trained / "curves.svg").read_text()
    assert text == draw_curves(plain.position.history)
    assert len(curves_of(text)[0]["curve"]) == len(rows)
    sheet = cv2.imread(str(trained / "validation.jpg"))
    shown = min(4, len(plain.held_samples))
    assert sheet.shape == (shown * (22 + 248), 4 * 248, 3)
    assert sheet.std() > 20
    assert (trained / "validation.jpg").stat().st_size < 400_000


class Inverting:
    """Stands for a network whose results are known: the negative in the foreground."""


def test_the_sheet_shows_composite_mask_result_and_truth(mini_root, tmp_path, monkeypatch):
    samples = Trainer(recipe(mini_root), tmp_path, WORLD).held_samples
    monkeypatch.setattr(
        "edge_harmony.training.record.harmonize_pixels", lambda runner, composite, mask: 255 - composite
    )
    line = sheet_of(Inverting(), samples[:1], PLAIN).pixels[22:]
    composite, _, real = samples[0].load()
    high, wide = (round(side * 240 / max(real.shape[:2])) for side in real.shape[:2])
    tiles = [line[:high, 248 * k : 248 * k + wide].astype(int) for k in range(4)]
    assert np.abs(tiles[0] + tiles[2] - 255).max() <= 1
    assert np.abs(tiles[0].mean((0, 1)) - composite.mean((0, 1))).max() < 1
    assert np.abs(tiles[3].mean((0, 1)) - real.mean((0, 1))).max() < 1
    assert set(np.unique(tiles[1][..., 0])) >= {0, 255}
    assert sheet_of(Inverting(), [], PLAIN) is None


def test_photographs_are_shown_relit(tmp_path):
    root = own_photographs(tmp_path / "own")
    base = recipe(root, "photos")
    short = base.stages[0].model_copy(update={"images": 8})
    Trainer(recipe(root, "photos", stages=(short,)), tmp_path / "out", WORLD).run()
    sheet = cv2.imread(str(tmp_path / "out" / "validation.jpg"))[22:248].astype(int)
    assert np.abs(sheet[:, :240] - sheet[:, 3 * 248 : 3 * 248 + 240]).max() > 30  # the composite is not the truth


def test_samples_of_which_nothing_is_left_are_passed_over(mini_root, tmp_path, monkeypatch):
    samples = Trainer(recipe(mini_root), tmp_path, WORLD).held_samples
    monkeypatch.setattr(type(SEALED), "apply", lambda self, *sample: None)
    assert sheet_of(Inverting(), samples, SEALED) is None


def scalars(folder):
    """``{tag: {step: value}}`` as TensorBoard shows them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tensorboard")).Reload()
    found = {}
    for tag in events.Tags()["scalars"]:
        steps = [(event.step, event.value) for event in events.Scalars(tag)]
        assert len(steps) == len(dict(steps)), tag
        found[tag] = dict(steps)
    return found


def test_events_are_the_log_and_a_resumed_run_has_none_twice(mini_root, tmp_path):
    pytest.importorskip("tensorboard")
    options = RecordOptions(tensorboard=True, pictures=False)
    with pytest.raises(Killed):
        killed_after(72)(recipe(mini_root, checkpoint_every=64), tmp_path, WORLD, record=options).run()
    with pytest.raises(Killed):  # the second time it sees the validation at 48 images again
        killed_after(72)(recipe(mini_root, checkpoint_every=64), tmp_path, WORLD, record=options).run(resume=True)
    trainer = Trainer(recipe(mini_root, checkpoint_every=64), tmp_path, WORLD, record=options)
    trainer.run(resume=True)
    found = scalars(tmp_path)
    columns = [name for name in trainer.position.history[-1] if name not in ("stage", "images")]
    assert found.keys() == {f"{'training' if name == 'loss' else 'validation'}/{name}" for name in columns}
    for tag, values in found.items():
        name = tag.partition("/")[2]
        assert values == pytest.approx({row["images"]: row[name] for row in trainer.position.history}, rel=1e-6)


def test_without_tensorboard_the_command_says_how_to_get_it(mini_root, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(root=str(mini_root), layout="iharmony4"))
    assert main(["train", str(path), "-o", str(tmp_path / "out"), "--tensorboard"]) == 3
    assert install_command("tensorboard") in capsys.readouterr().err
    assert not (tmp_path / "out" / "checkpoint.safetensors").exists()


def test_the_log_has_the_columns_of_all_rows():
    rows = list(csv.DictReader(as_csv([{"a": 1}, {"a": 2, "b": 3.5}]).decode().splitlines()))
    assert rows == [{"a": "1", "b": ""}, {"a": "2", "b": "3.5"}]
