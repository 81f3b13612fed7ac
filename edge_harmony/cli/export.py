"""``edge-harmony export``: weights to the artifact that a target needs, with its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_harmony.artifact import manifest_path, size_of
from edge_harmony.backends.base import get_backend
from edge_harmony.cli.console import JsonOption, WeightsOption, out, print_json
from edge_harmony.errors import UsageError
from edge_harmony.models.registry import find_model, require_torch
from edge_harmony.targets import read_target


def export(
    model: Annotated[str, typer.Argument(help="Network; see edge-harmony models.")],
    target: Annotated[str, typer.Option("--target", help="Name of a target, or a .toml file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the artifact.")],
    weights: WeightsOption = None,
    keep_float: Annotated[
        list[str] | None, typer.Option("--keep-float", help="Layer of an INT8 network that stays float; repeatable.")
    ] = None,
    fuse_io: Annotated[
        bool, typer.Option("--fuse-io", help="Export the whole pipeline: 8-bit pictures of any size in and out.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Export a network for a target."""
    require_torch()
    from edge_harmony.models.state import resolve_weights

    entry = find_model(model)
    spec = read_target(target)
    if fuse_io and spec.device == "apple":
        raise UsageError("Core ML packages take one size: their input and output are not fused", "leave --fuse-io out")
    backend = get_backend(spec.backend)
    own: dict[str, dict[str, Any]] = {"cuda": {"engine": spec.engine}, "apple": spec.package.model_dump()}
    path = backend.build(
        resolve_weights(entry.name, weights),
        output,
        model=entry.name,
        precision=spec.precision,
        size=(spec.height, spec.width),
        opset=spec.opset,
        keep_float=tuple(keep_float or ()),
        **({"fuse_io": True} if fuse_io else {}),
        **own.get(spec.device, {}),
    )
    if json:
        print_json({"artifact": str(path), "manifest": str(manifest_path(path)), "bytes": size_of(path)})
        return
    out.print(f"{path} ({size_of(path) / 1024:.0f} KiB)", soft_wrap=True)
    if fuse_io:
        return
    chosen = f" --weights {weights}" if weights else ""
    chosen += f" --backend {spec.backend}" if spec.backend != "onnxruntime" else ""
    out.print(
        f"next: edge-harmony compare {path}{chosen} --min-psnr {spec.accuracy.min_psnr:g}", soft_wrap=True, markup=False
    )
