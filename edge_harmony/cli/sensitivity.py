"""``edge-harmony sensitivity``: which layers lose quality in 8 bits, and the cheapest ones to keep in float."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edge_harmony.cli.console import JsonOption, WeightsOption, number, out, print_json, rate_bar
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.extras import require_torch
from edge_harmony.files.atomic import write_json
from edge_harmony.files.identity import check_outputs
from edge_harmony.files.resources import find_resource
from edge_harmony.files.stderr import silent_libraries
from edge_harmony.pictures.encode import check_writable


@silent_libraries()
def sensitivity(
    model: Annotated[str, typer.Argument(help="Network; see edge-harmony models.")],
    name: Annotated[str, typer.Option("--set", help="Pictures: name of a calibration set, or a .toml file.")],
    min_psnr: Annotated[
        float, typer.Option("--min-psnr", help="PSNR in dB against the float network that the proposal must reach.")
    ] = 50.0,
    weights: WeightsOption = None,
    data: Annotated[Path | None, typer.Option("--data", help="Root of a set that is not shipped.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report as JSON.")] = None,
    json: JsonOption = False,
) -> None:
    """Quantize one layer at a time, rank the layers, and propose which to keep in float.

    The weights need activation ranges: from a quantized stage of training, or from edge-harmony calibrate.
    """
    require_torch()
    from edge_harmony.quantization.sensitivity import analyse_weights

    if output is not None:
        check_writable(output, (".json",))
    chosen = read_calibration_set(name)
    root, count = chosen.root(data), len(chosen.files)
    check_outputs([output], [weights, find_resource("sets", name), *chosen.paths(root)])
    with rate_bar("quantizing one layer at a time", "layers") as (started, advance):
        ranked, proposal = analyse_weights(model, weights, chosen, root, min_psnr, started=started, advance=advance)
    report = {
        "model": model,
        "set": name,
        "pictures": count,
        "min_psnr": min_psnr,
        "all_quantized_psnr": proposal.all_quantized,
        "keep_float": list(proposal.keep),
        "psnr": proposal.psnr,
        "float_share_of_flops": proposal.flops,
        "layers": [{"name": layer.name, "psnr": layer.psnr, "flops": layer.flops} for layer in ranked],
    }
    if output is not None:
        write_json(output, report)
    if json:
        print_json(report)
        return
    table = Table(title=f"{model}: one layer in 8 bits at a time, {count} pictures of {name}")
    for heading in ("layer", "dB against float", "MFLOP"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for layer in ranked:
        table.add_row(layer.name, number(layer.psnr, 1), number(layer.flops / 1e6, 1))
    out.print(table)
    out.print(f"all layers in 8 bits: {number(proposal.all_quantized)} dB", soft_wrap=True)
    if not proposal.keep:
        out.print(f"nothing needs to stay float for {min_psnr:g} dB", soft_wrap=True)
        return
    reached = "reaches" if proposal.psnr >= min_psnr else "falls short of the limit with"
    out.print(
        f"keeping {len(proposal.keep)} layers in float {reached} {number(proposal.psnr)} dB, with "
        f"{100 * proposal.flops:.0f} % of the operations: {', '.join(proposal.keep)}",
        soft_wrap=True,
    )
    options = " ".join(f"--keep-float {layer}" for layer in proposal.keep)
    out.print(f"next: edge-harmony export {model} --target cpu-onnxruntime-int8 {options} -o out", soft_wrap=True)
