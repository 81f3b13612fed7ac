"""Results as a terminal table, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io

from rich.table import Table
from rich.text import Text

from edge_harmony.benchmark.report.columns import COLUMNS, Column, fastest_first, heading, shown
from edge_harmony.benchmark.result import Check, Result
from edge_harmony.benchmark.statistics import Interval, Verdict
from edge_harmony.files.cells import csv_cell, markdown_text

_COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow"}
_FIRST = (
    *("contender", "verdict", "p50_ms", "ratio", "sealed_gain_db", "psnr_db", "p90_ms", "infer_ms"),
    *(
        "pictures_per_s",
        "slowing",
        "parity_db",
        "fmse",
        "sealed_worse",
        "no_change",
        "worse",
        "peak_memory_mib",
        "energy_mj",
        "p99_ms",
        "ratio_low",
        "ratio_high",
        "samples",
    ),
)
"""Columns of the terminal's table, the most important first, as many as there is room for."""


def terminal(result: Result, width: int) -> Table:
    """The table that the command prints, with the columns that fit into a terminal of ``width``."""
    columns = _fitting(result, width)
    table = Table(title=f"{result.suite}: {heading(result)}")
    for column in columns:
        table.add_column(column.title, justify="left" if column.of_text else "right", no_wrap=True)
    for measurement in fastest_first(result):
        cells = [Text(column.cell(measurement)) for column in columns]
        for column, cell in zip(columns, cells, strict=True):
            if column.key == "verdict" and measurement.verdict is not None:
                cell.stylize(_COLOURS[measurement.verdict])
        table.add_row(*cells)
    return table


def _fitting(result: Result, width: int) -> list[Column]:
    columns, room = {column.key: column for column in shown(result)}, width - 1
    chosen: set[str] = set()
    for key in (key for key in _FIRST if key in columns):
        cells = [columns[key].title, *(columns[key].cell(m) for m in result.measurements)]
        room -= max(map(len, cells)) + 3
        if room < 0 and chosen:
            break
        chosen.add(key)
    return [column for key, column in columns.items() if key in chosen]


def complaints(result: Result) -> list[str]:
    """A line for every check that did not pass, and for every contender that did not run."""
    lines = [
        f"{check.verdict.value}: {m.contender.name}: {check.name} {limit_of(check)}"
        for m in result.measurements
        for check in m.checks
        if check.verdict is not Verdict.PASS
    ]
    return lines + [f"not run: {failure.contender}: {failure.error}" for failure in result.failures]


def limit_of(check: Check) -> str:
    """The measured value and the limit."""
    found = check.found
    if isinstance(found, Interval):
        text = f"{found.estimate:.4g} ({found.low:.4g} to {found.high:.4g})"
    else:
        text = check.reason if found is None else f"{found:.4g}"
    return f"{text}, limit {check.limit:.4g}"


def markdown_table(result: Result) -> str:
    """A table, the fastest first."""
    columns = shown(result)
    rows = ["| " + " | ".join(column.title for column in columns) + " |"]
    rows.append("|" + "|".join("---" if column.of_text else "---:" for column in columns) + "|")
    for measurement in fastest_first(result):
        rows.append("| " + " | ".join(markdown_text(column.cell(measurement)) for column in columns) + " |")
    return "\n".join(rows) + "\n"


def markdown(result: Result) -> str:
    """The whole report as Markdown."""
    where = result.environment
    facts = [
        f"system: {where.system}, {where.cpus} CPUs, load {'unknown' if where.load is None else f'{where.load:.2f}'}",
        f"container: {where.container or 'none'}; governor: {where.governor or 'unknown'}; "
        f"clock: {'unknown' if where.clock.value is None else f'{where.clock.value:.0f} MHz'}",
        f"versions: {', '.join(f'{name} {version}' for name, version in where.versions.items())}",
        f"baseline: {result.baseline}; ratios are medians over rounds, with {_level(result)} intervals",
    ]
    facts = [f"- {markdown_text(fact)}" for fact in facts]
    named = [f"# {markdown_text(result.suite)}", markdown_text(heading(result))]
    parts = [*named, markdown_table(result), "\n".join(facts)]
    lines = complaints(result)
    if lines:
        parts.append("\n".join(f"- {markdown_text(line)}" for line in lines))
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def as_csv(result: Result) -> str:
    """One line per contender; cells without a measured value are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.key for column in COLUMNS])
    for measurement in fastest_first(result):
        values = [column.value(measurement) for column in COLUMNS]
        cells = ["" if v is None else f"{v:.6g}" if isinstance(v, float) else csv_cell(v) for v in values]
        writer.writerow(cells)
    return text.getvalue()


def _level(result: Result) -> str:
    return f"{100 * result.measurements[0].summary.p50.level:.0f} %"
