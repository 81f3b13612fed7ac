"""``edge-harmony compare``: parity of an artifact with the PyTorch reference, on real pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edge_harmony.backends.base import REFERENCE_BACKEND, LoadRequest
from edge_harmony.backends.discovery import load_request, load_runner
from edge_harmony.cli.console import (
    BackendOption,
    JsonOption,
    LimitOption,
    ThreadsOption,
    number,
    out,
    print_json,
    progress_bar,
)
from edge_harmony.data.iharmony4 import read_split
from edge_harmony.errors import AccuracyError, ArtifactError
from edge_harmony.files.manifest import read_manifest
from edge_harmony.files.stderr import silent_libraries
from edge_harmony.quality.parity import NamedPair
from edge_harmony.quality.parity import compare as compare_runners
from edge_harmony.samples import sample_pictures


@silent_libraries()
def compare(
    artifact: Annotated[Path, typer.Argument(help="Exported file, with its manifest beside it.")],
    data: Annotated[Path | None, typer.Option(help="Root in iHarmony4 layout; default: the shipped samples.")] = None,
    weights: Annotated[Path | None, typer.Option(help="The artifact's weights; default: the shipped ones.")] = None,
    reference: Annotated[
        str, typer.Option(help="Precision of the reference: fp32, or int8 (fake quantized).")
    ] = "fp32",
    min_psnr: Annotated[float, typer.Option(help="Exit with 4 below this mean PSNR in dB; 0: no limit.")] = 0.0,
    backend: BackendOption = None,
    threads: ThreadsOption = 0,
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """Compare the results of an artifact with those of the PyTorch reference with its weights."""
    manifest = read_manifest(artifact)
    with load_runner(manifest.model, backend=REFERENCE_BACKEND, precision=reference, weights=weights) as theirs:
        if theirs.sha256 != manifest.weights_sha256:
            raise ArtifactError(f"{artifact} was not made from these weights", "pass its weights with --weights FILE")
        request = LoadRequest(
            manifest.model, manifest.precision, artifact, threads=threads, backend=backend, manifest=manifest
        )
        with load_request(request) as ours:
            samples = list(_from_data(data, limit)) if data else list(sample_pictures())
            with progress_bar("comparing", len(samples)) as advance:
                result = compare_runners(ours, theirs, samples, advance=advance)
    result |= {
        "artifact": str(artifact),
        "sha256": manifest.file_sha256,
        "reference": f"{REFERENCE_BACKEND} {reference}",
    }
    if json:
        print_json(result)
    else:
        table = Table(title=f"{artifact.name} against {REFERENCE_BACKEND} {reference}", show_header=False)
        table.add_row("pictures", str(result["images"]))
        table.add_row("PSNR of the foreground, mean", f"{number(result['psnr'])} dB")
        table.add_row(
            "PSNR of the foreground, worst", f"{number(result['psnr_min'])} dB ({result['worst'][0]['name']})"
        )
        table.add_row("largest difference", f"{result['max_level_difference']} of 255")
        table.add_row("largest error of the raw output", f"{result['max_output_error']:.2e}")
        out.print(table)
    if min_psnr and (result["psnr"] is None or result["psnr"] < min_psnr):
        raise AccuracyError(
            f"{artifact} reaches {number(result['psnr'])} dB against the reference, below {min_psnr:g} dB",
            "train longer with quantization, or export fp32",
        )


def _from_data(root: Path, limit: int) -> Iterator[NamedPair]:
    triplets = read_split(root, "test")
    for triplet in triplets[:limit] if limit else triplets:
        composite, mask, _ = triplet.load()
        yield triplet.name, composite, mask
