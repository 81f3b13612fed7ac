"""What reads each kind of file: the verb that a user would call, or the function behind several verbs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_harmony.errors import EdgeHarmonyError
from tests.faults import containers, offsets
from tests.faults.documents import JSON, LINES, TOML
from tests.faults.mutators import Mutator
from tests.faults.seeds import hash_again

NETWORK = ("--model", "edge-n", "--threads", "1")
UNWRITTEN = (".avif", ".heic", ".gif", ".psd", ".jp2", ".ppm")
"""Formats of pictures that are not written, or slowly."""


@dataclass(frozen=True)
class Reader:
    """What reads a kind of file.

    Attributes:
        kind: of file, and the folder of its seeds.
        share: of the campaign's inputs, relative to the others.
        read: called with the folder of the seed's copy and the mutated file; returns the exit status, or None where it
            is a function and not a verb.
    """

    kind: str
    share: int
    read: Callable[[Path, Path], int | None]


def verb(*arguments: object) -> int:
    """The exit status of the command line."""
    from edge_harmony.cli.main import main

    return main([*map(str, arguments)])


def picture(folder: Path, file: Path) -> int:
    """As the composite of one picture; the result has its format where it can be written."""
    suffix = ".png" if file.suffix in UNWRITTEN else file.suffix
    return verb("harmonize", file, folder / "mask.png", "-o", folder / "out" / f"result{suffix}", *NETWORK)


def mask(folder: Path, file: Path) -> int:
    """As the mask of one picture, resized where its size is another."""
    picture = folder / "picture.png"
    return verb("harmonize", picture, file, "-o", folder / "out" / "result.png", "--fit-mask", *NETWORK)


def cut_out(folder: Path, file: Path) -> int:
    """As a foreground with alpha on a background."""
    behind = folder / "background.png"
    return verb("harmonize", file, "--background", behind, "-o", folder / "out" / "result.png", "--fit-mask", *NETWORK)


def video(folder: Path, file: Path) -> int:
    """As a video with one mask."""
    return verb("harmonize", file, folder / "mask.png", "-o", folder / "out" / "result.mkv", *NETWORK)


def mask_video(folder: Path, file: Path) -> int:
    """As the masks of a video."""
    return verb("harmonize", folder / "video.mkv", file, "-o", folder / "out" / "result.mp4", "--fit-mask", *NETWORK)


def onnx(folder: Path, file: Path) -> int:
    """As an artifact whose manifest has the right hash: checked for a target, then run."""
    hash_again(file)
    verb("check", file, "--target", "onnxruntime", "--json")
    return harmonized_by(folder, file)


def tflite(folder: Path, file: Path) -> int:
    """As a LiteRT file whose manifest has the right hash: checked for a target, then run."""
    hash_again(file)
    verb("check", file, "--target", "litert", "--json")
    return harmonized_by(folder, file)


def manifest(folder: Path, file: Path) -> int:
    """As the manifest of an artifact."""
    return harmonized_by(folder, file.with_suffix(""))


def harmonized_by(folder: Path, artifact: Path) -> int:
    """A picture harmonized by an artifact."""
    arguments = folder / "picture.png", folder / "mask.png", "-o", folder / "out" / "result.png"
    return verb("harmonize", *arguments, "--artifact", artifact, "--threads", "1")


def weights(folder: Path, file: Path) -> int:
    """As weights of the PyTorch backend."""
    arguments = folder / "picture.png", folder / "mask.png", "-o", folder / "out" / "result.png"
    return verb("harmonize", *arguments, "--backend", "pytorch", "--precision", "int8", "--weights", file, *NETWORK)


def checkpoint(folder: Path, file: Path) -> None:
    """As a run to resume, and as weights to score."""
    from edge_harmony.files.toml import read_toml
    from edge_harmony.models.layers.conv_unit import fold_norms
    from edge_harmony.models.registry import build_model
    from edge_harmony.models.weights_file import read_weights
    from edge_harmony.quantization.prepare import prepare_qat
    from edge_harmony.training.checkpoint import read_checkpoint
    from edge_harmony.training.optimizer import make_optimizer
    from edge_harmony.training.recipe import Recipe

    with contextlib.suppress(EdgeHarmonyError):
        read_weights(file)
    recipe = read_toml(folder / "recipe.toml", Recipe)
    found = read_checkpoint(file, recipe)
    model = build_model(recipe.model.name, **recipe.model.options)
    if found.folded:
        model = prepare_qat(fold_norms(model))
    found.restore(model, make_optimizer(model, recipe.optimizer))


def public_checkpoint(folder: Path, file: Path) -> int:
    """As a checkpoint of someone else's to import."""
    return verb("import", file, "--as", "hdnet-lite", "-o", folder / "out" / "result.safetensors")


def calibration_cache(folder: Path, file: Path) -> None:
    """As the counts of an earlier calibration, which are used or made again."""
    from edge_harmony.quantization.histograms import Histogram, load_histograms

    found, _ = load_histograms(file, "key")
    for histogram in found.values():
        assert isinstance(histogram, Histogram)
        histogram.add(histogram.counts.astype("float32")[:10] * 0)
        histogram.threshold("mse")


def package(folder: Path, file: Path) -> int:
    """As a Core ML package to check."""
    return verb("check", folder / "network.mlpackage", "--target", "coreml", "--json")


def plan(folder: Path, file: Path) -> None:
    """As the manifest of a finished engine."""
    from edge_harmony.backends.tensorrt.plan import check_plan
    from tests.fakes.tensorrt import World, fake_tensorrt

    world = World()
    check_plan(file.with_suffix(""), fake_tensorrt("10.3", world), world.cuda.device())


def profile(folder: Path, file: Path) -> int:
    """As a profile of an engine to compare with another."""
    return verb("build", "--diff", file, folder / "other.json")


def recipe(folder: Path, file: Path) -> None:
    """As a recipe to train by."""
    from edge_harmony.files.toml import read_toml
    from edge_harmony.training.recipe import Recipe

    found = read_toml(file, Recipe)
    found.sha256()
    found.data.all_sources()


def target(folder: Path, file: Path) -> int:
    """As a target to export for; the steps only."""
    return verb("export", "edge-n", "--target", file, "-o", folder / "out", "--dry-run")


def calibration_set(folder: Path, file: Path) -> None:
    """As a set of calibration pictures."""
    from edge_harmony.data.calibration_set import read_calibration_set

    found = read_calibration_set(str(file))
    found.verify(found.root(None if found.shipped else folder))


def suite(folder: Path, file: Path) -> None:
    """As a suite to measure."""
    from edge_harmony.benchmark.suite import read_suite

    read_suite(str(file))


def budget(folder: Path, file: Path) -> None:
    """As limits to keep."""
    from edge_harmony.benchmark.budget import read_budget

    read_budget(str(file))


def result(folder: Path, file: Path) -> int:
    """As a result to compare with another, and on the page of several."""
    (folder / "site" / "1.0").mkdir(parents=True)
    (folder / "site" / "1.0" / "cpu.json").write_bytes(file.read_bytes())
    verb("benchmark", "--site", folder / "site", "--report", folder / "out")
    return verb("benchmark", "--compare", folder / "other.json", file)


def run_record(folder: Path, file: Path) -> int:
    """As the record of a folder run to resume."""
    out = folder / "out" / "results"
    out.mkdir()
    (out / file.name).write_bytes(file.read_bytes())
    return verb("harmonize", folder / "composites", folder / "masks", "-o", out, "--resume", "--workers", "1", *NETWORK)


def data_list(folder: Path, file: Path) -> int:
    """As the list of a data set."""
    return verb("evaluate", "--data", folder, "--csv", folder / "out" / "scores.csv", *NETWORK)


READERS = (
    Reader("picture", 24, picture),
    Reader("mask", 12, mask),
    Reader("cut-out", 3, cut_out),
    Reader("video", 10, video),
    Reader("mask-video", 3, mask_video),
    Reader("onnx", 8, onnx),
    Reader("manifest", 3, manifest),
    Reader("weights", 5, weights),
    Reader("checkpoint", 5, checkpoint),
    Reader("public-checkpoint", 4, public_checkpoint),
    Reader("calibration-cache", 3, calibration_cache),
    Reader("package", 4, package),
    Reader("plan", 2, plan),
    Reader("profile", 2, profile),
    Reader("recipe", 3, recipe),
    Reader("target", 2, target),
    Reader("calibration-set", 1, calibration_set),
    Reader("suite", 1, suite),
    Reader("budget", 1, budget),
    Reader("result", 2, result),
    Reader("run-record", 1, run_record),
    Reader("data-list", 1, data_list),
    Reader("tflite", 6, tflite),
)


def mutators_of(kind: str, file: Path) -> tuple[Mutator, ...]:
    """The mutators that know a file's format."""
    if file.suffix == ".json":
        return JSON
    if file.suffix == ".toml":
        return TOML
    if kind == "data-list":
        return LINES
    return (containers.MUTATORS | offsets.MUTATORS).get(file.suffix, ())
