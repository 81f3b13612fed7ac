"""The columns of tables of measurements, in the terminal, in Markdown, in CSV and in HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_harmony.benchmark.result import Measurement, Result

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: name in CSV, including the unit.
        title: title for people.
        value: function that returns the value; None if there is none.
        digits: digits after the decimal point.
        of_text: whether it holds text.
    """

    key: str
    title: str
    value: Callable[[Measurement], float | str | None]
    digits: int = 1
    of_text: bool = False

    def cell(self, measurement: Measurement) -> str:
        """The value as text, or a dash if there is none."""
        value = self.value(measurement)
        if value is None or value == "":
            return "-"
        return value if isinstance(value, str) else f"{value:.{self.digits}f}"


def _stage(name: str) -> Callable[[Measurement], float | None]:
    def median(m: Measurement) -> float | None:
        times = m.stages_ms.get(name)
        return float(np.median(times)) if times else None

    return median


def _harm(preparation: str, name: str, scale: float = 1) -> Callable[[Measurement], float | None]:
    def number(m: Measurement) -> float | None:
        harm = getattr(m.truth, preparation, None)
        return _scaled(getattr(harm, name, None), scale)

    return number


def _slowing(m: Measurement) -> float | None:
    return m.sustained.last.estimate / m.sustained.first.estimate if m.sustained else None


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


COLUMNS = (
    Column("contender", "contender", lambda m: m.contender.name, of_text=True),
    Column("p50_ms", "p50 ms", lambda m: m.summary.p50.estimate, 2),
    Column("p90_ms", "p90 ms", lambda m: m.summary.p90.estimate, 2),
    Column("p99_ms", "p99 ms", lambda m: m.summary.p99, 2),
    Column("infer_ms", "network ms", _stage("infer"), 2),
    Column("ratio", "of baseline", lambda m: m.ratio.estimate if m.ratio else None, 3),
    Column("ratio_low", "low", lambda m: m.ratio.low if m.ratio else None, 3),
    Column("ratio_high", "high", lambda m: m.ratio.high if m.ratio else None, 3),
    Column("pictures_per_s", "pictures/s", lambda m: m.summary.throughput, 1),
    Column("slowing", "last of first", _slowing, 3),
    Column("psnr_db", "PSNR dB", lambda m: m.truth.result.psnr if m.truth else None, 2),
    Column("fmse", "fMSE", lambda m: m.truth.result.fmse if m.truth else None, 0),
    Column("worse", "worse, %", _harm("harm", "worse", 100), 0),
    Column("sealed_gain_db", "sealed gain dB", _harm("sealed", "gain"), 2),
    Column("sealed_worse", "sealed worse, %", _harm("sealed", "worse", 100), 0),
    Column("no_change", "no-change fMSE", _harm("sealed", "no_change"), 0),
    Column("parity_db", "parity dB", lambda m: m.parity.psnr if m.parity else None, 1),
    Column("parity_least_db", "least", lambda m: m.parity.least if m.parity else None, 1),
    Column("peak_memory_mib", "memory MiB", lambda m: _scaled(m.cost.peak_memory.value, 1 / _MEBIBYTE), 0),
    Column("energy_mj", "mJ a query", lambda m: _scaled(m.cost.energy.value, 1e3), 1),
    Column("samples", "samples", lambda m: float(m.summary.count), 0),
    Column("verdict", "verdict", lambda m: m.verdict.value if m.verdict else None, of_text=True),
)


def shown(result: Result) -> list[Column]:
    """The columns that have a value."""
    return [c for c in COLUMNS if any(c.value(m) not in (None, "") for m in result.measurements)]


def fastest_first(result: Result) -> Sequence[Measurement]:
    """Measurements, sorted by their median."""
    return sorted(result.measurements, key=lambda m: m.summary.p50.estimate)


def heading(result: Result) -> str:
    """One line with the protocol and the machine."""
    protocol = result.measurements[0].protocol
    threads = f"{protocol.threads} thread{'s' if protocol.threads != 1 else ''}" if protocol.threads else "all threads"
    where = result.environment
    device = where.board or where.gpu or f"{where.cpu} ({', '.join(where.cpu_features)})"
    parts = [f"{protocol.scenario}", f"{protocol.width} x {protocol.height}", threads, device, result.created[:10]]
    if protocol.pictures > 1:
        parts.insert(1, f"{protocol.pictures} pictures a query on {protocol.streams} streams")
    return ", ".join(parts)
