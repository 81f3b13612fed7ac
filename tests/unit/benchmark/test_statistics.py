"""Intervals on simulated samples whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from edge_harmony.benchmark.statistics import (
    Interval,
    Verdict,
    block_length,
    interval,
    median,
    percentile,
    quotient,
    ratio,
)


def autoregressive(rng, count, correlation):
    """Gaussian samples of unit variance about 10, each depending on the one before."""
    noise = rng.normal(size=count) * np.sqrt(1 - correlation**2)
    noise[0] = rng.normal()
    for k in range(1, count):
        noise[k] += correlation * noise[k - 1]
    return 10 + noise


@pytest.mark.lengthy
@pytest.mark.parametrize(("correlation", "least"), [(0.0, 0.90), (0.5, 0.88), (0.8, 0.84)])
def test_the_interval_of_a_median_covers_the_truth(correlation, least):
    rng = np.random.default_rng(1)
    covered = [abs_in(interval(autoregressive(rng, 300, correlation)), 10.0) for _ in range(100)]
    assert least <= np.mean(covered) <= 0.99


def abs_in(found: Interval, truth: float) -> bool:
    return found.low <= truth <= found.high


def test_intervals_that_ignore_dependence_are_too_narrow():
    rng = np.random.default_rng(2)
    naive = 0
    for _ in range(100):
        x = autoregressive(rng, 300, 0.8)
        drawn = np.median(rng.choice(x, (300, 300)), axis=1)
        naive += np.quantile(drawn, 0.025) <= 10 <= np.quantile(drawn, 0.975)
    assert naive < 70  # so the coverage above is not for free


@pytest.mark.lengthy
def test_the_interval_of_a_high_percentile_covers_the_truth():
    rng = np.random.default_rng(3)
    truth = -np.log(0.1)
    covered = [abs_in(interval(rng.exponential(size=400), percentile(90)), truth) for _ in range(100)]
    assert np.mean(covered) >= 0.88


def test_blocks_grow_with_dependence():
    rng = np.random.default_rng(4)
    lengths = [np.median([block_length(autoregressive(rng, 500, c)) for _ in range(20)]) for c in (0.0, 0.5, 0.9)]
    assert lengths[0] <= 3 < lengths[1] < lengths[2]
    assert block_length(np.ones(100)) == block_length([1.0, 2.0]) == 1


def test_a_common_drift_leaves_the_ratio_alone():
    rng = np.random.default_rng(5)
    drift = 1 + 0.3 * np.sin(np.linspace(0, 6, 200))
    old, new = drift * (1 + 0.02 * rng.normal(size=200)), 1.2 * drift * (1 + 0.02 * rng.normal(size=200))
    found = ratio(new, old)
    assert abs_in(found, 1.2)
    assert found.relative_width < 0.05
    assert found.at_most(1.1) is Verdict.FAIL
    assert found.at_most(1.3) is Verdict.PASS
    assert found.at_most(found.estimate) is Verdict.INCONCLUSIVE


def test_equal_builds_are_seldom_told_apart():
    rng = np.random.default_rng(6)
    wrong = 0
    for _ in range(200):
        old, new = (autoregressive(rng, 120, 0.5) for _ in range(2))
        wrong += not abs_in(ratio(new, old), 1.0)
    assert wrong <= 24


def test_a_machine_that_jumps_between_two_speeds_does_not_hide_a_slow_down():
    """Half of the time everything takes twice as long: medians of either side jump, ratios of rounds do not."""
    rng = np.random.default_rng(8)
    found = 0
    for _ in range(50):
        speed = np.repeat(rng.integers(1, 3, 20), 6)  # for six rounds at a time
        old, new = (speed * rng.lognormal(0, 0.03, 120) for _ in range(2))
        assert ratio(new, old).at_most(1.05) is not Verdict.FAIL
        found += ratio(1.2 * new, old).at_most(1.05) is Verdict.FAIL
    assert found == 50


def test_the_ratio_of_two_runs():
    rng = np.random.default_rng(9)
    covered = 0
    for _ in range(100):
        runs = [(a * rng.lognormal(0, 0.05, 80), b * rng.lognormal(0, 0.05, 80)) for a, b in ((3.0, 10.0), (2.0, 8.0))]
        covered += abs_in(quotient(*runs), 1.2)
    assert 88 <= covered <= 99


def test_the_same_samples_give_the_same_interval():
    x = np.random.default_rng(7).gamma(3, size=100)
    assert interval(x) == interval(x.copy())
    assert interval(x).estimate == pytest.approx(median(x))


@pytest.mark.parametrize("samples", [[], [1.0], [1.0, np.nan], [[1.0, 2.0]]])
def test_what_has_no_interval(samples):
    with pytest.raises(ValueError, match="two finite samples"):
        interval(samples)


def test_what_has_no_ratio():
    with pytest.raises(ValueError, match="taken in turns"):
        ratio([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="positive"):
        ratio([1.0, 0.0], [1.0, 2.0])
