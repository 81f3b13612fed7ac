"""Processes: every item once, whatever dies."""

import multiprocessing
import os
import signal
import threading
from collections import Counter

import cv2
import pytest

from edge_harmony.backends.base import LoadRequest
from edge_harmony.errors import UsageError
from edge_harmony.folder import processes
from edge_harmony.folder.items import Item
from edge_harmony.folder.processes import run_in_processes
from edge_harmony.folder.work import Work, outcome_of
from tests.unit.folder.making import REAL, Dangerous, do_all

pytestmark = pytest.mark.lengthy


def items(*names):
    return [Item(name, "mask.png", f"out/{name}") for name in names]


def dangerous(tmp_path):
    return Dangerous("onnxruntime", LoadRequest("edge-n", "int8"), notes=str(tmp_path))


def test_the_dead_are_replaced_and_their_work_is_done(tmp_path):
    given = items(*(f"{k}.png" for k in range(12)), "deadly.png", "once.png", "wrong.png")
    outcomes = list(run_in_processes(dangerous(tmp_path), given, 2, threading.Event()))
    assert Counter(outcome.item for outcome in outcomes) == Counter(given)
    errors = {outcome.item.composite: outcome.error for outcome in outcomes if outcome.error}
    assert errors == {"deadly.png": "its process died 2 times (exit status -9)", "wrong.png": "it is wrong"}
    tries = {path.name: len(path.read_text()) for path in tmp_path.iterdir()}
    assert tries.pop("deadly.png") == tries.pop("once.png") == 2
    assert set(tries.values()) == {1}
    assert not multiprocessing.active_children()


def test_a_stop_ends_after_what_is_begun(tmp_path):
    stop, done = threading.Event(), []
    for outcome in run_in_processes(dangerous(tmp_path), items(*(f"{k}.png" for k in range(50))), 2, stop):
        done.append(outcome)
        stop.set()
    assert 1 <= len(done) <= 3
    assert len(list(tmp_path.iterdir())) == len(done)


def test_leaving_ends_the_processes(tmp_path):
    running = run_in_processes(dangerous(tmp_path), items(*(f"{k}.png" for k in range(50))), 2, threading.Event())
    next(running)
    running.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_network_that_cannot_be_loaded_ends_it(workers):
    work = Work("onnxruntime", LoadRequest("edge-x", "int8"))
    with pytest.raises(UsageError, match="did you mean"):
        list(run_in_processes(work, items("a.png", "b.png"), workers, threading.Event()))


def test_few_pictures_are_done_here(tmp_path):
    work = dangerous(tmp_path)
    outcomes = run_in_processes(work, items("a.png", "wrong.png"), 0, threading.Event())
    next(outcomes)
    assert not multiprocessing.active_children()
    assert next(outcomes).error == "it is wrong"
    assert list(run_in_processes(work, [], 4, threading.Event())) == []


def test_one_core_that_may_be_used_is_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "cores", lambda: 1)
    outcomes = run_in_processes(dangerous(tmp_path), items(*(f"{k}.png" for k in range(40))), 0, threading.Event())
    assert next(outcomes).error is None
    assert not multiprocessing.active_children()


def test_a_process_that_may_start_none_does_the_work_itself(tmp_path):
    """Celery's workers and those of ``multiprocessing.Pool`` are daemonic."""
    names = [f"{k}.png" for k in range(5)]
    child = multiprocessing.get_context("spawn").Process(
        target=do_all, args=(dangerous(tmp_path), items(*names), 2), daemon=True
    )
    child.start()
    child.join(300)
    assert child.exitcode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize("kind", [MemoryError, cv2.error])
def test_what_does_not_fit_into_memory_says_so(kind):
    def fails(item):
        error = kind("Insufficient memory")
        if kind is cv2.error:
            error.code = cv2.Error.StsNoMem
        raise error

    (item,) = items("a.png")
    assert "not enough memory" in outcome_of(item, fails).error


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_at_any_moment_is_not_for_the_processes(tmp_path, capfd):
    ours, process = processes._start(REAL)
    try:
        os.kill(process.pid, signal.SIGINT)  # as a terminal does, while the process is still importing
        ours.send(Item("absent.png", "absent.png", str(tmp_path / "o.png")))
        assert "absent.png" in ours.recv().error
    finally:
        ours.close()
        process.join()
    assert process.exitcode == 0
    assert capfd.readouterr().err == ""
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
