"""``edge-harmony calibrate``: activation ranges from a pinned set, so that float weights can be exported to INT8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from edge_harmony.cli.console import JsonOption, WeightsOption, out, print_json, progress_bar
from edge_harmony.data.calibration_set import CalibrationSet, read_calibration_set
from edge_harmony.extras import require_torch
from edge_harmony.files.atomic import make_folder, sha256_of
from edge_harmony.files.resources import cache_folder
from edge_harmony.models.registry import find_model
from edge_harmony.pictures.working_size import to_working_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from edge_harmony.quantization.calibrate import Histograms

WORKING_SIZE = (256, 256)
_SAVE_EVERY = 16


def calibrate(
    model: Annotated[str, typer.Argument(help="Network; see edge-harmony models.")],
    name: Annotated[str, typer.Option("--set", help="Name of a calibration set, or a .toml file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights file to write.")],
    method: Annotated[
        Literal["min-max", "percentile", "mse", "entropy"], typer.Option("--method", help="Where to cut ranges off.")
    ] = "mse",
    percentile: Annotated[float, typer.Option("--percentile", help="Of the percentile method, in per cent.")] = 99.99,
    weights: WeightsOption = None,
    data: Annotated[Path | None, typer.Option("--data", help="Root of a set that is not shipped.")] = None,
    cache: Annotated[Path | None, typer.Option("--cache", help="Folder for what was counted.")] = None,
    json: JsonOption = False,
) -> None:
    """Calibrate float weights for INT8 without training (post-training quantization).

    Ranges that the weights hold already are replaced. What was counted is kept per weights and set: another method
    costs nothing, and a stopped run goes on.
    """
    require_torch()
    from edge_harmony.models.layers.conv_unit import fold_norms
    from edge_harmony.models.weights_file import read_weights, resolve_weights, restore, save_weights
    from edge_harmony.quantization.calibrate import collect, load_histograms, save_histograms, set_ranges
    from edge_harmony.quantization.prepare import prepare_qat

    chosen = read_calibration_set(name)
    root = chosen.root(data)
    source = resolve_weights(find_model(model).name, weights)
    stored = read_weights(source)
    network = prepare_qat(fold_norms(restore(model, stored)))
    chosen.verify(root)
    key = f"{sha256_of(source)}-{chosen.sha256}-{WORKING_SIZE[0]}x{WORKING_SIZE[1]}"
    kept = make_folder(cache or cache_folder() / "calibration") / f"{key[:16]}-{chosen.sha256[:16]}.npz"
    histograms, seen = load_histograms(kept, key)
    total = len(chosen.files)
    with progress_bar("calibrating", total) as advance:
        for _ in range(seen):
            advance()
        if seen < total:
            save = _saver(lambda counted, done: save_histograms(kept, counted, key, done), seen, total, advance)
            histograms = collect(network, _inputs(chosen, root, seen), histograms, save)
    scales = set_ranges(network, histograms, method, percentile)
    make_folder(output.parent)
    save_weights(output, network, name=model, options=stored.options, recipe_sha256=stored.recipe_sha256)
    if json:
        print_json(
            {"weights": str(output), "model": model, "set": name, "set_sha256": chosen.sha256, "pictures": total}
            | {"method": method, "scales": scales}
        )
        return
    table = Table(title=f"{model}: ranges by {method} on {total} pictures of {name}")
    for heading in ("point", "largest seen", "range"):
        table.add_column(heading, justify="left" if heading == "point" else "right")
    for point, scale in scales.items():
        table.add_row(point, f"{histograms[point].largest:.4g}", f"{127 * scale:.4g}")
    out.print(table)
    out.print(
        f"next: edge-harmony export {model} --weights {output} --target cpu-onnxruntime-int8 -o out", soft_wrap=True
    )


def _inputs(chosen: CalibrationSet, root: Path, start: int) -> Iterator[tuple[Tensor, Tensor]]:
    import torch

    for _, composite, mask in chosen.pictures(root, start):
        planes, small_mask = to_working_size(composite, mask, WORKING_SIZE)
        yield torch.from_numpy(planes), torch.from_numpy(small_mask)


def _saver(
    save: Callable[[Histograms, int], None], seen: int, total: int, advance: Callable[[], None]
) -> Callable[[Histograms], None]:
    """Advance the bar with every picture, and save now and then and at the end."""
    done = seen

    def after(histograms: Histograms) -> None:
        nonlocal done
        done += 1
        advance()
        if done % _SAVE_EVERY == 0 or done == total:
            save(histograms, done)

    return after
