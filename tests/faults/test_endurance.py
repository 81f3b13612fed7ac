"""A long stream, a crowd at the demo page, a Ray cluster that loses parts; ``make faults`` runs larger ones."""

import os

import pytest

from edge_harmony.harmonizer import Harmonizer
from tests.conftest import write_small_network
from tests.faults.long_stream import BREAKS, Held, Level, run_stream
from tests.unit.folder.making import make_folders

FRAMES = 600
PORT = 8193 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@pytest.mark.parametrize(("every", "broken"), [(3, False), (1, True)])
@pytest.mark.slow
def test_a_long_stream_holds_no_more_at_its_end(tmp_path, every, broken):
    pytest.importorskip("onnx")
    network = write_small_network(tmp_path / "network", quantized=False)
    with Harmonizer.from_pretrained(artifact=network, threads=1) as harmonizer:
        held = run_stream(harmonizer, FRAMES, every=every, broken=broken)
    assert held.broken == (BREAKS if broken else 0)
    assert held.frames >= FRAMES - 3 * held.broken  # what was on its way when a stream broke
    assert held.is_flat, held


def test_what_rises_in_between_is_not_flat():
    level = Level(5, 5, 5)
    assert Held(1, 0, level, level, level).is_flat
    assert not Held(1, 0, level, Level(5, 4, 6), level).is_flat
    assert not Held(1, 0, Level(5, 5, 1 << 30), level, level).is_flat


@pytest.mark.slow
def test_a_crowd_at_the_demo_is_answered(tmp_path):
    pytest.importorskip("gradio")
    from tests.faults.demo_crowd import meet

    crowd = meet(tmp_path, PORT, 30, at_a_time=4)
    assert crowd.wrong == []
    assert crowd.answers == 30
    assert crowd.memory < 1 << 30
    assert "Traceback" not in crowd.printed


@pytest.mark.slow
def test_a_demo_that_was_killed_in_flight_starts_again_at_its_port(tmp_path):
    pytest.importorskip("gradio")
    from tests.faults.demo_crowd import kill_in_flight

    assert kill_in_flight(tmp_path, PORT + 1) == ""


@pytest.mark.slow
def test_ray_loses_a_node_and_no_picture(tmp_path):  # a worker: tests/unit/folder/test_ray.py
    pytest.importorskip("ray")
    from tests.faults.ray_losses import lose

    folders = make_folders(tmp_path, 96)
    losses = lose(*folders, node=True)
    assert losses.lost
    assert losses.lost != ["worker 0"]
    assert losses.errors == {}
    assert set(losses.outcomes.values()) == {1}
    assert losses.results == {f"{k:04d}.png" for k in range(96)}
