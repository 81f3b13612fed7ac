"""Comparison of two results of one suite: contenders that became slower or worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_harmony.benchmark.result import Environment, Measurement, Result
from edge_harmony.benchmark.statistics import Interval, Verdict, quotient
from edge_harmony.errors import ExitCode, InputError

_LOSS_DB = 0.05
"""Loss of PSNR against the real pictures that does not count; rounding with other instruction sets costs less."""


@dataclass(frozen=True)
class Change:
    """The change of a contender that is in both results.

    Attributes:
        contender: its name.
        time: the new median as a multiple of the old one.
        time_verdict: verdict of the time against the tolerance.
        psnr: the new PSNR less the old one, dB; None if either is missing.
        accuracy_verdict: PASS unless quality is lost; None without scores.
    """

    contender: str
    time: Interval
    time_verdict: Verdict
    psnr: float | None
    accuracy_verdict: Verdict | None


@dataclass(frozen=True)
class Comparison:
    """The result of :func:`compare_results`.

    Attributes:
        changes: changes of the contenders that are in both results.
        only_old: contenders that the new result lacks.
        only_new: contenders that the old result lacks.
        relative_to: the baseline by which the times of each run were divided; None if times were not divided.
        differences: differences between the two environments.
    """

    changes: list[Change]
    only_old: list[str]
    only_new: list[str]
    relative_to: str | None
    differences: list[str]

    @property
    def exit_code(self) -> ExitCode:
        """4 if quality was lost, 5 if a contender became slower or is missing, 6 if that is inconclusive, else 0."""
        if any(change.accuracy_verdict is Verdict.FAIL for change in self.changes):
            return ExitCode.ACCURACY
        if self.only_old or any(change.time_verdict is Verdict.FAIL for change in self.changes):
            return ExitCode.COST
        if any(change.time_verdict is Verdict.INCONCLUSIVE for change in self.changes):
            return ExitCode.INCONCLUSIVE
        return ExitCode.OK


def compare_results(old: Result, new: Result, tolerance: float) -> Comparison:
    """Compare two runs of a suite.

    A machine differs from run to run. So if both runs have the baseline in common, the times of each run are first
    divided by its baseline: then only changes relative to the baseline count.

    Args:
        old: the earlier result.
        new: the later result.
        tolerance: how much slower a contender may be, as a share.

    Raises:
        InputError: the results have no contender in common, measured different things, or hold too few turns.
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
        try:
            time = quotient(_times(after, name, baseline), _times(before, name, baseline))
        except ValueError as error:
            raise InputError(f"the times of {name} cannot be compared ({error})", "measure for longer") from None
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
    """Medians of the turns of a contender, and of the baseline's turns in those rounds (all 1 without a baseline)."""
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
