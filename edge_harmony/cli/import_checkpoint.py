"""``edge-harmony import``: a checkpoint trained with the public HDNet code, converted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge_harmony.artifact import make_folder
from edge_harmony.cli.console import JsonOption, out, print_json
from edge_harmony.models.registry import require_torch


def import_checkpoint(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth/.pt, .safetensors or .npz file with a state dict.")],
    name: Annotated[Literal["hdnet", "hdnet-lite"], typer.Option("--as", help="Which network it is.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: <name>.safetensors.")] = None,
    variant: Annotated[
        Literal["official", "default"],
        typer.Option(help="official: the arithmetic it was trained with; default: the paper, defects fixed."),
    ] = "official",
    json: JsonOption = False,
) -> None:
    """Convert a public HDNet checkpoint to our weights; nothing but tensors is read from it."""
    require_torch()
    from edge_harmony.models.public_hdnet import import_public_checkpoint

    path = output or Path(f"{name}.safetensors")
    make_folder(path.parent)
    parameters = import_public_checkpoint(checkpoint, path, name, variant)
    if json:
        print_json({"weights": str(path), "model": name, "variant": variant, "parameters": parameters})
        return
    out.print(f"{path}: {name} ({variant}), {parameters:,} parameters", soft_wrap=True)
    out.print(
        f"next: edge-harmony evaluate --data ROOT --model {name} --weights {path} --backend pytorch --precision fp32",
        soft_wrap=True,
    )
