"""``edge-harmony evaluate``: quality over a data set of the iHarmony4 layout."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Column, Table

from edge_harmony.backends.base import DEFAULT_PRECISION, LoadRequest
from edge_harmony.backends.discovery import load_request
from edge_harmony.cli.console import (
    ArtifactOption,
    BackendOption,
    DeviceOption,
    JsonOption,
    LimitOption,
    ModelOption,
    PrecisionOption,
    ThreadsOption,
    WeightsOption,
    number,
    out,
    print_json,
    progress_bar,
)
from edge_harmony.data.iharmony4 import read_split
from edge_harmony.files.atomic import atomic_write
from edge_harmony.files.identity import check_outputs
from edge_harmony.files.manifest import files_of
from edge_harmony.files.stderr import silent_libraries
from edge_harmony.models.registry import DEFAULT_MODEL
from edge_harmony.pictures.encode import check_writable, write_picture
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.quality.evaluation import as_csv, score_samples, summarize, worst_sheet
from edge_harmony.quality.harm import harm_rows
from edge_harmony.quality.preparation import Preparation
from edge_harmony.quality.protocols import NATIVE, PROTOCOLS, find_protocol


@silent_libraries()
def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Root of the data set.")],
    split: Annotated[Literal["train", "test"], typer.Option("--split", help="Split to use.")] = "test",
    model: ModelOption = DEFAULT_MODEL,
    backend: BackendOption = None,
    precision: PrecisionOption = DEFAULT_PRECISION,
    artifact: ArtifactOption = None,
    weights: WeightsOption = None,
    threads: ThreadsOption = 0,
    device: DeviceOption = "auto",
    protocol: Annotated[str, typer.Option("--protocol", help=f"One of: {', '.join(PROTOCOLS)}.")] = NATIVE.name,
    sealed: Annotated[
        int, typer.Option("--sealed", help="Shrink masks by this many pixels and fill the rim; usually 2.")
    ] = 0,
    moved: Annotated[bool, typer.Option("--moved", help="Paste objects beside their old places.")] = False,
    relit: Annotated[bool, typer.Option("--relit", help="Replace the composites by relit real foregrounds.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write one line per picture to this file.")] = None,
    worst: Annotated[
        Path | None, typer.Option("--worst", help="Write a sheet of the worst pictures to this file.")
    ] = None,
    worst_count: Annotated[
        int, typer.Option("--worst-count", min=1, max=200, help="Number of pictures on the sheet.")
    ] = 12,
    limit: LimitOption = 0,
    json: JsonOption = False,
) -> None:
    """Score a network and, for comparison, the unharmonized composite."""
    rules = find_protocol(protocol)
    preparation = Preparation(sealed, moved, relit)
    if csv is not None:
        check_writable(csv, (".csv",))
    if worst is not None:
        check_writable(worst)
    samples = read_split(data, split)
    of_samples = (path for sample in samples for path in (sample.composite, sample.mask, sample.real))
    check_outputs([csv, worst], [*of_samples, weights, *files_of(artifact)])
    samples = samples[:limit] if limit else samples
    named = LoadRequest(model, precision, artifact, weights, threads, device, backend=backend).resolved()
    with load_request(named) as runner:
        harmonize = partial(harmonize_pixels, runner)
        with progress_bar("evaluating", len(samples)) as advance:
            rows = score_samples(harmonize, samples, advance, rules, preparation)
        if csv is not None:
            atomic_write(csv, as_csv(rows))
        if worst is not None:
            write_picture(worst, worst_sheet(harmonize, rows, worst_count, rules, preparation))
    left_out = len(samples) - len(rows)
    result = summarize(rows) | {"protocol": rules.name, "preparation": preparation.record(left_out)}
    result |= {"model": named.model, "backend": named.backend, "precision": named.precision, "sha256": runner.sha256}
    if json:
        print_json(result)
        return
    table = Table(
        title=f"{named.model} {named.precision} on {named.backend}, {len(rows)} pictures of {data} ({split}), "
        f"{preparation.label}, {left_out} left out; protocol {rules.name}: {rules.summary}"
    )
    for heading in ("", "PSNR dB", "MSE", "fMSE", "fPSNR dB", "SSIM", "fSSIM"):
        table.add_column(heading, justify="left" if not heading else "right")
    lines = [("composite", result["composite"]), (named.model, result)]
    for part in result["by_foreground_ratio"]:
        label = f"foreground {100 * part['low']:.0f}-{100 * part['high']:.0f} % ({part['images']})"
        lines += [(f"{label}, composite", part["composite"]), (f"{label}, {named.model}", part)]
    for label, row in lines:
        keys = (("psnr", 2), ("mse", 2), ("fmse", 2), ("fpsnr", 2), ("ssim", 4), ("fssim", 4))
        table.add_row(label, *(number(row[key], digits) for key, digits in keys))
    out.print(table)
    out.print(harm_table(result["harm"]))


def harm_table(harm: dict[str, Any]) -> Table:
    """A table of harm, with a line for each measure."""
    table = Table("harm", Column("", justify="right"))
    for row in harm_rows(harm):
        table.add_row(*row)
    return table
