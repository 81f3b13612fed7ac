"""Sharing of rows: all of them, once, from several threads, errors included."""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from edge_harmony.pictures import parallel_rows
from edge_harmony.pictures.parallel_rows import set_threads, share, threads


@pytest.fixture(autouse=True)
def _back_to_the_default():
    yield
    set_threads(0)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("rows", [0, 1, 5, 103])
def test_every_row_once(count, rows):
    set_threads(count)
    seen = np.zeros(rows, int)

    def work(first, last):
        seen[first:last] += 1

    share(work, rows)
    assert (seen == 1).all()
    assert threads() == count


def test_threads_work_at_the_same_time():
    set_threads(2)
    meet = threading.Barrier(2, timeout=600)
    share(lambda first, last: meet.wait(), 2)


def test_errors_arrive_and_callers_do_not_disturb_each_other():
    set_threads(3)

    def fails(first, last):
        if first <= 40 < last:
            raise ValueError("row 40")

    with pytest.raises(ValueError, match="row 40"):
        share(fails, 100)
    totals = []

    def count(number):
        seen = []
        share(lambda first, last: seen.append(last - first), 100 + number)
        totals.append(sum(seen) - number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))
    assert totals == [100] * 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("held", [False, True])
def test_a_child_of_a_fork_has_threads_of_its_own(held):
    """As servers that load once and fork their workers, whatever other threads did at that moment."""
    set_threads(2)
    share(lambda first, last: None, 100)
    child = get_context("fork").Process(target=share, args=(lambda first, last: None, 100), daemon=True)
    with parallel_rows._lock if held else contextlib.nullcontext():
        child.start()
    child.join(300)  # a child that hangs is killed with its parent
    assert child.exitcode == 0
