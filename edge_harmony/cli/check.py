"""``edge-harmony check``: what a target will compute in integers, what not and why, and what it will refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from edge_harmony.backends.targets import read_target
from edge_harmony.cli.console import JsonOption, out, print_json
from edge_harmony.errors import CapabilityError
from edge_harmony.extras import require_onnx


def check(
    model: Annotated[Path, typer.Argument(help="An ONNX file.")],
    target: Annotated[str, typer.Option("--target", help="A target, a .toml file, or a runtime by name.")],
    placement: Annotated[
        bool, typer.Option("--placement", help="Also load it in ONNX Runtime and count what was really fused.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Go through an ONNX file layer by layer before it is built for a target."""
    require_onnx("check")
    from edge_harmony.backends.onnxruntime.placement import placed_operators
    from edge_harmony.inspection.graph import read_graph
    from edge_harmony.inspection.layers import RUNTIMES, broken_chains, find_runtime, report_layers
    from edge_harmony.inspection.refusals import find_refusals

    runtime = target if target in RUNTIMES else read_target(target).backend
    graph = read_graph(model)
    layers = report_layers(graph, find_runtime(runtime))
    findings = find_refusals(graph, runtime)
    counts = {kind: sum(layer.precision == kind for layer in layers) for kind in ("int8", "fp16", "float")}
    report: dict[str, Any] = {
        "model": str(model),
        "target": target,
        "runtime": runtime,
        "opset": graph.opset,
        "counts": counts,
        "layers": [vars(layer) for layer in layers],
        "reformats": broken_chains(graph),
        "findings": [vars(finding) for finding in findings],
    }
    if placement:
        report["placement"] = placed_operators(model)
    fatal = [finding for finding in findings if finding.fatal]
    if json:
        print_json(report)
    else:
        _show(report)
    if fatal:
        raise CapabilityError(f"{runtime} will refuse {model} for {len(fatal)} reasons", fatal[0].fix)


def _show(report: dict[str, Any]) -> None:
    table = Table(title=f"{Path(report['model']).name} on {report['runtime']}")
    for heading in ("layer", "operators", "computes in", "why not in 8 bits"):
        table.add_column(heading)
    for layer in report["layers"]:
        table.add_row(layer["name"], layer["kind"], layer["precision"], layer["reason"])
    out.print(table)
    out.print(", ".join(f"{count} {kind}" for kind, count in report["counts"].items() if count), soft_wrap=True)
    for place in report["reformats"]:
        out.print(f"reformat expected {place}", soft_wrap=True, markup=False)
    for finding in report["findings"]:
        word = "refused" if finding["fatal"] else "note"
        out.print(f"{word}: {finding['node']}: {finding['problem']}; {finding['fix']}", soft_wrap=True, markup=False)
    if "placement" in report:
        shown = ", ".join(f"{count} {kind}" for kind, count in report["placement"].items())
        out.print(f"ONNX Runtime makes of it: {shown}", soft_wrap=True, markup=False)
