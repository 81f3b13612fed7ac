"""One HTML file for a result, or for all committed results: works offline, light and dark, wide and narrow."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from edge_harmony.benchmark.report import plots
from edge_harmony.benchmark.report.columns import fastest_first, heading, shown
from edge_harmony.benchmark.report.text import limit_of
from edge_harmony.benchmark.result import Measurement, Result
from edge_harmony.extras import check_installed

_WIDE, _NARROW = 960, 380
_PANELS = ("composite", "result", "real", "error")


@dataclass(frozen=True)
class Worst:
    """A picture with a bad result: its name, its fMSE, and its panels as data URLs."""

    name: str
    value: float
    panels: Mapping[str, str]


def require_jinja() -> None:
    """Raise a CapabilityError unless Jinja is installed."""
    check_installed("HTML reports need Jinja", "jinja2")


def page(result: Result, pictures: Path | None = None) -> str:
    """The report of a result.

    Args:
        result: the result.
        pictures: the folder that :func:`~edge_harmony.benchmark.run.run_suite` filled.

    Raises:
        CapabilityError: Jinja is not installed.
    """
    return _render(reports=[_report(result, pictures)], title=f"Benchmark {result.suite}", several=False)


def pages(results: Sequence[tuple[str, Result]]) -> str:
    """All results of a project on one page, by version.

    Args:
        results: pairs of version and result.

    Raises:
        CapabilityError: Jinja is not installed.
    """
    reports = [_report(result, None) | {"version": version} for version, result in results]
    return _render(reports=reports, title="Benchmarks", several=True)


def _report(result: Result, pictures: Path | None) -> dict[str, Any]:
    columns = shown(result)
    rows = fastest_first(result)
    first = rows[0]
    helpful = [m for m in rows if plots.is_help(m)]
    drawn = {
        name: {width: draw(result, width) for width in (_WIDE, _NARROW)}
        for name, draw in (("pareto", plots.pareto), ("distributions", plots.distributions), ("stages", plots.stages))
    }
    return {
        "result": result,
        "version": "",
        "heading": heading(result),
        "fastest": (helpful or rows)[0],
        "columns": columns,
        "rows": [(m, [(c.cell(m), _sort_value(c.value(m)), c) for c in columns]) for m in rows],
        "plots": drawn,
        "stages": [name for name in plots.STAGES if any(name in m.stages_ms for m in rows)],
        "backends": plots.backends_of(result),
        "precisions": sorted({m.contender.precision for m in rows if m.contender.precision}),
        "peers": any(m.contender.kind == "peer" for m in rows),
        "checks": [(m.contender.name, check, limit_of(check)) for m in rows for check in m.checks],
        "worst": [(m.contender.name, found) for m in _looked_at(result) if (found := _worst(m, pictures))],
        "truth": next((m.truth for m in rows if m.truth), None),
        "parity": next((m.parity for m in rows if m.parity), None),
        "protocol": first.protocol,
        "level": f"{100 * first.summary.p50.level:.0f} %",
        "missing": sorted(
            {
                f"{name}: {reading.reason}"
                for m in rows
                for name, reading in (
                    ("energy", m.cost.energy),
                    ("temperature", m.cost.temperature),
                    ("throttling", m.cost.throttled),
                )
                if reading.value is None
            }
        ),
        "untrained": [m.contender.name for m in rows if m.contender.untrained],
    }


def _looked_at(result: Result) -> list[Measurement]:
    """The contenders whose worst pictures are shown: the Pareto front, the baseline and peers, the best first."""
    front = plots.on_front(result)
    chosen = [
        m
        for m in result.measurements
        if m in front or m.contender.kind == "peer" or m.contender.name == result.baseline
    ]
    return sorted(chosen, key=lambda m: -(m.truth.result.psnr or 0) if m.truth else 0)


def _worst(m: Measurement, pictures: Path | None) -> list[Worst]:
    if pictures is None or m.truth is None:
        return []
    folder = pictures / m.contender.folder
    found = []
    for k, case in enumerate(m.truth.worst):
        paths = {panel: folder / f"{k}-{panel}.webp" for panel in _PANELS}
        if all(path.is_file() for path in paths.values()):
            found.append(Worst(case.name, case.value, {panel: _address(path) for panel, path in paths.items()}))
    return found


def _address(path: Path) -> str:
    return "data:image/webp;base64," + base64.b64encode(path.read_bytes()).decode()


def _sort_value(value: float | str | None) -> str:
    return "" if value is None else str(value)


def _render(**values: Any) -> str:
    require_jinja()
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("edge_harmony.benchmark.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["svg"] = Markup  # our own drawings, whose texts are escaped
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    style = Markup((folder / "report.css").read_text(encoding="utf-8"))
    script = Markup((folder / "report.js").read_text(encoding="utf-8"))
    return template.render(style=style, script=script, shape=plots.shape, **values)
