"""Train variants of a network on the same images and tabulate quality, FLOPs and INT8 latency.

    python benchmarks/ablation.py benchmarks/ablations/edge-family.toml --data ROOT --runs runs/ablation \
        -o benchmarks/results/0.1.0/ablation--edge-family.json

Finished variants are not trained or scored again, so a stopped run can go on. Latency is measured at the end, with all
variants interleaved. Needs the extra [train]. ``--only GROUP`` trains one group, and leaves the table to a later call.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harm import evaluated
from measuring import interleave, quartiles, square_foreground
from provenance import provenance
from pydantic import BaseModel, ConfigDict
from torch.utils.flop_counter import FlopCounterMode

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.data.iharmony4 import Triplet, read_split
from edge_harmony.errors import CapabilityError
from edge_harmony.files.atomic import write_json
from edge_harmony.files.toml import read_toml
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.weights_file import read_weights, restore, save_weights
from edge_harmony.quality.preparation import PLAIN, SEALED, Preparation
from edge_harmony.quantization.prepare import observe_with, prepare_qat
from edge_harmony.samples import sample_pictures
from edge_harmony.training.distributed import join_world
from edge_harmony.training.progress import Progress
from edge_harmony.training.recipe import ContrastiveConfig, Recipe, StageConfig
from edge_harmony.training.trainer import Trainer

PREPARATIONS = (SEALED, PLAIN, Preparation(sealed=2, relit=True))


class Variant(BaseModel):
    """One row: its changes to the recipe. Another ``model`` starts from its own options, not the recipe's.

    ``synthesis`` changes that of every source, ``recipe`` settings that belong to the whole run, such as the loss.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    group: str
    model: str | None = None
    seed: int | None = None
    options: dict[str, Any] = {}
    stage: dict[str, Any] = {}
    synthesis: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    contrastive: ContrastiveConfig | None = None

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.group} {self.name}".lower()).strip("-")


class Ablation(BaseModel):
    """The file: a recipe and its variants."""

    model_config = ConfigDict(extra="forbid")

    recipe: Recipe
    variants: list[Variant]

    def recipe_of(self, variant: Variant, data: Sequence[str]) -> Recipe:
        """The recipe with a variant's changes, and with the roots of ``--data``."""
        content = self.recipe.model_dump(mode="json", exclude_defaults=True) | variant.recipe
        rooted = self.recipe.data.with_roots(data).model_dump(mode="json", exclude_defaults=True)
        for source in rooted.get("sources", ()):
            source["synthesis"] = source.get("synthesis", {}) | variant.synthesis
        content["data"] = rooted
        base = {} if variant.model else self.recipe.model.options
        content["model"] = {"name": variant.model or self.recipe.model.name, "options": base | variant.options}
        content["seed"] = self.recipe.seed if variant.seed is None else variant.seed
        content["synthesis"] = content.get("synthesis", {}) | variant.synthesis
        content["stages"] = [
            StageConfig.model_validate(stage | variant.stage).model_dump() for stage in content["stages"]
        ]
        if variant.contrastive:
            content["contrastive"] = variant.contrastive.model_dump()
        return Recipe.model_validate(content)


def train(ablation: Ablation, variant: Variant, data: Sequence[str], runs: Path) -> None:
    """Train a variant, or resume its training."""
    folder = runs / variant.folder
    if (folder / "summary.json").exists():
        return

    def report(progress: Progress) -> None:
        print(f"{variant.name}: {progress.images}/{progress.total}, {progress.rate:.0f}/s", end="\r", flush=True)

    with join_world("cpu") as world:
        trainer = Trainer(ablation.recipe_of(variant, data), folder, world, report)
        summary = trainer.run(resume=trainer.checkpoint.exists())
    print(f"{variant.name}: {summary['validation']}", flush=True)


def score(run: Path, samples: Sequence[Triplet], size: int) -> None:
    """Gain and harm of a trained variant, FP32 in ONNX Runtime at a working size, into ``harm.json`` of its folder."""
    if (run / "harm.json").exists():
        return
    name = json.loads((run / "summary.json").read_text())["model"]
    request = ExportRequest(name, "fp32", size=(size, size))
    scores = evaluated(request, run / f"{name}.safetensors", samples, PREPARATIONS)
    rows = {
        label: {key: round(value, 4) for key, value in content["harm"].items()} | {"images": content["images"]}
        for label, content in scores.items()
    }
    print(f"{run.name}: {json.dumps(rows)}", flush=True)
    write_json(run / "harm.json", rows)


def tabulate(ablation: Ablation, runs: Path, rounds: int) -> list[dict[str, Any]]:
    """Quality, size and latency of every trained variant."""
    rows: list[dict[str, Any]] = []
    calls: dict[str, Callable[[], object]] = {}
    composite, mask = square_foreground()
    with tempfile.TemporaryDirectory() as temporary:
        for variant in ablation.variants:
            summary = json.loads((runs / variant.folder / "summary.json").read_text())
            weights = runs / variant.folder / f"{summary['model']}.safetensors"
            model = restore(summary["model"], read_weights(weights))
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(torch.from_numpy(composite), torch.from_numpy(mask))
            rows.append(
                {
                    "name": variant.name,
                    "group": variant.group,
                    "images": summary["images"],
                    **summary["validation"],
                    "parameters": sum(p.numel() for p in model.parameters()),
                    "flops": counter.get_total_flops(),
                }
            )
            harm = runs / variant.folder / "harm.json"
            rows[-1] |= {"harm": json.loads(harm.read_text())} if harm.exists() else {}
            for precision in ("fp32", "int8"):
                folder = Path(temporary) / variant.folder / precision
                path = weights if precision == "fp32" else calibrated(model, weights, summary["model"], folder)
                if path is None:
                    continue
                artifact = get_backend("onnxruntime").build(ExportRequest(summary["model"], precision), path, folder)
                runner = load_runner(
                    summary["model"], backend="onnxruntime", precision=precision, artifact=artifact, threads=1
                )
                calls[f"{variant.folder} {precision}"] = lambda r=runner: r.infer(composite, mask)
        samples = interleave(calls, rounds)
    reference = samples[f"{ablation.variants[0].folder} int8"]
    for variant, row in zip(ablation.variants, rows, strict=True):
        for precision in ("fp32", "int8"):
            times = samples.get(f"{variant.folder} {precision}")
            row[f"{precision}_ms"] = None if times is None else round(float(np.median(times)), 3)
            row |= {} if times is None else quartiles(f"{precision}_of_reference", times, reference)
    return rows


def calibrated(model: torch.nn.Module, weights: Path, name: str, folder: Path) -> Path | None:
    """Weights with activation ranges from the sample pictures: enough to time the INT8 graph; None if it has none."""
    batches = [
        (torch.from_numpy(_square(pixels)).permute(2, 0, 1)[None] / 255, torch.from_numpy(_square(mask))[None, None])
        for _, pixels, mask in sample_pictures()
    ]
    try:
        prepared = prepare_qat(fold_norms(model))
    except CapabilityError:
        return None
    observe_with(prepared, batches)
    folder.mkdir(parents=True)
    path = folder / weights.name
    save_weights(path, prepared, name=name, options=read_weights(weights).options)
    return path


def _square(image: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = np.linspace(0, image.shape[0] - 1, 256).astype(int)
    columns = np.linspace(0, image.shape[1] - 1, 256).astype(int)
    return image[rows][:, columns].astype(np.float32)


def main() -> None:
    """Train what is missing, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ablation", type=Path)
    parser.add_argument("--data", action="append", required=True, help="PATH, or NAME=PATH of a source; repeatable")
    parser.add_argument(
        "--test", type=Path, help="root in iHarmony4 layout: score its test split, plain and without rims"
    )
    parser.add_argument("--every", type=int, default=1, help="score one in this many pictures of that split")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--only", help="train this group only, and write no table")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ablation = read_toml(arguments.ablation, Ablation)
    for variant in ablation.variants:
        if arguments.only in (None, variant.group):
            train(ablation, variant, arguments.data, arguments.runs)
            if arguments.test is not None:
                samples = read_split(arguments.test, "test")[:: arguments.every]
                score(arguments.runs / variant.folder, samples, ablation.recipe.stages[-1].size)
    if arguments.only:
        return
    result = {
        **provenance("torch", "onnxruntime", "numpy"),
        "threads": 1,
        "rounds": arguments.rounds,
        "recipe": ablation.recipe.model_dump(mode="json", exclude_defaults=True),
        "rows": tabulate(ablation, arguments.runs, arguments.rounds),
    }
    write_json(arguments.output, result)


if __name__ == "__main__":
    main()
