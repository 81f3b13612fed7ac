"""``edge-harmony import``: public checkpoints of HDNet, or of EfficientNet-lite0 as an encoder, converted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge_harmony.cli.console import JsonOption, out, print_json
from edge_harmony.extras import require_torch
from edge_harmony.files.atomic import make_place_for


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth/.pt, .safetensors or .npz file with a state dict.")],
    name: Annotated[
        Literal["hdnet", "hdnet-lite", "edge-s", "edge-m", "edge-l"],
        typer.Option("--as", help="Network to import as; the edge networks take EfficientNet-lite0."),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: <name>.safetensors.")] = None,
    variant: Annotated[
        Literal["official", "default"],
        typer.Option(help="official: the public code's arithmetic; default: the paper's, without the code's defects."),
    ] = "official",
    json: JsonOption = False,
) -> None:
    """Convert a public checkpoint of HDNet, or of EfficientNet-lite0, the encoder of edge-s; only tensors are read."""
    require_torch()
    path = output or Path(f"{name}.safetensors")
    make_place_for(path)
    if name.startswith("edge-"):
        _import_encoder(checkpoint, path, name, json=json)
        return
    from edge_harmony.models.import_hdnet import import_public_checkpoint

    parameters = import_public_checkpoint(checkpoint, path, name, variant)
    if json:
        print_json({"weights": str(path), "model": name, "variant": variant, "parameters": parameters})
        return
    out.print(f"{path}: {name} ({variant}), {parameters:,} parameters", soft_wrap=True)
    out.print(
        f"next: edge-harmony evaluate --data ROOT --model {name} --weights {path} --backend pytorch --precision fp32",
        soft_wrap=True,
    )


def _import_encoder(checkpoint: Path, path: Path, name: str, *, json: bool) -> None:
    from edge_harmony.models.import_efficientnet import import_lite0

    parameters = import_lite0(checkpoint, path, name)
    if json:
        print_json({"weights": str(path), "model": name, "variant": "encoder", "parameters": parameters})
        return
    out.print(f"{path}: {name}'s encoder, {parameters:,} values; its decoder is untrained", soft_wrap=True)
    out.print(f"next: edge-harmony train RECIPE --data ROOT --init {path} -o RUN", soft_wrap=True)
