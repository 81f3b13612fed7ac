"""Progress without a terminal: lines that say what, how far, and how long still."""

import threading

import pytest

from edge_harmony.cli import console, plain_progress
from edge_harmony.cli.console import progress_bar, rate_bar, share_bar
from edge_harmony.cli.plain_progress import PlainProgress, duration


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_line_says_how_far_and_how_long_still():
    clock = Clock()
    work = PlainProgress("harmonizing", "files", print, clock=clock)
    assert work.line() == "harmonizing: 0 files, 0 s so far"
    work.set_total(2400)
    for _ in range(600):
        work.advance()
    clock.now += 60
    assert work.line() == "harmonizing: 600 of 2,400 files, 25 %, 10.0 files/s, 3 min 0 s left"


def test_steps_without_a_total_or_a_unit():
    clock = Clock()
    frames, plain = PlainProgress("a", "frames", print, clock=clock), PlainProgress("b", "", print, clock=clock)
    plain.set_total(4)
    clock.now += 2
    for work in (frames, plain):
        work.advance()
    assert frames.line() == "a: 1 frames, 0.5 frames/s, 2 s so far"
    assert plain.line() == "b: 1 of 4, 25 %, 0.5/s, 6 s left"


def test_a_share_and_its_phase():
    clock = Clock()
    work = PlainProgress("building", "", print, clock=clock)
    work.set_share(0.2, "tactics")
    clock.now += 30
    assert work.line() == "building: 20 %, tactics, 2 min 0 s left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_lines_come_while_a_step_is_on_its_way():
    said, twice = [], threading.Event()

    def say(line):
        said.append(line)
        if len(said) == 2:
            twice.set()

    with PlainProgress("waiting", "files", say, every=0.001):
        assert twice.wait(60)
    count = len(said)
    assert all(line.startswith("waiting: 0 files, ") for line in said)
    assert len(said) == count  # none after its end


def test_a_share_of_1_ends_the_lines():
    said = []
    with PlainProgress("building", "", said.append, every=60) as work:
        work.set_share(1.0, "")
        work._thread.join(60)
        assert not work._thread.is_alive()
    assert said == []


@pytest.mark.parametrize("quiet", [False, True])
def test_bars_are_lines_where_there_is_no_terminal_and_nothing_when_quiet(monkeypatch, quiet):
    said, told = [], threading.Event()
    monkeypatch.setattr(plain_progress.PlainProgress.__init__, "__kwdefaults__", {"clock": Clock(), "every": 0.001})

    def say(line):
        said.append(line)
        told.set()

    monkeypatch.setattr(console, "say", say)
    monkeypatch.setattr(console.notes, "quiet", quiet)
    for label, bar in (("a", progress_bar("a", 3)), ("b", rate_bar("b", "fps")), ("c", share_bar("c"))):
        told.clear()
        with bar as functions:
            if quiet:
                assert label != "c" or functions is None
                continue
            assert told.wait(60)
        assert said[-1].startswith(f"{label}: ")
    assert bool(said) is not quiet
