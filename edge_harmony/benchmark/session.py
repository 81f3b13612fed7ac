"""A running contender: its turns, its samples, and whether they are enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_harmony.benchmark import result as schema
from edge_harmony.benchmark.job import ContenderJob
from edge_harmony.benchmark.process import ContenderProcess
from edge_harmony.benchmark.statistics import interval
from edge_harmony.benchmark.suite import Suite

OPENING = 600.0
LEAST_TURNS = 5
"""Least number of turns; fewer do not show the spread, however long they take."""
_LOOK_EVERY = 5


@dataclass
class ContenderSession:
    """A running contender."""

    job: ContenderJob
    process: ContenderProcess
    contender: schema.Contender
    burst: int = 1
    rounds: list[list[float]] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    done: bool = False
    first_throttled: float | None = None
    cost: dict[str, Any] = field(default_factory=dict)

    @property
    def samples(self) -> list[float]:
        """All samples, ms."""
        return [value for turn in self.rounds for value in turn]

    @property
    def medians(self) -> list[float]:
        """Medians of the turns, ms, from which ratios are computed."""
        return [float(np.median(turn)) for turn in self.rounds]

    def turn(self, count: int) -> None:
        """Let the contender answer ``count`` queries."""
        answer = self.process.ask("take", count=count, timeout=OPENING)
        self.rounds.append(answer["ms"])
        self.seconds += sum(answer["ms"]) / 1e3
        for name, times in answer["stages"].items():
            self.stages.setdefault(name, []).extend(times)
        if answer["throttled"] and self.first_throttled is None:
            self.first_throttled = self.seconds

    def ask_cost(self) -> None:
        """Ask for the costs of its queries besides time."""
        self.cost = self.process.ask("cost", timeout=OPENING)

    def is_enough(self, suite: Suite) -> bool:
        """Whether its median is known well enough, or its time is used up."""
        effort = suite.effort
        count = sum(map(len, self.rounds))
        if len(self.rounds) < LEAST_TURNS:
            return False
        if self.seconds >= effort.most_seconds:
            return True
        if count < effort.least_count or self.seconds < effort.least_seconds or len(self.rounds) % _LOOK_EVERY:
            return False
        return interval(self.samples).relative_width <= effort.tight
