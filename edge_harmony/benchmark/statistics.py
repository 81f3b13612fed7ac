"""Statistics of measured times: percentiles, intervals that allow for autocorrelation, and verdicts.

Times of successive queries depend on each other: clocks, caches and other processes change slowly. Intervals come from
the circular block bootstrap, whose blocks keep that dependence; their length follows D. N. Politis and H. White,
"Automatic Block-Length Selection for the Dependent Bootstrap", Econometric Reviews 23 (2004), corrected by A. Patton,
D. N. Politis and H. White, Econometric Reviews 28 (2009).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps ``(..., n)`` samples to ``(...)`` values."""

_REPEATS = 1000
_DIGITS = 6
_SEED = 20261122
_LEVEL = 0.95
_QUANTILES = ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)


class Verdict(str, Enum):
    """Verdict of an interval against a limit."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class Interval:
    """An estimate, with an interval that contains the true value with probability ``level``."""

    estimate: float
    low: float
    high: float
    level: float = _LEVEL

    def at_most(self, limit: float) -> Verdict:
        """PASS if all of the interval is within the limit, FAIL if all of it is beyond, else INCONCLUSIVE."""
        if self.high <= limit:
            return Verdict.PASS
        return Verdict.FAIL if self.low > limit else Verdict.INCONCLUSIVE

    @property
    def relative_width(self) -> float:
        """Width as a share of the estimate."""
        return (self.high - self.low) / self.estimate


def median(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The default statistic."""
    return np.asarray(np.median(samples, axis=-1))


def percentile(share: float) -> Statistic:
    """A statistic: the value that ``share`` percent of the samples lie below."""
    return lambda samples: np.asarray(np.percentile(samples, share, axis=-1))


def block_length(samples: ArrayLike) -> int:
    """Length of blocks of dependent samples (Politis and White 2004, circular bootstrap); 1 if they are independent."""
    x = np.asarray(samples, np.float64)
    n = len(x)
    x = x - x.mean()
    variance = float(x @ x) / n
    if n < 8 or variance == 0:
        return 1
    largest = min(n - 1, int(np.ceil(np.sqrt(n))) + max(5, int(np.sqrt(np.log10(n)))))
    covariances = np.array([float(x[: n - lag] @ x[lag:]) / n for lag in range(largest + 1)])
    correlations = covariances / variance
    run = max(5, int(np.ceil(np.sqrt(np.log10(n)))))
    bound = 2 * np.sqrt(np.log10(n) / n)
    small = np.abs(correlations[1:]) < bound
    ends = [lag for lag in range(len(small) - run + 1) if small[lag : lag + run].all()]
    cut = min(2 * max(ends[0], 1) if ends else largest, largest)
    lags = np.arange(-cut, cut + 1)
    window = np.clip(2 * (1 - np.abs(lags) / cut), 0, 1)  # flat top: 1 up to half, then falling to 0
    spread = window * covariances[np.abs(lags)]
    slope, level = float(spread @ np.abs(lags)), float(spread.sum())
    if level <= 0:
        return 1
    best = (2 * slope**2 / (4 / 3 * level**2)) ** (1 / 3) * n ** (1 / 3)
    return int(np.clip(np.ceil(best), 1, max(1, min(3 * np.sqrt(n), n / 3))))


def interval(samples: ArrayLike, statistic: Statistic = median) -> Interval:
    """A statistic of dependent samples with its interval, by the circular block bootstrap.

    Args:
        samples: samples in order of time; at least two.
        statistic: the statistic.

    Raises:
        ValueError: there are fewer than two samples, or samples that are not finite.
    """
    x = _checked(samples)
    drawn = statistic(x[_indices(len(x), block_length(x))])
    low, high = np.quantile(drawn, _QUANTILES)
    return _interval(statistic(x), low, high)


def ratio(new: ArrayLike, old: ArrayLike) -> Interval:
    """The time of ``new`` as a multiple of ``old``: the median over rounds in which both had a turn.

    A slow moment of the machine slows both turns of a round, and cancels in their ratio. If times jump between two
    levels, the median of each side would jump too, and so would the ratio of these medians.

    Args:
        new: a time per round.
        old: a time per round, in the rounds of ``new``.

    Raises:
        ValueError: the numbers of times differ, there are fewer than two, or some are not finite and positive.
    """
    return interval(_round_ratios(new, old))


def quotient(new: tuple[ArrayLike, ArrayLike], old: tuple[ArrayLike, ArrayLike]) -> Interval:
    """The :func:`ratio` of one run divided by that of another; the runs are resampled independently.

    Args:
        new: times of the contender and of the baseline in the new run.
        old: times of the contender and of the baseline in the old run.

    Raises:
        ValueError: as :func:`ratio`.
    """
    both = [_round_ratios(*pair) for pair in (new, old)]
    drawn = [median(x[_indices(len(x), block_length(x))]) for x in both]
    shuffled = np.random.default_rng(_SEED).permutation(drawn[1])
    low, high = np.quantile(drawn[0] / shuffled, _QUANTILES)
    return _interval(median(both[0]) / median(both[1]), low, high)


def _round_ratios(new: ArrayLike, old: ArrayLike) -> NDArray[np.float64]:
    x, y = _checked(new), _checked(old)
    if len(x) != len(y):
        raise ValueError(f"{len(x)} samples against {len(y)}: they must be taken in turns")
    if min(x.min(), y.min()) <= 0:
        raise ValueError("times must be positive")
    return x / y


def _interval(estimate: NDArray[np.float64], low: float, high: float) -> Interval:
    """Round to six significant digits: more are noise, and people read the results."""
    short = [float(f"{float(value):.{_DIGITS}g}") for value in (estimate, low, high)]
    return Interval(short[0], short[1], short[2])


def _checked(samples: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(samples, np.float64)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError("an interval needs at least two finite samples")
    return x


def _indices(n: int, length: int) -> NDArray[np.intp]:
    """Indices ``(repeats, n)``: each row consists of blocks of successive positions, which wrap around the end."""
    rng = np.random.default_rng(_SEED)
    starts = rng.integers(0, n, (_REPEATS, -(-n // length)))
    return ((starts[..., None] + np.arange(length)) % n).reshape(_REPEATS, -1)[:, :n]
