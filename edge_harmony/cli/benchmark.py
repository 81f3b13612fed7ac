"""``edge-harmony benchmark``: measure a suite or files, check limits, report; compare two results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from edge_harmony.benchmark.budget import exit_code, read_budget
from edge_harmony.benchmark.comparison import Comparison, compare_results
from edge_harmony.benchmark.estimate import estimate
from edge_harmony.benchmark.report.html import page, pages, require_jinja
from edge_harmony.benchmark.report.text import as_csv, complaints, markdown, terminal
from edge_harmony.benchmark.result import Result, is_of_suite, read_result, write_result
from edge_harmony.benchmark.run import check_call, run_suite
from edge_harmony.benchmark.suite import Suite, read_suite, suite_of
from edge_harmony.cli.console import BackendOption, JsonOption, notes, number, out, print_json
from edge_harmony.cli.plain_progress import duration
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.atomic import atomic_write, make_folder
from edge_harmony.files.identity import check_outputs
from edge_harmony.files.resources import find_resource
from edge_harmony.pictures.encode import check_writable

_TOLERANCE = 0.05


def benchmark(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="A suite (name or .toml), or exported files; the first file is the baseline."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder for result.json, report.html, .md and .csv.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to this .json file.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Root in iHarmony4 layout for scoring.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="Score only N of its pictures; 0: all.")] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="Limits to check: name or .toml.")] = None,
    backend: BackendOption = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=0, help="CPU threads; 0: the backend's choice.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", min=0.001, help="Fail if slower by more than this share; for files 0.05."),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Compare two results: OLD.json NEW.json.")] = False,
    only_estimate: Annotated[
        bool, typer.Option("--estimate", help="Say how long the measurement takes, and measure nothing.")
    ] = False,
    site: Annotated[
        Path | None, typer.Option("--site", help="Write one page for all results of this folder to --report.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure latency, throughput, memory, energy and accuracy. Exits with 4, 5 or 6 if limits are not kept."""
    names = what or []
    if site is not None:
        _write_site(site, report)
        return
    if not names:
        raise UsageError("there is nothing to measure", "name a suite or exported files")
    if compare:
        _compare(names, tolerance or _TOLERANCE, json)
        return
    suite = _suite(names, backend, tolerance, threads)
    if limit is not None:
        suite = suite.model_copy(update={"limit": limit})
    if only_estimate:
        _print_estimate(suite, json)
        return
    limits = read_budget(budget) if budget else None
    if output is not None:
        check_writable(output, (".json",))
        check_outputs([output], [find_resource("budgets", budget) if budget else None, *suite.files()])
    check_call(suite, data, limits)
    if report is not None:
        require_jinja()
    folder = make_folder(report) if report else None
    pictures = make_folder(folder / "pictures") if folder else None
    _tell(_expected(suite))
    result = run_suite(suite, data=data, budget=limits, pictures=pictures, tell=_tell)
    if output is not None:
        write_result(output, result)
    if folder is not None:
        _write_report(folder, result, pictures)
    if json:
        print_json(result.model_dump(mode="json"))
    else:
        out.print(terminal(result, out.width), crop=False)
        for line in complaints(result):
            out.print(Text(line), soft_wrap=True)
        if folder is not None:
            out.print(Text(f"report: {folder / 'report.html'}"), soft_wrap=True)
    raise typer.Exit(int(exit_code(result, limits)))


def _expected(suite: Suite) -> str:
    low, high = map(duration, estimate(suite))
    span = low if low == high else f"{low} to {high}"
    return (
        f"{suite.name}: {len(suite.contenders)} contenders, about {span}; longer on a slow or busy machine, and --data "
        "adds its scoring"
    )


def _print_estimate(suite: Suite, json: bool) -> None:
    if json:
        low, high = estimate(suite)
        print_json({"suite": suite.name, "contenders": len(suite.contenders), "seconds": [low, high]})
    else:
        out.print(Text(_expected(suite)), soft_wrap=True)


def _suite(names: list[str], backend: str | None, tolerance: float | None, threads: int | None) -> Suite:
    files = [Path(name) for name in names]
    if len(names) == 1 and (files[0].suffix == ".toml" or not files[0].exists()):
        suite = read_suite(names[0])
        changed: dict[str, Any] = {"tolerance": tolerance, "threads": threads}
        return suite.model_copy(update={key: value for key, value in changed.items() if value is not None})
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise UsageError(f"there is no file {missing[0]}", "name one suite, or exported files")
    if len(set(names)) < len(names):
        raise UsageError("a file is named twice", "copy it to compare it with itself")
    return suite_of(files, backend, tolerance or _TOLERANCE, threads=1 if threads is None else threads)


def _write_report(folder: Path, result: Result, pictures: Path | None) -> None:
    write_result(folder / "result.json", result)
    atomic_write(folder / "report.md", markdown(result).encode())
    atomic_write(folder / "report.csv", as_csv(result).encode())
    atomic_write(folder / "report.html", page(result, pictures).encode())


def _write_site(site: Path, report: Path | None) -> None:
    if not site.is_dir():
        raise UsageError(f"there is no folder {site}", "give the folder that holds a folder per version")
    if report is None:
        raise UsageError("--site needs a folder for the page", "name one with --report")
    found = []
    for path in sorted(site.glob("*/*.json")):
        if is_of_suite(path):
            found.append((path.parent.name, read_result(path)))
    if not found:
        raise InputError(f"{site} holds no result of a suite", "results are in <version>/<suite>.json")
    target = make_folder(report) / "index.html"
    atomic_write(target, pages(found).encode())
    out.print(Text(f"{len(found)} results: {target}"), soft_wrap=True)


def _compare(names: list[str], tolerance: float, json: bool) -> None:
    if len(names) != 2:
        raise UsageError(f"--compare takes two results, not {len(names)}", "give OLD.json NEW.json")
    found = compare_results(read_result(Path(names[0])), read_result(Path(names[1])), tolerance)
    if json:
        print_json(_plain(found))
    else:
        _print_comparison(found)
    raise typer.Exit(int(found.exit_code))


def _plain(found: Comparison) -> dict[str, Any]:
    changes = [
        {
            "contender": c.contender,
            "time": {"estimate": c.time.estimate, "low": c.time.low, "high": c.time.high},
            "time_verdict": c.time_verdict.value,
            "psnr": c.psnr,
            "accuracy_verdict": c.accuracy_verdict.value if c.accuracy_verdict else None,
        }
        for c in found.changes
    ]
    rest = {key: getattr(found, key) for key in ("only_old", "only_new", "relative_to", "differences")}
    return {"changes": changes, **rest, "exit_code": int(found.exit_code)}


def _print_comparison(found: Comparison) -> None:
    relative = f", both relative to {found.relative_to} in their run" if found.relative_to else ""
    table = Table(title=f"new as a multiple of old{relative}")
    for heading in ("contender", "median", "95 % interval", "time", "PSNR, dB", "quality"):
        table.add_column(heading, justify="left" if heading in ("contender", "time", "quality") else "right")
    for c in found.changes:
        cells = (c.contender, f"{c.time.estimate:.3f}", f"{c.time.low:.3f} to {c.time.high:.3f}", c.time_verdict.value)
        quality = c.accuracy_verdict.value if c.accuracy_verdict else "-"
        table.add_row(*map(Text, cells), number(c.psnr, 3), quality)
    out.print(table)
    for line in [f"gone: {name}" for name in found.only_old] + [f"new: {name}" for name in found.only_new]:
        out.print(Text(line), soft_wrap=True)
    for line in found.differences:
        out.print(Text(f"environment: {line}"), soft_wrap=True)


def _tell(line: str) -> None:
    notes.print(Text(line), soft_wrap=True)
