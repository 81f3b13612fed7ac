"""``edge-harmony selftest``: check that a backend builds, runs and agrees with the reference on this device."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_harmony.backends.targets import read_target
from edge_harmony.cli.console import JsonOption, ModelOption, PrecisionOption, notes, out, print_json
from edge_harmony.errors import UsageError
from edge_harmony.files.atomic import make_place_for, write_json
from edge_harmony.files.identity import check_outputs
from edge_harmony.files.manifest import files_of
from edge_harmony.files.resources import find_resource
from edge_harmony.machine.selftest import Candidate, run_selftest


def selftest(
    backend: Annotated[
        list[str] | None, typer.Option("--backend", help="Backend to test: tensorrt, openvino, ...; may be repeated.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Target to test, with its limits of accuracy and latency; may be repeated."),
    ] = None,
    artifact: Annotated[
        list[Path] | None,
        typer.Option("--artifact", help="Exported file to test as it is, without torch; may be repeated."),
    ] = None,
    model: ModelOption = "edge-s",
    precision: PrecisionOption = "int8",
    onnx: Annotated[Path | None, typer.Option("--onnx", help="Exported file to build from, without torch.")] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=0, help="CPU threads; by default 1 where several are tested.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Report; by default selftest-BACKEND.json here.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Build, load, run, compare and time networks on this device, and write a report that you can send."""
    specs = [read_target(name) for name in target or ()]
    candidates = [Candidate.of_artifact(path) for path in artifact or ()]
    candidates += [Candidate(spec.backend, model, spec.precision, spec, onnx) for spec in specs]
    candidates += [Candidate(name, model, precision, onnx=onnx) for name in backend or ()]
    if not candidates:
        raise UsageError("name a --backend, a --target or an --artifact", "edge-harmony doctor lists the backends")
    path = output or Path(
        "-".join(["selftest", *dict.fromkeys(candidate.backend for candidate in candidates)]) + ".json"
    )
    files = [file for each in (onnx, *(artifact or ())) for file in files_of(each)]
    check_outputs([path], [*(find_resource("targets", name) for name in target or ()), *files])
    make_place_for(path)
    with tempfile.TemporaryDirectory() as folder:
        report = run_selftest(
            candidates,
            Path(folder),
            threads=int(len(candidates) > 1) if threads is None else threads,
            tell=lambda line: notes.print(line, soft_wrap=True, markup=False, highlight=False),
        )
    write_json(path, report)
    if json:
        print_json(report)
    else:
        for test in report.get("tests", [report]):
            _print_test(test)
        out.print(f"{'passed' if report['passed'] else 'failed'}; report: {path}", soft_wrap=True, markup=False)
    raise typer.Exit(report["exit_code"])


def _print_test(test: dict[str, Any]) -> None:
    out.print(
        f"{test['model']} {test['precision']} in {test['backend']}", soft_wrap=True, markup=False, highlight=False
    )
    for step in test["steps"]:
        facts = ", ".join(f"{k} {v}" for k, v in step.items() if k not in ("name", "ok", "seconds", "artifact"))
        line = f"  {step['name']}: {'ok' if step['ok'] else 'FAILED'}{'; ' if facts else ''}{facts}"
        out.print(line, soft_wrap=True, markup=False, highlight=False)
