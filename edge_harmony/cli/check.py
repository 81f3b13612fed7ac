"""``edge-harmony check``: which layers a target computes in integers, which not and why, and what it will refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.table import Table

from edge_harmony.backends.base import CheckRequest, LoadRequest
from edge_harmony.backends.discovery import backend_names, get_backend
from edge_harmony.backends.targets import read_target
from edge_harmony.cli.console import JsonOption, out, print_json
from edge_harmony.errors import CapabilityError, name_some
from edge_harmony.extras import require_onnx
from edge_harmony.inspection.findings import Arithmetic


def check(
    model: Annotated[Path, typer.Argument(help="An ONNX file, or an artifact of the target's backend.")],
    target: Annotated[
        str | None,
        typer.Option(
            "--target", help="A target, a .toml file, or a backend by name; default: the backend of the artifact."
        ),
    ] = None,
    placement: Annotated[
        bool,
        typer.Option("--placement", help="Also load it in the target's runtime, and count the operators after fusion."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Examine a file layer by layer before it is built for a target, or runs there."""
    if target is None:
        target = str(LoadRequest("", "", artifact=model).resolved().backend)
    if target in backend_names():
        backend, request = get_backend(target), CheckRequest(model)
    else:
        spec = read_target(target)
        backend = get_backend(spec.backend)
        request = CheckRequest(model, spec.precision, spec.runtime.opset, spec.options)
    if backend.reads_onnx:
        require_onnx("check")
    found = backend.inspect(request)
    layers, findings = found.layers, found.findings
    report: dict[str, Any] = {
        "model": str(model),
        "target": target,
        "runtime": backend.name,
        "opset": found.opset,
        "counts": {kind: sum(layer.precision == kind for layer in layers) for kind in get_args(Arithmetic)},
        "layers": [vars(layer) for layer in layers],
        "reformats": found.reformats,
        "islands": found.islands,
        "findings": [vars(finding) for finding in findings],
        "unknown": found.unknown,
    }
    if placement:
        report["placement"] = backend.placement(model)
    fatal = [finding for finding in findings if finding.fatal]
    if json:
        print_json(report)
    else:
        _show(report)
    if fatal:
        raise CapabilityError(f"{backend.name} will refuse {model} for {len(fatal)} reasons", fatal[0].fix)


def _show(report: dict[str, Any]) -> None:
    table = Table(title=f"{Path(report['model']).name} on {report['runtime']}")
    for heading in ("layer", "operators", "computes in", "why not in 8 bits"):
        table.add_column(heading)
    for layer in report["layers"]:
        table.add_row(layer["name"], layer["kind"], layer["precision"], layer["reason"])
    out.print(table)
    out.print(", ".join(f"{count} {kind}" for kind, count in report["counts"].items() if count), soft_wrap=True)
    if report["reformats"] or report["islands"]:
        out.print(f"{len(report['reformats'])} reformats, {len(report['islands'])} float islands", soft_wrap=True)
    for place in report["reformats"]:
        out.print(f"reformat expected {place}", soft_wrap=True, markup=False)
    for name, operators in report["islands"].items():
        out.print(f"{name}: {name_some(operators)}", soft_wrap=True, markup=False)
    for finding in report["findings"]:
        word = "refused" if finding["fatal"] else "note"
        out.print(f"{word}: {finding['node']}: {finding['problem']}; {finding['fix']}", soft_wrap=True, markup=False)
    for question in report["unknown"]:
        out.print(f"not in the file: {question}", soft_wrap=True, markup=False)
    if "placement" in report:
        shown = ", ".join(f"{count} {kind}" for kind, count in report["placement"].items())
        out.print(f"{report['runtime']} makes of it: {shown}", soft_wrap=True, markup=False)
