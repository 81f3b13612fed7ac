"""``edge-harmony evaluate``: quality over a data set of the iHarmony4 layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from edge_harmony.backends.base import LoadRequest, get_backend
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
from edge_harmony.evaluation import evaluate as evaluate_runner
from edge_harmony.harmonizer import DEFAULT_BACKEND, DEFAULT_PRECISION
from edge_harmony.models.registry import DEFAULT_MODEL


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Root of the data set.")],
    split: Annotated[Literal["train", "test"], typer.Option("--split", help="Which lists.")] = "test",
    model: ModelOption = DEFAULT_MODEL,
    backend: BackendOption = DEFAULT_BACKEND,
    precision: PrecisionOption = DEFAULT_PRECISION,
    artifact: ArtifactOption = None,
    weights: WeightsOption = None,
    threads: ThreadsOption = 0,
    device: DeviceOption = "auto",
    limit: LimitOption = 0,
    json: JsonOption = False,
) -> None:
    """Score a network beside the unharmonized composite, at native size."""
    samples = read_split(data, split)
    samples = samples[:limit] if limit else samples
    request = LoadRequest(model, precision, artifact, weights, threads, device).resolved()
    runner = get_backend(backend).load(request)
    try:
        with progress_bar("evaluating", len(samples)) as advance:
            result = evaluate_runner(runner, samples, advance)
    finally:
        runner.close()
    result |= {"model": request.model, "backend": backend, "precision": request.precision, "sha256": runner.sha256}
    if json:
        print_json(result)
        return
    table = Table(
        title=f"{request.model} {request.precision} on {backend}, {len(samples)} pictures of {data} ({split})"
    )
    for heading in ("", "PSNR dB", "MSE", "fMSE", "fPSNR dB", "SSIM"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = [("composite", result["composite"]), (request.model, result)]
    for part in result["by_foreground_ratio"]:
        label = f"foreground {100 * part['low']:.0f}-{100 * part['high']:.0f} % ({part['images']})"
        rows += [(f"{label}, composite", part["composite"]), (f"{label}, {request.model}", part)]
    for label, row in rows:
        keys = (("psnr", 2), ("mse", 2), ("fmse", 2), ("fpsnr", 2), ("ssim", 4))
        table.add_row(label, *(number(row[key], digits) for key, digits in keys))
    out.print(table)
