"""The output of ``edge-harmony build``: trtexec's summary, the layers' times, and two profiles side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from edge_harmony.backends.tensorrt.profiling import Difference, slower_in_integers
from edge_harmony.cli.console import number, out

_PARTS = {
    "latencyMs": "Latency",
    "enqMs": "Enqueue Time",
    "h2dMs": "H2D Latency",
    "computeMs": "GPU Compute Time",
    "d2hMs": "D2H Latency",
}


def show_report(report: dict[str, Any], *, layers: bool) -> None:
    """Print the engine's path and its times."""
    _line(f"{report['engine']} ({report['bytes'] / 1024:.0f} KiB), {report['tensorrt']}")
    if "cached" in report:
        how = "strongly typed" if report["strongly_typed"] else "precision by flags"
        built = f"built in {number(report['seconds'], 1)} s, {how}"
        _line("from the cache: nothing has changed since it was built" if report["cached"] else built)
        for word, key in (("note", "notes"), ("TensorRT warns", "warnings")):
            for said in report[key]:
                _line(f"{word}: {said}")
    if report.get("layer_information"):
        _line(report["layer_information"])
    if report.get("timing"):
        _show_timing(report)
    if layers and report.get("layers"):
        _show_layers(report["layers"])


def _show_timing(report: dict[str, Any]) -> None:
    timing, chosen = report["timing"], report["timing_options"]
    for mean in report["averages"]:
        _line(
            f"Average on {report['average']} runs - GPU latency: {mean['computeMs']:.6g} ms - "
            f"Host latency: {mean['latencyMs']:.6g} ms (enqueue {mean['enqMs']:.6g} ms)"
        )
    _line(
        f"Throughput: {timing['throughput_qps']:.1f} qps, {timing['images_per_second']:.1f} pictures a second, "
        f"{timing['queries']} queries on {report['device']['name']}"
    )
    switches = {"CUDA graph": "graph", "spin wait": "spin", "data transfers": "transfers"}
    _line(", ".join(f"{name} {'on' if chosen[key] else 'off'}" for name, key in switches.items()))
    for key, name in _PARTS.items():
        figures = ", ".join(f"{_figure(figure)} = {value:.6g} ms" for figure, value in timing[key].items())
        _line(f"{name}: {figures}")
    _line(f"device memory of a context: {report['device_memory'] / 2**20:.1f} MiB")
    for said in report["timing_warnings"]:
        _line(f"warning: {said}")
    for name, values in report["outputs"].items():
        _line(f"{name}:")
        for row in _rows(values):
            _line("\t".join(f"{value:g}" for value in row))


def _rows(values: Any) -> Iterator[list[float]]:
    """The innermost lists of nested ones."""
    if not isinstance(values, list):
        yield [values]
    elif values and isinstance(values[0], list):
        for part in values:
            yield from _rows(part)
    else:
        yield values


def _figure(name: str) -> str:
    """trtexec's name for a figure."""
    return f"percentile({name[1:]}%)" if name.startswith("p") else name


def _show_layers(rows: list[dict[str, Any]]) -> None:
    table = Table(title=f"layers, {rows[0]['count']} runs")
    for heading in ("layer", "median ms", "%"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for row in rows[1:]:
        table.add_row(row["name"], f"{row['medianMs']:.4f}", f"{row['percentage']:.1f}")
    out.print(table)


def show_difference(differences: list[Difference], names: tuple[str, str]) -> None:
    """Print two profiles, the slowest layers first."""
    table = Table(title=f"{names[0]} and {names[1]}: milliseconds")
    for heading in ("layer", *names, "change", "in"):
        table.add_column(heading, justify="left" if heading in ("layer", "in") else "right")
    for row in sorted(differences, key=lambda d: -max(d.milliseconds)):
        label = ("reformat: " if row.reformat else "") + (row.names[0] or row.names[1])
        times = (f"{value:.4f}" if name else "-" for value, name in zip(row.milliseconds, row.names, strict=True))
        kinds = " -> ".join(kind or "?" for kind in row.precisions) if any(row.precisions) else ""
        table.add_row(label, *times, f"{row.change:+.4f}", kinds)
    out.print(table)
    totals = [sum(d.milliseconds[side] for d in differences) for side in (0, 1)]
    moved = [sum(d.milliseconds[side] for d in differences if d.reformat) for side in (0, 1)]
    for side, name in enumerate(names):
        _line(f"{name}: {totals[side]:.4f} ms, {moved[side]:.4f} of it reformats")
    for row in slower_in_integers(differences):
        _line(f"loses in 8 bits: {row.names[1]} ({row.change:+.4f} ms)")


def _line(text: str) -> None:
    out.print(text, soft_wrap=True, markup=False, highlight=False)
