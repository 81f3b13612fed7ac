"""The trainer: resuming, quantized stages, its files and its errors."""

import csv
import json

import pytest
import torch
from safetensors.torch import load_file

from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import TrainingError, UsageError
from edge_harmony.files.toml import parse_toml
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import read_weights, restore, save_weights
from edge_harmony.quality.evaluation import evaluate
from edge_harmony.quality.preparation import Preparation
from edge_harmony.training.checkpoint import read_checkpoint
from edge_harmony.training.recipe import DistillationConfig, Recipe
from edge_harmony.training.trainer import Trainer
from tests.unit.training.making import RECIPE, WORLD, Killed, killed_after, own_photographs, recipe, two_sources


@pytest.mark.parametrize("images", [24, 40, 72])
def test_a_killed_and_resumed_run_gives_the_same_weights(mini_root, trained, tmp_path, images):
    whole = Trainer(recipe(mini_root), trained, WORLD)
    summary = json.loads((trained / "summary.json").read_text())
    stopping = killed_after(images)
    with pytest.raises(Killed):
        stopping(recipe(mini_root), tmp_path / "parts", WORLD).run()
    resumed = Trainer(recipe(mini_root), tmp_path / "parts", WORLD)
    again = resumed.run(resume=True)
    assert again["validation"] == summary["validation"]
    ours, theirs = load_file(resumed.weights), load_file(whole.weights)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert read_weights(resumed.weights).ranges == read_weights(whole.weights).ranges
    assert (tmp_path / "parts" / "log.csv").read_text() == (trained / "log.csv").read_text()


def test_learned_scales_move_and_resume_to_the_same_weights(mini_root, trained, tmp_path):
    base = recipe(mini_root)
    learned = base.stages[1].model_copy(update={"scales": "learned", "learning_rate": 1e-3, "freeze": 1.0})
    changed = recipe(mini_root, stages=(base.stages[0], learned))
    whole = Trainer(changed, tmp_path / "whole", WORLD)
    whole.run()
    with pytest.raises(Killed):
        killed_after(72)(changed, tmp_path / "parts", WORLD).run()
    resumed = Trainer(changed, tmp_path / "parts", WORLD)
    resumed.run(resume=True)
    ranges = read_weights(whole.weights).ranges
    assert read_weights(resumed.weights).ranges == ranges
    observed = Trainer(base, trained, WORLD)
    assert read_weights(observed.weights).ranges.keys() == ranges.keys()
    assert read_weights(observed.weights).ranges != ranges
    assert all(scale > 0 for scale in ranges.values())
    restore("edge-n", read_weights(whole.weights))


def test_files_of_a_run(mini_root, tmp_path):
    seen = []
    trainer = Trainer(recipe(mini_root), tmp_path, WORLD, seen.append)
    summary = trainer.run()
    assert summary["images"] == 80
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["stage"] for row in rows] == ["float", "float", "quantized"]
    assert float(rows[0]["composite_psnr"]) == pytest.approx(summary["validation"]["composite_psnr"])
    runner = load_runner("edge-n", backend="pytorch", precision="int8", weights=trainer.weights)
    harm = evaluate(runner, trainer.held_samples, preparation=Preparation(2))["harm"]
    for column, key in (("sealed_gain", "gain"), ("sealed_worse", "worse"), ("no_change", "no_change"), ("score",) * 2):
        assert float(rows[-1][column]) == pytest.approx(harm[key], rel=1e-3, abs=1e-3)
    weights = read_weights(trainer.weights)
    assert weights.folded
    assert weights.ranges
    assert weights.recipe_sha256 == trainer.recipe_sha256
    restore("edge-n", weights)
    before = read_weights(trainer.float_weights)
    assert not before.folded
    assert not before.ranges
    restore("edge-n", before)
    assert seen
    assert seen[0].total == 48
    assert not list(tmp_path.glob(".*"))


def test_training_learns(mini_root, tmp_path):
    """One constant gain on every foreground: a few hundred images are enough to undo most of it."""
    stage = recipe(mini_root).stages[0].model_copy(update={"images": 1600, "freeze": 0.6, "learning_rate": 4e-3})
    synthesis = recipe(mini_root).synthesis.model_copy(
        update={"given": 0, "reinhard": 0, "covariance": 0, "histogram": 0, "identity": 0, "jpeg": 0}
    )
    trainer = Trainer(recipe(mini_root, stages=(stage,), synthesis=synthesis, validate_every=10_000), tmp_path, WORLD)
    trainer.run()
    losses = [row["loss"] for row in trainer.position.history]
    assert losses[-1] < 0.9  # of the composite's own error


def test_networks_that_paint_train_too(mini_root, tmp_path):
    base = recipe(mini_root)
    model = base.model.model_copy(update={"name": "hdnet-lite", "options": {"width": 2}})
    stage = base.stages[0].model_copy(update={"images": 16, "loss_stride": 1})
    summary = Trainer(recipe(mini_root, model=model, stages=(stage,)), tmp_path, WORLD).run()
    assert summary["validation"]["psnr"] > 5
    assert not read_weights(tmp_path / "hdnet-lite.safetensors").ranges


def test_a_student_learns_from_its_teacher(mini_root, tmp_path):
    """The whole loss is against a teacher that changes nothing, so the student must change nothing on any picture."""

    options = {"widths": [8, 8, 16, 16, 24], "hidden": 16}
    save_weights(tmp_path / "teacher.safetensors", build_model("edge-n", **options), name="edge-n", options=options)
    base = recipe(mini_root)
    short = (base.stages[0].model_copy(update={"images": 32}),)
    losses = {}
    for share in (0.5, 1.0):
        taught = DistillationConfig(teacher="edge-n", weights=tmp_path / "teacher.safetensors", share=share)
        trainer = Trainer(recipe(mini_root, stages=short, distillation=taught), tmp_path / str(share), WORLD)
        trainer.run()
        losses[share] = trainer.position.history[-1]["loss"]
    assert losses[1.0] < 1e-6
    assert losses[0.5] > 0.1
    with pytest.raises(UsageError, match="no weights of fmm"):
        Trainer(recipe(mini_root, distillation=DistillationConfig(teacher="fmm")), tmp_path / "none", WORLD)


def test_own_photographs_train_too(tmp_path):
    root = own_photographs(tmp_path / "own")
    summary = Trainer(recipe(root, "photos"), tmp_path / "out", WORLD).run()
    sealed = {"sealed_gain", "sealed_worse", "no_change", "score"}
    assert set(summary["validation"]) == {"fmse", "composite_fmse"} | sealed
    assert summary["validation"]["composite_fmse"] > 1


def test_several_sources_resume_to_the_same_weights(mini_root, tmp_path):
    parsed = two_sources(mini_root, tmp_path)
    whole = Trainer(parsed, tmp_path / "whole", WORLD)
    whole.run()
    with pytest.raises(Killed):
        killed_after(40)(parsed, tmp_path / "cut", WORLD).run()
    resumed = Trainer(parsed, tmp_path / "cut", WORLD)
    resumed.run(resume=True)
    for name, value in load_file(whole.weights).items():
        assert torch.equal(value, load_file(resumed.weights)[name]), name


def test_checkpoints_of_another_recipe_or_damaged_ones(mini_root, tmp_path):
    trainer = Trainer(recipe(mini_root), tmp_path, WORLD)
    trainer.run()
    with pytest.raises(TrainingError, match="another recipe: seed differs"):
        Trainer(recipe(mini_root, seed=6), tmp_path, WORLD).run(resume=True)
    path = trainer.checkpoint
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(TrainingError, match="damaged"):
        read_checkpoint(path, recipe(mini_root))
    with pytest.raises(UsageError, match="no checkpoint"):
        Trainer(recipe(mini_root), tmp_path / "other", WORLD).run(resume=True)


def test_a_diverging_run_stops_with_one_error(mini_root, tmp_path):
    stage = recipe(mini_root).stages[0].model_copy(update={"learning_rate": 1e30, "warmup": 0})
    with pytest.raises(TrainingError, match=r"not finite.*--resume --set stages\.0\.learning_rate=1e\+29"):
        Trainer(recipe(mini_root, stages=(stage,)), tmp_path, WORLD).run()


def test_a_recipe_without_data_says_so(tmp_path):
    text = RECIPE.format(root="x", layout="iharmony4").replace("root = 'x'\n", "")
    with pytest.raises(UsageError, match="--data"):
        Trainer(parse_toml(text, Recipe, "test"), tmp_path, WORLD)
