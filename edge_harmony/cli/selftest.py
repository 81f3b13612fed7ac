"""``edge-harmony selftest``: check that a backend builds, runs and agrees with the reference on this device."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from edge_harmony.backends.targets import read_target
from edge_harmony.cli.console import JsonOption, ModelOption, PrecisionOption, notes, out, print_json
from edge_harmony.errors import UsageError
from edge_harmony.files.atomic import write_json
from edge_harmony.files.identity import refuse_overwriting
from edge_harmony.files.manifest import files_of
from edge_harmony.machine.selftest import run_selftest


def selftest(
    backend: Annotated[str | None, typer.Option("--backend", help="Backend to test: tensorrt, openvino, ...")] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Target to test instead, with its limits of accuracy and latency.")
    ] = None,
    model: ModelOption = "edge-s",
    precision: PrecisionOption = "int8",
    onnx: Annotated[Path | None, typer.Option("--onnx", help="Exported file to build from, without torch.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Report; by default selftest-BACKEND.json here.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Build, load, run, compare and time a network on this device, and write a report that you can send."""
    if (backend is None) == (target is None):
        raise UsageError("name a --backend or a --target, and not both", "edge-harmony doctor lists the backends")
    spec = read_target(target) if target else None
    backend, precision = (spec.backend, spec.precision) if spec else (str(backend), precision)
    path = output or Path(f"selftest-{backend}.json")
    refuse_overwriting([path], files_of(onnx))
    with tempfile.TemporaryDirectory() as folder:
        report = run_selftest(
            backend,
            model,
            precision,
            Path(folder),
            onnx=onnx,
            target=spec,
            tell=lambda line: notes.print(line, soft_wrap=True, markup=False, highlight=False),
        )
    write_json(path, report)
    if json:
        print_json(report)
    else:
        for step in report["steps"]:
            facts = ", ".join(f"{k} {v}" for k, v in step.items() if k not in ("name", "ok", "seconds", "artifact"))
            line = f"{step['name']}: {'ok' if step['ok'] else 'FAILED'}{'; ' if facts else ''}{facts}"
            out.print(line, soft_wrap=True, markup=False, highlight=False)
        out.print(f"{'passed' if report['passed'] else 'failed'}; report: {path}", soft_wrap=True, markup=False)
    raise typer.Exit(report["exit_code"])
