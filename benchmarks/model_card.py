"""Score trained weights and write their card: ``NAME.json`` for machines, ``NAME.md`` for people.

    python benchmarks/model_card.py edge-s --run runs/edge-s --data ROOT --machine "2 cores of an AMD EPYC, CPU only" \
        --notes notes.md -o edge_harmony/models/weights

Copies the weights of the run, exports the INT8 artifact where the network has one, scores both on the test split at native
size, and compares them. ``--notes`` is Markdown that ends the card: known failures. Needs the extra [train].
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from edge_harmony.artifact import atomic_write, write_json
from edge_harmony.backends.base import LoadRequest, get_backend
from edge_harmony.comparison import compare
from edge_harmony.config import read_toml
from edge_harmony.data.iharmony4 import Triplet, read_split
from edge_harmony.evaluation import evaluate
from edge_harmony.models.registry import find_model
from edge_harmony.models.state import read_weights
from edge_harmony.resources import find_resource
from edge_harmony.training.recipe import Recipe

COMPARED = 100
KEYS = ("psnr", "mse", "fmse", "fpsnr", "ssim", "fssim")


def rounded(scores: dict[str, Any]) -> dict[str, Any]:
    """The means of an evaluation, to four places."""
    return {key: round(scores[key], 4) for key in KEYS} | {"images": scores["images"]}


def quality(scores: dict[str, Any], backend: str, precision: str) -> dict[str, Any]:
    """An evaluation as the card keeps it."""
    bins = [
        {"low": part["low"], "high": part["high"], **rounded(part), "composite": rounded(part["composite"])}
        for part in scores["by_foreground_ratio"]
    ]
    where = {"set": "LB-Harmony test, native size", "backend": backend, "precision": precision}
    return rounded(scores) | where | {"composite": rounded(scores["composite"]), "by_foreground_ratio": bins}


def measure(name: str, weights: Path, folder: Path, samples: list[Triplet]) -> dict[str, Any]:
    """Scores of the artifact that users run by default, of the float network, and how far the two agree."""
    integer = bool(read_weights(weights).ranges)
    precision = "int8" if integer else "fp32"
    backend = get_backend("onnxruntime")
    artifact = backend.build(weights, folder, model=name, precision=precision)
    shipped = backend.load(LoadRequest(name, precision, artifact=artifact))
    result: dict[str, Any] = {"quality": quality(evaluate(shipped, samples), "onnxruntime", precision)}
    pictures = [(sample.name, *sample.load()[:2]) for sample in samples[:COMPARED]]
    reference = get_backend("pytorch").load(LoadRequest(name, "fp32", weights=weights))
    result["float_quality"] = rounded(evaluate(reference, samples)) | {"backend": "pytorch", "precision": "fp32"}
    parity = {
        "images": COMPARED,
        f"{precision}_onnxruntime_against_fp32_pytorch_db": compare(shipped, reference, pictures),
    }
    if integer:
        fake = get_backend("pytorch").load(LoadRequest(name, "int8", weights=weights))
        parity["int8_onnxruntime_against_int8_pytorch_db"] = compare(shipped, fake, pictures)
    result["parity"] = {k: v if isinstance(v, int) else round(v["psnr"], 2) for k, v in parity.items()}
    return result


def markdown(card: dict[str, Any], stages: str, notes: str) -> str:
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
    agreement = ", ".join(
        f"{value:.1f} dB {key.removesuffix('_db').replace('_', ' ')}"
        for key, value in parity.items()
        if key != "images"
    )
    precision = scores["precision"].upper()
    return f"""# {card["name"]}

{entry.summary[0].upper()}{entry.summary[1:]}; {entry.parameters / 1e6:.3f} M parameters, {entry.flops / 1e9:.3f} GFLOP at 256 x 256.

| | |
|---|---|
| Licence of the weights | {card["licence"]} |
| Trained on | LB-Harmony train: LabelMe and BSDS500 photographs with masks, objects recoloured after other photographs' objects; for research use. {card["training_samples"]:,} pairs; {card["validation_samples"]} more, of other photographs, held out |
| Recipe | `edge_harmony/training/recipes/{card["recipe"]}.toml` (sha256 {card["recipe_sha256"][:12]}...) |
| Images seen | {card["images_seen"]:,}: {stages} |
| Held-out pictures | {card["validation"]["composite_psnr"]:.2f} -> {card["validation"]["psnr"]:.2f} dB, fMSE {card["validation"]["composite_fmse"]:.0f} -> {card["validation"]["fmse"]:.0f} |
| Machine | {card["machine"]} |

## Quality

LB-Harmony test, {scores["images"]} pictures at native size, peak 255, means over pictures; PSNR in dB / fMSE.

| | composite | {card["name"]} {precision} (ONNX Runtime) |
|---|---:|---:|
{table}

MSE {composite["mse"]:.2f} -> {scores["mse"]:.2f}, fPSNR {composite["fpsnr"]:.2f} -> {scores["fpsnr"]:.2f} dB, SSIM {composite["ssim"]:.4f} -> {scores["ssim"]:.4f}, fSSIM {composite["fssim"]:.4f} -> {scores["fssim"]:.4f}.
FP32 in PyTorch: {float_scores["psnr"]:.2f} dB, fMSE {float_scores["fmse"]:.2f}. Agreement of the results on the first {parity["images"]} test pictures (foreground PSNR, mean): {agreement}.

{notes.strip()}
"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="network; its recipe has the same name")
    parser.add_argument("--run", type=Path, required=True, help="folder of the finished run")
    parser.add_argument("--data", type=Path, required=True, help="root of LB-Harmony")
    parser.add_argument("--machine", required=True, help="what it was trained on")
    parser.add_argument("--notes", type=Path, required=True, help="Markdown that ends the card")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    summary = json.loads((arguments.run / "summary.json").read_text())
    recipe = read_toml(find_resource("recipes", arguments.name), Recipe)
    if summary["recipe_sha256"] != recipe.sha256():
        parser.error(f"the run is not of the recipe {arguments.name}")
    weights = arguments.output / f"{arguments.name}.safetensors"
    shutil.copyfile(arguments.run / weights.name, weights)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(arguments.name, weights, Path(folder), read_split(arguments.data, "test"))
    card = {
        "name": arguments.name,
        "licence": "MIT",
        "data": "LB-Harmony train (LabelMe and BSDS500 photographs, research use)",
        "recipe": arguments.name,
        "recipe_sha256": summary["recipe_sha256"],
        "images_seen": summary["images"],
        "training_samples": summary["training_samples"],
        "validation_samples": summary["validation_samples"],
        "validation": summary["validation"],
        **measured,
        "machine": arguments.machine,
    }
    write_json(weights.with_suffix(".json"), card)
    stages = ", ".join(
        f"{stage.images:,} at {stage.size} pixels{' with fake quantization' if stage.quantize else ''}"
        for stage in recipe.stages
    )
    atomic_write(weights.with_suffix(".md"), markdown(card, stages, arguments.notes.read_text()).encode())
    print(weights.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
