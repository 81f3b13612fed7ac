"""Ray: two workers on this machine; every item once, whatever dies."""

import multiprocessing
import sys
import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from edge_harmony.backends.base import LoadRequest
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.folder.items import Item
from edge_harmony.folder.on_ray import _reason as reason_of
from edge_harmony.folder.on_ray import run_on_ray
from edge_harmony.folder.run import run_folder
from edge_harmony.folder.work import Work
from edge_harmony.harmonizer import Harmonizer
from tests.unit.folder.making import REAL, Dangerous, make_folders

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def items(*names):
    return [Item(name, "mask.png", f"out/{name}") for name in names]


@pytest.mark.usefixtures("cluster")
@pytest.mark.slow
def test_the_dead_are_replaced_and_their_work_is_done(tmp_path):
    work = Dangerous("onnxruntime", LoadRequest("edge-n", "int8"), notes=str(tmp_path))
    given = items(*(f"{k}.png" for k in range(40)), "deadly.png", "once.png", "wrong.png")
    outcomes = list(run_on_ray(work, given, 2, threading.Event()))
    assert Counter(outcome.item for outcome in outcomes) == Counter(given)
    errors = {outcome.item.composite: outcome.error for outcome in outcomes if outcome.error}
    assert errors == {"deadly.png": "its process died 2 times", "wrong.png": "it is wrong"}
    tries = {path.name: len(path.read_text()) for path in tmp_path.iterdir()}
    assert tries.pop("deadly.png") == tries.pop("once.png") == 2
    assert set(tries.values()) == {1}
    assert ray.is_initialized()  # the cluster was there before, and stays


@pytest.mark.usefixtures("cluster")
@pytest.mark.slow
def test_strength_reaches_the_actors(tmp_path):
    composites, masks, output = make_folders(tmp_path, 2)
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        work = replace(REAL, strength=0.5)
        assert run_folder(work, composites, masks, output, engine="ray", workers=2).done == 2
        picture, mask = (cv2.imread(f"{folder}/0001.png") for folder in (composites, masks))
        wanted = harmonizer.harmonize(np.ascontiguousarray(picture[..., ::-1]), mask[..., 0], strength=0.5)
        np.testing.assert_array_equal(cv2.imread(f"{output}/0001.png")[..., ::-1], wanted)
        assert not np.array_equal(wanted, picture[..., ::-1])


@pytest.mark.usefixtures("cluster")
@pytest.mark.slow
def test_a_stop_and_a_network_that_cannot_be_loaded(tmp_path):
    stop = threading.Event()
    stop.set()
    work = Dangerous("onnxruntime", LoadRequest("edge-n", "int8"), notes=str(tmp_path))
    assert len(list(run_on_ray(work, items(*(f"{k}.png" for k in range(100))), 2, stop))) == 1
    assert list(run_on_ray(work, [], 2, stop)) == []
    with pytest.raises(UsageError, match="did you mean"):
        list(run_on_ray(Work("onnxruntime", LoadRequest("edge-x", "int8")), items("a.png"), 2, threading.Event()))
    assert not multiprocessing.active_children()


def test_a_ledger_that_is_lost_says_nothing():
    class Lost:
        exceptions = ray.exceptions

        def get(self, *_, **__):
            raise ray.exceptions.ActorUnavailableError("it is gone", None)

    ledger = SimpleNamespace(reason=SimpleNamespace(remote=lambda: None))
    assert reason_of(Lost(), ledger) is None


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CapabilityError, match=r"pip install .*\[ray\]"):
        list(run_on_ray(Work("onnxruntime", LoadRequest("edge-n", "int8")), items("a.png"), 2, threading.Event()))
