"""``edge-harmony calibrate``: activation ranges from a pinned set, so that float weights can be exported to INT8."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from edge_harmony.cli.console import JsonOption, WeightsOption, out, print_json, progress_bar
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.extras import require_torch
from edge_harmony.files.identity import check_outputs
from edge_harmony.files.resources import find_resource
from edge_harmony.files.stderr import silent_libraries


@silent_libraries()
def calibrate(
    model: Annotated[str, typer.Argument(help="Network; see edge-harmony models.")],
    name: Annotated[str, typer.Option("--set", help="Name of a calibration set, or a .toml file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights file to write.")],
    method: Annotated[
        Literal["min-max", "percentile", "mse", "entropy"], typer.Option("--method", help="How to choose the ranges.")
    ] = "mse",
    percentile: Annotated[float, typer.Option("--percentile", help="For the method percentile, in per cent.")] = 99.99,
    equal_channels: Annotated[
        bool, typer.Option("--equal-channels", help="First make ranges equal before depthwise convolutions.")
    ] = False,
    weights: WeightsOption = None,
    data: Annotated[Path | None, typer.Option("--data", help="Root of a set that is not shipped.")] = None,
    cache: Annotated[Path | None, typer.Option("--cache", help="Folder for the histograms.")] = None,
    json: JsonOption = False,
) -> None:
    """Calibrate float weights for INT8 without training (post-training quantization).

    Existing ranges of the weights are replaced. The histograms are cached per weights and set: another method costs
    nothing, and a stopped run can go on.
    """
    require_torch()
    from edge_harmony.quantization.calibrate import calibrate_weights

    chosen = read_calibration_set(name)
    check_outputs([output, cache], [find_resource("sets", name)])
    root, total = chosen.root(data), len(chosen.files)
    choice: dict[str, Any] = {"method": method, "percentile": percentile, "equal_channels": equal_channels}
    with progress_bar("calibrating", total) as advance:
        found = calibrate_weights(model, weights, chosen, root, output, **choice, cache=cache, advance=advance)
    if json:
        print_json(
            {"weights": str(output), "model": model, "set": name, "set_sha256": chosen.sha256, "pictures": total}
            | {"method": method, "equal_channels": equal_channels, "scales": found.scales}
        )
        return
    table = Table(title=f"{model}: ranges by {method} on {total} pictures of {name}")
    for heading in ("point", "largest seen", "range"):
        table.add_column(heading, justify="left" if heading == "point" else "right")
    for point, scale in found.scales.items():
        table.add_row(point, f"{found.largest[point]:.4g}", f"{127 * scale:.4g}")
    out.print(table)
    out.print(
        f"next: edge-harmony export {model} --weights {output} --target cpu-onnxruntime-int8 -o out", soft_wrap=True
    )
