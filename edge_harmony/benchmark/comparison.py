"""Two results of one suite: what became slower or worse from the old one to the new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_harmony.benchmark.result import Environment, Measurement, Result
from edge_harmony.benchmark.statistics import Interval, Verdict, quotient
from edge_harmony.errors import ExitCode, InputError

_LOSS_DB = 0.05
"""PSNR against the real pictures that may be lost without failing: rounding of other instruction sets costs less."""


@dataclass(frozen=True)
class Change:
    """A contender in both results.

    Attributes:
        contender: its name.
        time: its new median as a multiple of the old one.
        time_verdict: against the tolerance.
        psnr: its new PSNR less the old one, dB; None if either lacks it.
        accuracy_verdict: PASS unless quality is lost; None without scores.
    """

    contender: str
    time: Interval
    time_verdict: Verdict
    psnr: float | None
    accuracy_verdict: Verdict | None


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare_results` found.

    Attributes:
        changes: of the contenders that both have.
        only_old: contenders that the new result lacks.
        only_new: contenders that the old result lacks.
        relative_to: the baseline that times were divided by first, in each run; None if they are as measured.
        differences: of the two environments.
    """

    changes: list[Change]
    only_old: list[str]
    only_new: list[str]
    relative_to: str | None
    differences: list[str]

    @property
    def exit_code(self) -> ExitCode:
        """4 if quality was lost, 5 if something became slower or is gone, 6 if that stays open, else 0."""
        if any(change.accuracy_verdict is Verdict.FAIL for change in self.changes):
            return ExitCode.ACCURACY
        if self.only_old or any(change.time_verdict is Verdict.FAIL for change in self.changes):
            return ExitCode.COST
        if any(change.time_verdict is Verdict.INCONCLUSIVE for change in self.changes):
            return ExitCode.INCONCLUSIVE
        return ExitCode.OK


def compare_results(old: Result, new: Result, tolerance: float) -> Comparison:
    """Compare two runs of a suite.

    Runs of different times see different machines, so that times are divided by the baseline's of the same run where
    both have the same baseline: then only what changed beside it counts.

    Args:
        old: before.
        new: after.
        tolerance: how much slower a contender may be, as a share.

    Raises:
        InputError: they have no contender in common, or measured different things.
    """
    before, after = _by_name(old), _by_name(new)
    common = [name for name in after if name in before]
    if not common:
        raise InputError("the two results have no contender in common", "compare two runs of one suite")
    if old.measurements[0].protocol.model_dump(exclude={"burst"}) != new.measurements[0].protocol.model_dump(
        exclude={"burst"}
    ):
        raise InputError("the two results measured different things", "compare two runs of one suite")
    baseline = old.baseline if old.baseline == new.baseline and len(common) > 1 else None
    changes = []
    for name in common:
        if name == baseline:
            continue
        time = quotient(_times(after, name, baseline), _times(before, name, baseline))
        psnr = _psnr_change(before[name], after[name])
        lost = None if psnr is None else Verdict.FAIL if psnr < -_LOSS_DB else Verdict.PASS
        changes.append(Change(name, time, time.at_most(1 + tolerance), psnr, lost))
    return Comparison(
        changes,
        [name for name in before if name not in after],
        [name for name in after if name not in before],
        baseline,
        _differences(old.environment, new.environment),
    )


def _by_name(result: Result) -> dict[str, Measurement]:
    return {m.contender.name: m for m in result.measurements}


def _times(
    measurements: dict[str, Measurement], name: str, baseline: str | None
) -> tuple[Sequence[float], Sequence[float]]:
    """Medians of the turns of a contender, and of the baseline's beside them (ones without a baseline)."""
    turns = measurements[name].turns()
    beside = measurements[baseline].turns()[: len(turns)] if baseline else [1.0] * len(turns)
    return turns[: len(beside)], beside


def _psnr_change(old: Measurement, new: Measurement) -> float | None:
    if not (old.truth and new.truth and old.truth.set == new.truth.set and old.truth.images == new.truth.images):
        return None
    if old.truth.result.psnr is None or new.truth.result.psnr is None:
        return None
    return new.truth.result.psnr - old.truth.result.psnr


def _differences(old: Environment, new: Environment) -> list[str]:
    lines = [
        f"{key}: {before} before, {after} now"
        for key in ("system", "cpu", "cpus", "gpu", "board", "power_mode", "container", "governor")
        if (before := getattr(old, key)) != (after := getattr(new, key))
    ]
    packages = sorted({*old.versions, *new.versions})
    return lines + [
        f"{name}: {old.versions.get(name, 'none')} before, {new.versions.get(name, 'none')} now"
        for name in packages
        if old.versions.get(name) != new.versions.get(name)
    ]
