"""Reading ahead: order, bounds, errors, and that reading stops when the caller stops."""

import itertools
import threading
import time

import pytest

from edge_harmony.video.read_ahead import ahead


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "edge-harmony-read"]


def test_items_come_in_order_from_another_thread():
    threads = []

    def items():
        for k in range(100):
            threads.append(threading.get_ident())
            yield k

    assert list(ahead(items(), 3)) == list(range(100))
    assert threading.get_ident() not in threads
    assert not readers()
    assert list(ahead([], 1)) == []


def test_no_more_is_read_than_may_wait():
    read = []

    def items():
        for k in itertools.count():
            read.append(k)
            yield k

    taken = ahead(items(), 2)
    for k in range(20):
        assert next(taken) == k
        time.sleep(0.002)
        assert len(read) <= k + 1 + 2 + 2
    taken.close()
    assert not readers()
    count = len(read)
    time.sleep(0.05)
    assert len(read) == count


def test_errors_come_where_they_would_have_come():
    def items():
        yield 1
        yield 2
        raise ValueError("three")

    taken = ahead(items(), 5)
    assert [next(taken), next(taken)] == [1, 2]
    with pytest.raises(ValueError, match="three"):
        next(taken)
    assert not readers()


def test_leaving_closes_what_is_read():
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(threading.get_ident())

    taken = ahead(items(), 2)
    assert next(taken) == 0
    taken.close()
    assert len(closed) == 1
