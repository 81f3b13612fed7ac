"""Validation during training, with the pipeline and metrics of ``edge-harmony evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from edge_harmony.backends.base import Runner
from edge_harmony.backends.pytorch.runner import PyTorchRunner
from edge_harmony.data.iharmony4 import Triplet
from edge_harmony.models.layers.colour_transform import apply_coarse
from edge_harmony.models.registry import find_model
from edge_harmony.pictures.images import Picture
from edge_harmony.quality.evaluation import evaluate
from edge_harmony.quality.preparation import PLAIN, SEALED, Preparation
from edge_harmony.training.composites.synthesis import synthesize
from edge_harmony.training.composites.synthesis_config import SynthesisConfig
from edge_harmony.training.dataset import FileStore, TrainingSample
from edge_harmony.training.losses import foreground_mse
from edge_harmony.training.recipe import Recipe
from edge_harmony.training.record import sheet_of

_PHOTO_BATCH = 16
_SEALED_PICTURES = 100
"""Largest number of sealed pictures to score, evenly spread over the list; each is filled and harmonized twice."""


def validate(
    model: nn.Module, samples: Sequence[TrainingSample], recipe: Recipe, device: torch.device
) -> dict[str, float]:
    """Score a network on held-out samples.

    Data sets with composites are scored as published: ``psnr``, ``fmse`` and the composite's scores. Photographs are
    scored on composites synthesized from them with a fixed seed: ``fmse`` (at the training size, squared levels) and
    the composite's.

    Both are also scored without a leak at the rim (sealed by 2 at native size, photographs relit), on at most 100
    pictures: ``sealed_gain`` (dB), ``sealed_worse`` (share), ``no_change`` (fMSE) and ``score``, the number to choose
    checkpoints by. ``docs/evaluation.md`` defines them. They are missing if no object is left after shrinking.
    """
    triplets = _with_composites(samples)
    if triplets:
        runner = _runner(model, recipe, device)
        scores = evaluate(runner, triplets)
        return {
            "psnr": round(scores["psnr"], 4),
            "fmse": round(scores["fmse"], 3),
            "composite_psnr": round(scores["composite"]["psnr"], 4),
            "composite_fmse": round(scores["composite"]["fmse"], 3),
            **_score_sealed(runner, triplets, SEALED),
        }
    harm = _score_sealed(_runner(model, recipe, device), samples, replace(SEALED, relit=True))
    return _score_photos(model, samples, recipe, device) | harm


def show(model: nn.Module, samples: Sequence[TrainingSample], recipe: Recipe, device: torch.device) -> Picture | None:
    """A sheet of held-out samples before and after: the data set's composites, or photographs with the object relit."""
    triplets = _with_composites(samples)
    return sheet_of(_runner(model, recipe, device), triplets or samples, PLAIN if triplets else Preparation(relit=True))


def _with_composites(samples: Sequence[TrainingSample]) -> list[Triplet]:
    return [sample for sample in samples if isinstance(sample, Triplet)]


def _runner(model: nn.Module, recipe: Recipe, device: torch.device) -> Runner:
    return PyTorchRunner(model, find_model(recipe.model.name).size, device=device)


def _score_sealed(runner: Runner, samples: Sequence[TrainingSample], preparation: Preparation) -> dict[str, float]:
    count = min(len(samples), _SEALED_PICTURES)
    spread = [samples[k * len(samples) // count] for k in range(count)]
    harm = evaluate(runner, spread, preparation=preparation)["harm"]
    values = {
        "sealed_gain": harm["gain"],
        "sealed_worse": harm["worse"],
        "no_change": harm["no_change"],
        "score": harm["score"],
    }
    return {key: round(value, 4) for key, value in values.items() if value is not None}


@torch.inference_mode()
def _score_photos(
    model: nn.Module, samples: Sequence[TrainingSample], recipe: Recipe, device: torch.device
) -> dict[str, float]:
    size = recipe.stages[-1].size
    store = FileStore(samples, size)
    generator = torch.Generator(device).manual_seed(recipe.seed)
    config = SynthesisConfig(  # only kinds that need no other sample, so every picture is changed
        given=0, reinhard=0, covariance=0, histogram=0, identity=0, crop=(1.0, 1.0), flip=0, mask_noise=0
    )
    ours, theirs, batches = 0.0, 0.0, 0
    for start in range(0, len(store), _PHOTO_BATCH):
        index = torch.arange(start, min(start + _PHOTO_BATCH, len(store)))
        real, mask, _ = store.gather(index, device)
        batch = synthesize(real, mask, None, size, config, generator)
        output = model(batch.composite, batch.mask)
        result = apply_coarse(batch.composite, batch.mask, output, str(model.output)).clamp(0, 1)
        ours += float(foreground_mse(result, batch.real, batch.mask, 0))
        theirs += float(foreground_mse(batch.composite, batch.real, batch.mask, 0))
        batches += 1
    scale = 255.0**2 / batches
    return {"fmse": round(ours * scale, 3), "composite_fmse": round(theirs * scale, 3)}
