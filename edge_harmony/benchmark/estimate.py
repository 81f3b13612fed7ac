"""How long a suite will take, from its own settings, before anything is started."""

from __future__ import annotations

from edge_harmony.benchmark.suite import Suite

REST_SECONDS = 20.0
"""Seconds for a contender besides its queries: export, start, warm-up, costs and parity; 13 to 31 in the committed
results of the suites cpu, end-to-end, offline and multi-stream."""


def estimate(suite: Suite) -> tuple[float, float]:
    """Seconds in which a suite is measured: if every median is known at once, and if each takes its most.

    Contenders whose single queries take long need more, and so does a busy machine; scoring on a data set is added.
    """
    count = len(suite.contenders)
    if suite.scenario == "sustained":
        seconds = count * (REST_SECONDS + suite.seconds)
        return seconds, seconds
    effort = suite.effort
    return (
        count * (REST_SECONDS + min(effort.least_seconds, effort.most_seconds)),
        count * (REST_SECONDS + effort.most_seconds),
    )
