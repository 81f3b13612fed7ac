"""The progress of a build never goes back."""

from __future__ import annotations

from edge_harmony.backends.tensorrt.progress import Phases


def test_progress_never_goes_back():
    told = []
    phases = Phases(lambda share, name: told.append(share))
    phases.start("Building", 2)
    phases.start("Tactics", 4)
    phases.step("Tactics", 3)
    phases.step("Building", 0)
    phases.finish("Tactics")
    phases.finish("Building")
    assert told == sorted(told)
    assert told[-1] == 1.0
