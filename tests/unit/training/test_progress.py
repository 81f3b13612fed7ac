"""Reports of a stage: once a second by its own clock, with the rate of this run alone."""

from types import SimpleNamespace

from edge_harmony.training import progress
from edge_harmony.training.progress import Progress, Reports


def test_a_report_a_second_with_rate_and_time_left(monkeypatch):
    now, seen = [100.0], []
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    reports = Reports(seen.append, SimpleNamespace(name="float", images=1000), 200)
    for images in range(210, 270, 10):
        now[0] += 0.5
        reports.show(images, 0.5)
    assert [report.images for report in seen] == [210, 240]  # the first step, then after more than a second
    assert seen[1] == Progress("float", 240, 1000, rate=20.0, remaining=38.0, loss=0.5)
