"""``edge-harmony export``: weights to the artifact that a target needs, with its manifest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_harmony.backends.base import DEFAULT_BACKEND, Backend, ExportRequest, Step
from edge_harmony.backends.discovery import get_backend
from edge_harmony.backends.targets import Target, read_target
from edge_harmony.cli.console import JsonOption, WeightsOption, notes, out, print_json
from edge_harmony.errors import UsageError
from edge_harmony.export.triton import CONFIG, engine_path, repository_path, write_repository
from edge_harmony.extras import is_installed, require_torch
from edge_harmony.files.atomic import size_of
from edge_harmony.files.identity import check_outputs
from edge_harmony.files.manifest import files_of, manifest_path, read_manifest
from edge_harmony.files.resources import find_resource
from edge_harmony.models.registry import DEFAULT_MODEL, find_model

_ARTIFACT = "ARTIFACT"


def export(
    model: Annotated[str, typer.Argument(help="Network; see edge-harmony models.")],
    target: Annotated[str, typer.Option("--target", help="Name of a target, or a .toml file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the artifact.")],
    weights: WeightsOption = None,
    keep_float: Annotated[
        list[str] | None, typer.Option("--keep-float", help="Layer of an INT8 network to keep in float; repeatable.")
    ] = None,
    whole_pipeline: Annotated[
        bool, typer.Option("--whole-pipeline", help="Export the whole pipeline: 8-bit pictures in and out.")
    ] = False,
    fuse_io: Annotated[bool, typer.Option("--fuse-io", hidden=True)] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the steps, and do nothing.")] = False,
    json: JsonOption = False,
) -> None:
    """Export a network for a target."""
    if fuse_io:
        notes.print("--fuse-io is now --whole-pipeline; the old name goes in 0.4", soft_wrap=True)
        whole_pipeline = True
    entry = find_model(model)
    spec = read_target(target)
    backend = get_backend(spec.backend)
    request = spec.request(entry.name, keep_float=keep_float or (), whole_pipeline=whole_pipeline)
    if spec.triton is not None and whole_pipeline:
        raise UsageError("a model repository holds a network, no whole pipeline", "leave --whole-pipeline out")
    steps = backend.steps(request)
    where, command = _afterwards(backend, spec, target, request, weights, steps, output)
    if dry_run:
        if is_installed("torch"):
            _refuse_early(request, weights)
        if json:
            limits = {"min_psnr": spec.accuracy.min_psnr, "max_p90_ms": spec.latency.max_p90_ms}
            plan = {"model": entry.name, "target": target, "device": spec.device, "runtime": spec.runtime.name}
            described = [asdict(step) for step in _with_repository(spec, steps)]
            steps_then = {"steps": described, "then": {"where": where, "command": command}}
            print_json(plan | steps_then | {"limits": limits})
            return
        height, width = request.working_size
        _say(f"{entry.name} in {spec.precision} for {spec.device}, {spec.runtime.name}, at {width}x{height}")
        planned = _with_repository(spec, steps)
        for number, step in enumerate(planned, 1):
            _say(f"{number}. {step.does}: {output / step.makes}")
            if step.missing:
                _say(f"   not here: {step.missing}; {step.fix}")
        if steps:
            command = command.replace(_ARTIFACT, str(output / steps[-1].makes))
        else:
            _say(f"the {backend.name} backend does not say how it builds")
        _say(f"{len(planned) + 1}. {where}: {command}")
        _say(f"budget: at least {spec.accuracy.min_psnr:g} dB, at most {spec.latency.max_p90_ms:g} ms (p90)")
        return
    require_torch()
    from edge_harmony.models.weights_file import resolve_weights

    source = resolve_weights(entry.name, weights)
    files = [output / step.makes for step in backend.steps(request)]
    check_outputs([file for path in files for file in files_of(path)], [source, find_resource("targets", target)])
    path = backend.build(request, source, output)
    left = backend.remaining(request, path)
    served = None
    if spec.triton is not None:
        onnx, built = files[0], None if left else path
        served = write_repository(output, onnx, built, read_manifest(built or onnx), spec.backend, spec.triton)
    if json:
        made: dict[str, Any] = {"artifact": str(path), "manifest": str(manifest_path(path)), "bytes": size_of(path)}
        if served:
            made["repository"] = str(served.parent)
        print_json(made | {"remaining": asdict(left) if left else None})
        return
    if left is not None:
        _say(f"{path} ({size_of(path) / 1024:.0f} KiB) written; {left.missing}, so this is left: {left.does}")
        _say(f"copy it and its .json to the device, and there: {left.fix}")
        if served:
            _say(f"then copy the engine to {engine_path(served, spec.backend)}")
            _say(f"serve: tritonserver --model-repository={served.parent}")
        return
    _say(f"{path} ({size_of(path) / 1024:.0f} KiB)")
    elsewhere = "" if where == "here" else f", {where}"
    _say(f"next{elsewhere}: {command.replace(_ARTIFACT, str(path))}")
    if served:
        _say(f"serve: tritonserver --model-repository={served.parent}")


def _with_repository(spec: Target, steps: list[Step]) -> list[Step]:
    """The steps of a plan, with that of the model repository if the target asks for one."""
    if spec.triton is None:
        return steps
    makes = repository_path(Path(), steps[0].makes) / CONFIG
    return [*steps, Step("write the model repository for Triton", makes.as_posix())]


def _refuse_early(request: ExportRequest, weights: Path | None) -> None:
    """Raise the error that the export would end in because of its weights, so that a plan can be carried out."""
    from edge_harmony.export.prepare import check_exportable
    from edge_harmony.models.weights_file import resolve_weights

    source = resolve_weights(request.model, weights)
    check_exportable(
        request.model, source, request.precision, request.keep_float, whole_pipeline=request.whole_pipeline
    )


def _afterwards(
    backend: Backend,
    spec: Target,
    target: str,
    request: ExportRequest,
    weights: Path | None,
    steps: list[Step],
    output: Path,
) -> tuple[str, str]:
    """The next step with the artifact: where, and by which command."""
    where = "here" if backend.probe().available else backend.elsewhere
    if backend.then:
        return where, backend.then.format(folder=output, artifact=_ARTIFACT)
    chosen = f" --backend {spec.backend}" if spec.backend != DEFAULT_BACKEND else ""
    if request.whole_pipeline and backend.runs_whole_pipelines:
        return where, f"edge-harmony harmonize COMPOSITE MASK -o RESULT --artifact {_ARTIFACT}{chosen}"
    if request.whole_pipeline:
        return where, f"feed {_ARTIFACT} pictures, see docs/whole-pipeline.md"
    if where != "here" and weights is None:
        files = [step.makes for step in steps if step.makes.endswith(".onnx")]  # devices have no torch to export with
        named = [f"--model {request.model}"] if request.model != DEFAULT_MODEL else []
        onnx = [f"--onnx {name}" for name in files]
        return where, " ".join(["edge-harmony selftest --target", target, *named, *onnx])
    given = f" --weights {weights}" if weights else ""
    return where, f"edge-harmony compare {_ARTIFACT}{given}{chosen} --min-psnr {spec.accuracy.min_psnr:g}"


def _say(line: str) -> None:
    out.print(line, soft_wrap=True, markup=False, highlight=False)
