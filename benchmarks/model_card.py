"""The card of trained weights: ``NAME.json`` for machines, ``NAME.md`` for people; ``land_weights.py`` writes it.

Scores the INT8 artifact, if the network has one, and the float network on the test split at native size, and compares
them. ``cards/NAME.toml`` holds what a person writes: the data in words, the machine, known failures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.data.iharmony4 import Triplet, read_split
from edge_harmony.files.atomic import atomic_write, write_json
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import read_weights
from edge_harmony.quality.evaluation import evaluate
from edge_harmony.quality.harm import harm_rows
from edge_harmony.quality.parity import compare
from edge_harmony.quality.preparation import SEALED
from edge_harmony.quantization.histograms import DEFAULT_PERCENTILE, Method
from edge_harmony.training.recipe import Recipe, StageConfig

COMPARED = 100
CARDS = Path(__file__).parent / "cards"
KEYS = ("psnr", "mse", "fmse", "fpsnr", "ssim", "fssim")


class Ranges(BaseModel):
    """How float weights get activation ranges, as ``edge-harmony calibrate`` takes it; the set's root is the data's."""

    model_config = ConfigDict(extra="forbid")

    set: str
    method: Method
    percentile: float = DEFAULT_PERCENTILE
    equal_channels: bool = False


class Words(BaseModel):
    """``cards/NAME.toml``: the words that a person writes about the weights.

    ``data`` is short, ``trained_on`` a sentence; ``notes`` is Markdown that ends the card: known failures. ``ranges``
    is for weights whose ranges were calibrated: after training, or before stages with fake quantization that keep them.
    """

    model_config = ConfigDict(extra="forbid")

    data: str
    trained_on: str
    machine: str
    notes: str
    ranges: Ranges | None = None


def rounded(scores: dict[str, Any]) -> dict[str, Any]:
    """The means of an evaluation, to four places."""
    return {key: round(scores[key], 4) for key in KEYS} | {"images": scores["images"]}


def rounded_harm(scores: dict[str, Any]) -> dict[str, Any]:
    """The harm of an evaluation, to four places."""
    return {key: None if value is None else round(value, 4) for key, value in scores["harm"].items()}


def quality(scores: dict[str, Any], sealed: dict[str, Any], backend: str, precision: str) -> dict[str, Any]:
    """The card's entry for an evaluation, with the harm of another evaluation on sealed pictures."""
    bins = [
        {"low": part["low"], "high": part["high"], **rounded(part), "composite": rounded(part["composite"])}
        for part in scores["by_foreground_ratio"]
    ]
    where = {"set": "LB-Harmony test, native size", "backend": backend, "precision": precision}
    return (
        rounded(scores)
        | where
        | {"composite": rounded(scores["composite"]), "by_foreground_ratio": bins}
        | {"harm": rounded_harm(scores), "sealed": rounded_harm(sealed)}
    )


def measure(name: str, weights: Path, folder: Path, samples: list[Triplet]) -> dict[str, Any]:
    """Scores of the artifact that users run by default, of the float network, and how far the two agree."""
    integer = bool(read_weights(weights).ranges)
    precision = "int8" if integer else "fp32"
    artifact = get_backend("onnxruntime").build(ExportRequest(name, precision), weights, folder)
    shipped = load_runner(name, backend="onnxruntime", precision=precision, artifact=artifact)
    sealed = evaluate(shipped, samples, preparation=SEALED)
    result: dict[str, Any] = {"quality": quality(evaluate(shipped, samples), sealed, "onnxruntime", precision)}
    pictures = [(sample.name, *sample.load()[:2]) for sample in samples[:COMPARED]]
    reference = load_runner(name, backend="pytorch", precision="fp32", weights=weights)
    result["float_quality"] = rounded(evaluate(reference, samples)) | {"backend": "pytorch", "precision": "fp32"}
    parity = {
        "images": COMPARED,
        f"{precision}_onnxruntime_against_fp32_pytorch_db": compare(shipped, reference, pictures),
    }
    if integer:
        fake = load_runner(name, backend="pytorch", precision="int8", weights=weights)
        parity["int8_onnxruntime_against_int8_pytorch_db"] = compare(shipped, fake, pictures)
    result["parity"] = {k: v if isinstance(v, int) else round(v["psnr"], 2) for k, v in parity.items()}
    return result


def markdown(card: dict[str, Any], stages: Sequence[StageConfig], words: Words) -> str:
    """The card for people."""
    entry, scores = find_model(card["name"]), card["quality"]
    composite, float_scores, parity = scores["composite"], card["float_quality"], card["parity"]
    rows = [("all", scores)] + [
        (f"foreground {100 * part['low']:.0f}-{100 * part['high']:.0f} % ({part['images']})", part)
        for part in scores["by_foreground_ratio"]
    ]
    table = "\n".join(
        f"| {label} | {part['composite']['psnr']:.2f} / {part['composite']['fmse']:.1f} | "
        f"{part['psnr']:.2f} / {part['fmse']:.1f} |"
        for label, part in rows
    )
    harm = "\n".join(f"| {' | '.join(row)} |" for row in harm_rows(scores["sealed"], scores["harm"]))
    agreement = ", ".join(
        f"{value:.1f} dB {key.removesuffix('_db').replace('_', ' ')}"
        for key, value in parity.items()
        if key != "images"
    )
    precision = scores["precision"].upper()
    kept = stages[-1].scales == "kept"
    seen = ", ".join(
        f"{stage.images:,} at {stage.size} pixels{' with fake quantization' if stage.quantize else ''}"
        for stage in stages
    )
    ranges = ""
    if words.ranges:
        cut = f" {words.ranges.percentile:g}" if words.ranges.method == "percentile" else ""
        equal = ", channels equalized before depthwise convolutions" if words.ranges.equal_channels else ""
        how = f"`{words.ranges.set}`, {words.ranges.method}{cut}{equal}"
        when = "before the training with fake quantization, which kept them" if kept else "after training"
        ranges = f"\n| Ranges of INT8 | calibrated {when}: {how} |"
    return f"""# {card["name"]}

{entry.summary[0].upper()}{entry.summary[1:]}; {entry.parameters / 1e6:.3f} M parameters, {entry.flops / 1e9:.3f} GFLOP at {entry.size[0]} x {entry.size[1]}.

| | |
|---|---|
| Licence of the weights | {card["licence"]} |
| Trained on | {words.trained_on} {card["training_samples"]:,} pairs; {card["validation_samples"]} more, of other photographs, held out |
| Recipe | `edge_harmony/training/recipes/{card["recipe"]}.toml` (sha256 {card["recipe_sha256"][:12]}...) |
| Images seen | {card["images_seen"]:,}: {seen} |
| Held-out pictures | {card["validation"]["composite_psnr"]:.2f} -> {card["validation"]["psnr"]:.2f} dB, fMSE {card["validation"]["composite_fmse"]:.0f} -> {card["validation"]["fmse"]:.0f} |
| Machine | {card["machine"]} |{ranges}

## Quality

LB-Harmony test, {scores["images"]} pictures at native size, peak 255, means over pictures; PSNR in dB / fMSE.

| | composite | {card["name"]} {precision} (ONNX Runtime) |
|---|---:|---:|
{table}

MSE {composite["mse"]:.2f} -> {scores["mse"]:.2f}, fPSNR {composite["fpsnr"]:.2f} -> {scores["fpsnr"]:.2f} dB, SSIM {composite["ssim"]:.4f} -> {scores["ssim"]:.4f}, fSSIM {composite["fssim"]:.4f} -> {scores["fssim"]:.4f}.
FP32 in PyTorch: {float_scores["psnr"]:.2f} dB, fMSE {float_scores["fmse"]:.2f}. Agreement of the results on the first {parity["images"]} test pictures (foreground PSNR, mean): {agreement}.

## Harm

As `docs/evaluation.md` defines it: sealed by 2, which is what users get, and plain, with masks that leak the truth.

| | sealed by 2 | plain |
|---|---:|---:|
{harm}

{words.notes.strip()}
"""


def write_card(name: str, weights: Path, run: dict[str, Any], recipe: Recipe, words: Words, data: Path) -> None:
    """Measure a network with its weights and write its card beside them.

    Args:
        name: of the network in the registry.
        weights: its weights, which it may share with others.
        run: the ``summary.json`` of their run.
        recipe: the recipe of that run.
        words: the words that a person writes.
        data: root of LB-Harmony.
    """
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(name, weights, Path(folder), read_split(data, "test"))
    card = {
        "name": name,
        "licence": "MIT",
        "data": words.data,
        "recipe": weights.stem,
        "recipe_sha256": run["recipe_sha256"],
        "images_seen": run["images"],
        "training_samples": run["training_samples"],
        "validation_samples": run["validation_samples"],
        "validation": run["validation"],
        **measured,
        "machine": words.machine,
    }
    write_json(weights.with_name(f"{name}.json"), card)
    atomic_write(weights.with_name(f"{name}.md"), markdown(card, recipe.stages, words).encode())
