"""Limits for a suite's contenders, as TOML, and the checks of measurements against them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_harmony.backends.targets import read_target
from edge_harmony.benchmark.result import Check, Measurement, Result
from edge_harmony.benchmark.statistics import Interval, Verdict, interval, percentile
from edge_harmony.errors import ExitCode, InputError
from edge_harmony.files.resources import find_resource
from edge_harmony.files.toml import read_toml
from edge_harmony.machine.counters import Reading

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_MEBIBYTE = 2**20
_ORDER = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)


class Limits(BaseModel):
    """Limits for the contenders whose names match the pattern ``contender`` (with ``*`` and ``?``)."""

    model_config = _STRICT

    contender: str
    target: str | None = Field(None, description="a target whose limits of accuracy and latency apply too")
    min_parity_psnr: float | None = Field(None, description="dB against the PyTorch reference")
    min_psnr_gain: float | None = Field(None, description="dB over the composite, against the real pictures")
    max_fmse_share: float | None = Field(None, gt=0, description="fMSE as a share of the composite's")
    max_p90_ms: float | None = Field(None, gt=0)
    max_p99_ms: float | None = Field(None, gt=0)
    max_ratio: float | None = Field(None, gt=0, description="ratio of the medians to the baseline's")
    max_slowing: float | None = Field(
        None, gt=0, description="sustained: last window's median as a multiple of the first's"
    )
    max_peak_memory_mib: float | None = Field(None, gt=0)
    max_energy_j: float | None = Field(None, gt=0, description="per query")


class Budget(BaseModel):
    """A budget."""

    model_config = _STRICT

    limits: Annotated[tuple[Limits, ...], Field(min_length=1)]


def read_budget(name: str) -> Budget:
    """Read a budget by name or path.

    Raises:
        UsageError: there is no budget of this name, or it names an unknown target.
        InputError: the file does not fit the schema.
    """
    budget = read_toml(find_resource("budgets", name), Budget)
    for limits in budget.limits:
        if limits.target is not None:
            read_target(limits.target)
    return budget


def check_names(budget: Budget, names: Sequence[str]) -> None:
    """Raise an InputError if a limit matches none of these contenders and so would never be checked."""
    for limits in budget.limits:
        if not any(fnmatchcase(name, limits.contender) for name in names):
            raise InputError(
                f"the budget's limits of {limits.contender!r} match no contender", f"the suite has {', '.join(names)}"
            )


def judge(result: Result, budget: Budget | None, tolerance: float | None = None) -> Result:
    """A copy of the result with the checks of a budget and of the suite's tolerance."""
    judged = []
    for measurement in result.measurements:
        checks: list[Check] = []
        if tolerance is not None and measurement.contender.name != result.baseline:
            checks.append(_cost("ratio to the baseline", 1 + tolerance, measurement.ratio))
        for limits in budget.limits if budget else ():
            if fnmatchcase(measurement.contender.name, limits.contender):
                checks += _checks(measurement, limits)
        worst = max((check.verdict for check in checks), key=_ORDER.index, default=None)
        judged.append(measurement.model_copy(update={"checks": checks, "verdict": worst}))
    return result.model_copy(update={"measurements": judged})


def exit_code(result: Result, budget: Budget | None = None) -> ExitCode:
    """4 if accuracy fails, 5 if only cost does, 1 if a contender did not run, 6 if something stays open.

    It is 3 in place of 1 if every contender that did not run needs what this machine lacks. A contender that the suite
    declares optional may be missing; limits of a budget that are its own stay open then.
    """
    checks = [check for measurement in result.measurements for check in measurement.checks]
    failed = {check.of for check in checks if check.verdict is Verdict.FAIL}
    if "accuracy" in failed:
        return ExitCode.ACCURACY
    if "cost" in failed:
        return ExitCode.COST
    broken = {failure.exit_code for failure in result.failures if not failure.optional}
    if broken == {ExitCode.CAPABILITY}:
        return ExitCode.CAPABILITY
    if broken or not result.measurements:
        return ExitCode.FAILURE
    limited = [limits.contender for limits in budget.limits] if budget else []
    unmeasured = any(fnmatchcase(f.contender, pattern) for f in result.failures for pattern in limited)
    if unmeasured or any(check.verdict is Verdict.INCONCLUSIVE for check in checks):
        return ExitCode.INCONCLUSIVE
    return ExitCode.OK


def _checks(m: Measurement, limits: Limits) -> Iterator[Check]:
    summary = m.summary
    least_parity = limits.min_parity_psnr
    if limits.target is not None:
        target = read_target(limits.target)
        least_parity = max(target.accuracy.min_psnr, least_parity or 0)
        times = m.stages_ms.get("infer", m.samples_ms)
        yield _cost("p90 of the network, ms", target.latency.max_p90_ms, interval(times, percentile(90)))
    if least_parity is not None:
        yield _accuracy("parity, dB", least_parity, m.parity.psnr if m.parity else None, m, at_least=True)
    truth = m.truth if m.truth and m.truth.result.psnr and m.truth.composite.psnr else None
    if limits.min_psnr_gain is not None:
        gain = truth.result.psnr - truth.composite.psnr if truth else None  # type: ignore[operator]
        yield _accuracy("PSNR over the composite's, dB", limits.min_psnr_gain, gain, m, at_least=True)
    if limits.max_fmse_share is not None:
        share = truth.result.fmse / truth.composite.fmse if truth else None  # type: ignore[operator]
        yield _accuracy("fMSE as a share of the composite's", limits.max_fmse_share, share, m, at_least=False)
    if limits.max_p90_ms is not None:
        yield _cost("p90, ms", limits.max_p90_ms, summary.p90)
    if limits.max_p99_ms is not None:
        yield _cost("p99, ms", limits.max_p99_ms, interval(m.samples_ms, percentile(99)))
    if limits.max_ratio is not None:
        yield _cost("ratio to the baseline", limits.max_ratio, m.ratio)
    if limits.max_slowing is not None:
        yield _cost("slowing under load", limits.max_slowing, _slowing(m))
    if limits.max_peak_memory_mib is not None:
        yield _read("peak memory, MiB", limits.max_peak_memory_mib, m.cost.peak_memory, 1 / _MEBIBYTE)
    if limits.max_energy_j is not None:
        yield _read("energy, J a query", limits.max_energy_j, m.cost.energy, 1.0)


def _slowing(m: Measurement) -> Interval | None:
    if m.sustained is None:
        return None
    first, last = m.sustained.first, m.sustained.last
    return Interval(last.estimate / first.estimate, last.low / first.high, last.high / first.low)


def _cost(name: str, limit: float, found: Interval | None) -> Check:
    if found is None:
        return _check("cost", name, limit, None, Verdict.INCONCLUSIVE, "it was not measured")
    return _check("cost", name, limit, found, found.at_most(limit))


def _read(name: str, limit: float, reading: Reading, scale: float) -> Check:
    if reading.value is None:
        return _check("cost", name, limit, None, Verdict.INCONCLUSIVE, reading.reason)
    value = reading.value * scale
    return _check("cost", name, limit, value, Verdict.PASS if value <= limit else Verdict.FAIL)


def _accuracy(name: str, limit: float, value: float | None, m: Measurement, *, at_least: bool) -> Check:
    if value is None:
        return _check("accuracy", name, limit, None, Verdict.INCONCLUSIVE, m.unscored or "it was not measured")
    held = value >= limit if at_least else value <= limit
    return _check("accuracy", name, limit, value, Verdict.PASS if held else Verdict.FAIL)


def _check(
    of: Literal["accuracy", "cost"], name: str, limit: float, found: Any, verdict: Verdict, reason: str = ""
) -> Check:
    return Check(of=of, name=name, limit=limit, found=found, verdict=verdict, reason=reason)
