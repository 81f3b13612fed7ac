"""Timing side by side: every round times every contender once, in a new order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def interleave(
    calls: dict[str, Callable[[], object]],
    rounds: int,
    *,
    settle: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Milliseconds per call and round, after two rounds of warm-up.

    After a call, runtimes keep their threads spinning for a while, on cores that the next contender needs. So
    ``settle`` seconds of rest and an untimed call come before every timed one. With ``time.process_time`` as ``clock``
    the times are those of this process on the CPU, in which waiting for a busy machine does not count.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffler = list(calls), random.Random(0)
    for turn in range(rounds + 2):
        shuffler.shuffle(order)
        for name in order:
            if settle:
                time.sleep(settle)
                calls[name]()
            start = clock()
            calls[name]()
            if turn >= 2:
                samples[name].append(1e3 * (clock() - start))
    return samples


def square_foreground(side: int = 256) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A composite of noise and a square mask, as inputs of networks at ``side`` x ``side``."""
    mask = np.zeros((1, 1, side, side), np.float32)
    mask[..., side // 4 : side * 3 // 4, side // 4 : side * 3 // 4] = 1
    return np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32), mask


def quartiles(name: str, numerator: list[float], denominator: list[float]) -> dict[str, float]:
    """Median and quartiles of the rounds' ratios, under ``name``, ``name_q25`` and ``name_q75``."""
    values = np.percentile(np.array(numerator) / np.array(denominator), (50, 25, 75))
    return {key: round(float(v), 2) for key, v in zip((name, f"{name}_q25", f"{name}_q75"), values, strict=True)}
