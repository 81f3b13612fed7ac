"""Ship the weights of a finished run, and renew every file that is made from weights.

    make weights RUN=runs/edge-s DATA=path/to/LB-Harmony

The run's recipe becomes the shipped recipe of that name; weights, INT8 artifact with manifest, answers for the samples
and card go to ``edge_harmony/models/weights``; then its harm is measured, and the tables of the documents, README's
pictures and the quality chart are drawn. At the end it lists the steps that remain. The card's words are in
``benchmarks/cards/NAME.toml``.
Needs the extra [dev].
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from model_card import CARDS, Words, write_card
from torch.utils.flop_counter import FlopCounterMode

from edge_harmony.backends.base import DEFAULT_BACKEND, DEFAULT_PRECISION, ExportRequest
from edge_harmony.backends.discovery import get_backend
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.errors import ArtifactError, EdgeHarmonyError, UsageError
from edge_harmony.files.toml import read_toml
from edge_harmony.models.edge import EdgeNet
from edge_harmony.models.registry import DEFAULT_MODEL, find_model, weights_folder
from edge_harmony.models.tensors_file import read_texts, write_tensors
from edge_harmony.models.weights_file import read_weights, restore, write_half
from edge_harmony.quality.answers import record_answers
from edge_harmony.quantization.calibrate import calibrate_weights
from edge_harmony.training.recipe import Recipe

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "edge_harmony" / "training" / "recipes"
MEAN_SHARE = 0.5  # of the earlier weights

REMAINS = """by hand, or by a run of its own:
- edge_harmony/models/weights/{name}.md and benchmarks/cards/{name}.toml: are the known failures still these?
- sentences that name figures: README.md (the cup's error is against scikit-image's coffee.png), docs/decisions; the
  least gains in tests/acceptance/test_shipped.py
- measured with the shipped networks (again if the network's shape is new; quality in it changes either way):
  edge-harmony benchmark cpu (README's speed), other suites, benchmarks/{{latency,full_resolution,video,folders}}.py,
  engine_builds.py, packages.py, whole.py, and precision.py for edge-s; then make docs
- docs/images/demo*.jpg: EDGE_HARMONY_SCREENSHOTS=docs/images pytest tests/unit/demo/test_page.py"""


def check_figures(weights: Path, name: str) -> None:
    """Check that the registry's entry describes the network of the weights; other code builds it from the entry.

    Raises:
        UsageError: the entry differs; the message says what it must hold.
    """
    entry, content = find_model(name), read_weights(weights)
    model = entry.build(**content.options).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, 3, *entry.size), torch.rand(1, 1, *entry.size))
    parameters, flops = sum(p.numel() for p in model.parameters()), counter.get_total_flops()
    same = {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in entry.build().state_dict().items()
    }
    if not same or (parameters, flops) != (entry.parameters, entry.flops):
        raise UsageError(
            f"the registry's {name} is another network than the weights'",
            f"edit its entry in edge_harmony/models/registry.py: {parameters:_} parameters, {flops:_} flops, "
            f"options {entry.options | content.options}",
        )
    restore(name, content)


def calibrated(name: str, source: Path, folder: Path, words: Words, recipe: Recipe, data: Path) -> Path:
    """The weights with activation ranges, if the card's words say how float weights get them after training."""
    if words.ranges is None or recipe.stages[-1].quantize:
        return source
    how = words.ranges
    pictures = read_calibration_set(how.set)
    target = folder / f"calibrated-{source.name}"
    root = pictures.root(None if pictures.shipped else data)
    choice: dict[str, Any] = how.model_dump(exclude={"set"})
    calibrate_weights(name, source, pictures, root, target, **choice, cache=folder)
    return target


def mean_of(name: str, source: Path, start: Path, share: float, folder: Path) -> Path:
    """The mean of a run's weights and of earlier ones of the path that led to it, in the ranges of both, if any.

    ``share`` is that of the earlier ones, from 0 to 1. Wortsman et al., "Model soups", ICML 2022: weights of one path
    of training can be averaged, and the mean errs less often than either.

    Raises:
        UsageError: the share is not one, or their activation ranges differ, so a mean would have none that fit.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"{share:g} is no share of a mean", "give one from 0 to 1")
    content, before = read_weights(source), read_weights(start)
    if content.ranges != before.ranges:
        raise UsageError(
            f"{source} and {start} have other activation ranges",
            'a mean is of float weights, or of calibrated ones and those trained from them with scales = "kept"',
        )
    model, earlier = restore(name, content), restore(name, before)
    if isinstance(model, EdgeNet) and isinstance(earlier, EdgeNet):
        earlier.halve_distances(model.half_distances)
    mean, before_it = model.state_dict(), earlier.state_dict()
    for key, value in mean.items():
        if value.is_floating_point():
            value.lerp_(before_it[key], share)
    target = folder / "mean.safetensors"
    metadata = read_texts(source, f"the weights {source} are damaged", "train them again", ArtifactError)
    write_tensors(target, mean, metadata)
    return target


def land(
    name: str, run: Path, recipe_file: Path, data: Path, start: Path | None = None, share: float = MEAN_SHARE
) -> None:
    """Write recipe, weights, card and artifact, after the whole run is checked.

    With ``start``, the weights are the mean of the run's and of those there, see :func:`mean_of`.

    Weights are stored in 16 bits. A network that takes another one's weights, which must have landed before, gets a
    card only.
    """
    owner = find_model(name).owner
    source, summary_file = run / f"{owner}.safetensors", run / "summary.json"
    if not summary_file.is_file():
        raise UsageError(f"{run} holds no finished run: there is no summary.json", "wait for its end, or --resume it")
    summary, recipe = json.loads(summary_file.read_text()), read_toml(recipe_file, Recipe)
    words = read_toml(CARDS / f"{name}.toml", Words)
    hashes = {summary["recipe_sha256"], recipe.sha256(), read_weights(source).recipe_sha256}
    if len(hashes) > 1:
        raise UsageError(f"{source} was not made by {recipe_file}", "name the recipe of the run with RECIPE=file")
    check_figures(source, name)
    weights = weights_folder() / source.name
    if name != owner:
        if not weights.is_file() or read_weights(weights).recipe_sha256 != recipe.sha256():
            raise UsageError(f"{name} takes the weights of {owner}, and those of {run} are not there", f"land {owner}")
        write_card(name, weights, summary, recipe, words, data)
        return
    shipped = RECIPES / f"{owner}.toml"
    if not shipped.exists() or read_toml(shipped, Recipe).sha256() != recipe.sha256():
        shutil.copyfile(recipe_file, shipped)
    with tempfile.TemporaryDirectory() as folder:
        if start is not None:
            source = mean_of(name, source, start, share, Path(folder))
        write_half(calibrated(name, source, Path(folder), words, recipe, data), weights)
    if read_weights(weights).ranges:
        get_backend(DEFAULT_BACKEND).build(ExportRequest(name, DEFAULT_PRECISION), weights, weights_folder())
        record_answers(name, weights)
    write_card(name, weights, summary, recipe, words, data)


def draw(name: str, data: Path) -> None:
    """Renew harm, tables, pictures and the chart from the package's files."""
    harm = ["benchmarks/harm.py", "--data", str(data), "--networks", name, "-o", "benchmarks/results/0.1.0/harm.json"]
    subprocess.run([sys.executable, *harm], cwd=ROOT, check=True)
    subprocess.run([sys.executable, "-m", "docs.tables"], cwd=ROOT, check=True)
    subprocess.run([sys.executable, "docs/plot_pareto.py"], cwd=ROOT, check=True)
    if name == DEFAULT_MODEL:
        subprocess.run(["make", "images", f"BIN={Path(sys.executable).parent}"], cwd=ROOT, check=True)


def main() -> None:
    """Check, write, draw, and say what remains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="network of the registry")
    parser.add_argument("--run", type=Path, required=True, help="folder of the finished run")
    parser.add_argument("--recipe", type=Path, help="recipe of the run; by default recipe.toml in its folder")
    parser.add_argument(
        "--mean-with", type=Path, help="earlier weights of the path that led to the run; the mean is shipped"
    )
    parser.add_argument(
        "--mean-share", type=float, default=MEAN_SHARE, help="share of the earlier weights in the mean, 0 to 1"
    )
    parser.add_argument("--data", type=Path, required=True, help="root of LB-Harmony")
    arguments = parser.parse_args()
    try:
        recipe = arguments.recipe or arguments.run / "recipe.toml"
        land(arguments.name, arguments.run, recipe, arguments.data, arguments.mean_with, arguments.mean_share)
    except EdgeHarmonyError as error:
        sys.exit(f"error: {error}")
    draw(arguments.name, arguments.data.resolve())
    print((weights_folder() / f"{arguments.name}.md").read_text())
    print(REMAINS.format(name=arguments.name))


if __name__ == "__main__":
    main()
