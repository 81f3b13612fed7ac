"""What a session has measured, as it is written into a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_harmony.benchmark import result as schema
from edge_harmony.benchmark.session import ContenderSession
from edge_harmony.benchmark.statistics import interval, percentile, ratio
from edge_harmony.benchmark.subjects import timing_pictures
from edge_harmony.benchmark.suite import Suite
from edge_harmony.machine.counters import Reading

_WINDOW = 60.0
"""Seconds at the beginning and at the end of a sustained run that are compared."""
_DIGITS = 4


def measurement(
    suite: Suite, session: ContenderSession, baseline: ContenderSession, score: dict[str, Any]
) -> schema.Measurement:
    """The measurement of a contender.

    Args:
        suite: how it was measured.
        session: the contender's.
        baseline: the session of the contender that ratios are to.
        score: what scoring gave: ``parity``, ``truth``, and why there is none.
    """
    samples = session.samples
    count = {"multi-stream": suite.streams, "offline": suite.pictures}.get(suite.scenario, 1)
    alone = suite.scenario == "sustained"
    turns = min(len(session.rounds), len(baseline.rounds))
    return schema.Measurement(
        contender=session.contender,
        protocol=schema.MeasuringConditions(
            scenario=suite.scenario,
            height=suite.height,
            width=suite.width,
            foreground=round(
                float(np.mean([mask.mean() for _, mask in timing_pictures(suite.height, suite.width)])), 4
            ),
            pictures=count,
            streams=suite.streams if count > 1 else 1,
            threads=suite.threads,
            warm_up=suite.effort.warm_up,
            burst=session.burst,
            interleaved=not alone,
        ),
        samples_ms=_rounded(samples),
        stages_ms={stage: _rounded(times) for stage, times in session.stages.items()},
        summary=summarize(samples, count),
        ratio=None if alone or session is baseline else ratio(session.medians[:turns], baseline.medians[:turns]),
        sustained=_sustained(session) if alone else None,
        cost=schema.Cost.model_validate(session.cost),
        parity=score.get("parity"),
        truth=score.get("truth"),
        unscored=score["unscored"],
    )


def summarize(samples: Sequence[float], pictures: int) -> schema.Summary:
    """Statistics of samples with ``pictures`` pictures per query."""
    return schema.Summary(
        count=len(samples),
        mean=round(float(np.mean(samples)), _DIGITS),
        p50=interval(samples),
        p90=interval(samples, percentile(90)),
        p95=round(float(np.percentile(samples, 95)), _DIGITS),
        p99=round(float(np.percentile(samples, 99)), _DIGITS),
        minimum=round(min(samples), _DIGITS),
        maximum=round(max(samples), _DIGITS),
        throughput=round(1e3 * pictures / float(np.mean(samples)), _DIGITS),
    )


def _sustained(session: ContenderSession) -> schema.Sustained:
    samples = np.array(session.samples)
    ends = np.cumsum(samples) / 1e3
    window = min(_WINDOW, float(ends[-1]) / 3)
    first, last = samples[ends <= window], samples[ends > ends[-1] - window]
    throttled = session.first_throttled
    reason = "" if throttled is not None else "it was not throttled, or this system does not report it"
    return schema.Sustained(
        seconds=round(float(ends[-1]), 1),
        window_seconds=round(window, 1),
        first=interval(first if len(first) > 1 else samples[:2]),
        last=interval(last if len(last) > 1 else samples[-2:]),
        seconds_to_throttle=Reading(throttled, "s", "counters between turns", reason),
    )


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, _DIGITS) for value in values]
