"""Runs that last for days: stopped at a time, started from weights, prolonged, decayed, scored during training."""

import json
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edge_harmony.backends.discovery import load_runner
from edge_harmony.cli.main import main
from edge_harmony.errors import ArtifactError, TrainingError, UsageError
from edge_harmony.files.atomic import sha256_of
from edge_harmony.models.registry import MODELS, build_model
from edge_harmony.models.weights_file import load_model, read_weights, save_weights
from edge_harmony.training.checkpoint import read_checkpoint
from edge_harmony.training.trainer import Trainer
from edge_harmony.training.until import parse_until
from tests.unit.training.making import RECIPE, WORLD, Killed, killed_after, recipe

NOW = datetime(2026, 11, 25, 22, 30, tzinfo=timezone.utc)
OPTIONS = {"widths": [8, 8, 16, 16, 24], "hidden": 16}


def constant(root, images=32, **changes):
    """The first stage alone, at a constant rate."""
    stage = (
        recipe(root).stages[0].model_copy(update={"schedule": "constant", "images": images, "freeze": 1.0} | changes)
    )
    return recipe(root, stages=(stage,))


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+90m", NOW + timedelta(minutes=90)),
        ("+2d", NOW + timedelta(days=2)),
        ("23:05", datetime(2026, 11, 25, 23, 5, tzinfo=timezone.utc)),
        ("7:30", datetime(2026, 11, 26, 7, 30, tzinfo=timezone.utc)),
        ("2026-12-24T18:00", datetime(2026, 12, 24, 18, tzinfo=timezone.utc)),
        ("2026-11-26T00:00+02:00", datetime(2026, 11, 25, 22, tzinfo=timezone.utc) + timedelta(hours=0)),
    ],
)
def test_times_to_stop_at(text, expected):
    if expected <= NOW:
        with pytest.raises(UsageError, match="past"):
            parse_until(text, NOW)
    else:
        assert parse_until(text, NOW) == expected


@pytest.mark.parametrize("text", ["25:00", "soon", "+5", "90m", "2026-13-01"])
def test_what_is_no_time_to_stop_at(text):
    with pytest.raises(UsageError, match="not a time to stop at"):
        parse_until(text, NOW)


def test_a_run_stopped_after_every_step_gives_the_same_weights(mini_root, trained, tmp_path):
    whole = Trainer(recipe(mini_root), trained, WORLD)
    calls, result = 0, None
    while result is None:
        part = Trainer(recipe(mini_root), tmp_path / "parts", WORLD, until=time.time() - 1)
        result = part.run(resume=calls > 0)
        calls += 1
        assert part.position.total == 8 * calls
    assert calls == 10
    assert equal(load_file(part.weights), load_file(whole.weights))
    assert read_weights(part.weights).ranges == read_weights(whole.weights).ranges


def test_the_command_says_how_to_go_on(mini_root, tmp_path, capsys, monkeypatch):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(root=str(mini_root), layout="iharmony4"))
    call = ["train", str(path), "-o", str(tmp_path / "out"), "--device", "cpu"]
    monkeypatch.setattr("edge_harmony.cli.train.parse_until", lambda text, now: now)
    assert main([*call, "--until", "+1m"]) == 0
    said = capsys.readouterr().out
    assert "stopped after 8 images, in stage float: go on with --resume" in said
    assert not (tmp_path / "out" / "summary.json").exists()
    monkeypatch.undo()
    assert main([*call, "--until", "yesterday"]) == 2
    assert main([*call, "--resume", "--init", "x.safetensors"]) == 2
    assert main([*call, "--resume", "--json"]) == 0
    assert (tmp_path / "out" / "recipe.toml").read_text() == path.read_text()
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["images"] == 80


def test_a_run_starts_from_weights_and_says_so(mini_root, tmp_path):
    torch.manual_seed(4)
    model = build_model("edge-n", **OPTIONS)
    torch.nn.init.normal_(model.head.weight, std=0.02)
    path = tmp_path / "start.safetensors"
    save_weights(path, model, name="edge-n", options=OPTIONS, recipe_sha256="a" * 64, images=1000)
    started = Trainer(recipe(mini_root), tmp_path / "run", WORLD, initial=path)
    assert equal(started.model.state_dict(), model.state_dict())
    summary = started.run()
    past = [{"recipe_sha256": "a" * 64, "images": 1000, "sha256": sha256_of(path)}]
    assert summary["history"] == past
    for weights in (read_weights(started.weights), read_weights(started.float_weights)):
        assert weights.history == past
    assert read_weights(started.weights).images == 80
    with pytest.raises(Killed):
        killed_after(24)(recipe(mini_root), tmp_path / "parts", WORLD, initial=path).run()
    resumed = Trainer(recipe(mini_root), tmp_path / "parts", WORLD)  # needs the file no more
    assert resumed.run(resume=True)["history"] == past
    assert equal(load_file(resumed.weights), load_file(started.weights))


def test_a_run_starts_from_folded_weights_and_resumes(mini_root, tmp_path, edge_weights):
    whole = Trainer(recipe(mini_root), tmp_path / "whole", WORLD, initial=edge_weights)
    start = load_model("edge-n", edge_weights)
    composite, mask = torch.rand(2, 3, 64, 64), (torch.rand(2, 1, 64, 64) > 0.5).float()
    torch.testing.assert_close(whole.model.eval()(composite, mask), start(composite, mask), rtol=1e-4, atol=1e-5)
    norms = [module for module in whole.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms  # it trains on as a network with norms, which on such batches give what was measured
    batch = whole.batches.calibration(0)
    seen = [norm.running_mean.clone() for norm in norms]
    for norm in norms:
        norm.momentum = None  # the mean over the batches
        norm.reset_running_stats()
    whole.model.train()
    with torch.no_grad():
        for pair in batch:
            whole.model(*pair)
    first = norms[0]
    torch.testing.assert_close(first.running_mean, seen[0], rtol=1e-3, atol=1e-4)
    whole = Trainer(recipe(mini_root), tmp_path / "whole", WORLD, initial=edge_weights)
    whole.run()
    with pytest.raises(Killed):
        killed_after(24)(recipe(mini_root), tmp_path / "parts", WORLD, initial=edge_weights).run()
    resumed = Trainer(recipe(mini_root), tmp_path / "parts", WORLD)
    resumed.run(resume=True)
    assert equal(load_file(resumed.weights), load_file(whole.weights))


def test_weights_of_another_shape_are_one_error(mini_root, tmp_path):
    options = OPTIONS | {"widths": [8, 8, 16, 24, 24]}
    save_weights(tmp_path / "a.safetensors", build_model("edge-n", **options), name="edge-n", options=options)
    with pytest.raises(ArtifactError, match=r"do not fit.*is \(.*and \d+ more.*edge-n with the options"):
        Trainer(recipe(mini_root), tmp_path / "run", WORLD, initial=tmp_path / "a.safetensors")


def test_a_prolonged_run_is_the_longer_run(mini_root, tmp_path):
    longer = Trainer(constant(mini_root, 48), tmp_path / "whole", WORLD)
    longer.run()
    short = Trainer(constant(mini_root, 32), tmp_path / "parts", WORLD)
    short.run()
    prolonged = Trainer(constant(mini_root, 48), tmp_path / "parts", WORLD)
    summary = prolonged.run(resume=True)
    assert equal(load_file(prolonged.weights), load_file(longer.weights))
    past = [{"recipe_sha256": short.recipe_sha256, "images": 32, "sha256": None}]
    assert summary["history"] == past
    assert read_weights(prolonged.weights).history == past
    assert Trainer(constant(mini_root, 48), tmp_path / "parts", WORLD).run(resume=True)["history"] == past


def test_stages_can_be_added_behind_the_one_under_way(mini_root, tmp_path):
    Trainer(constant(mini_root), tmp_path, WORLD).run()
    more = constant(mini_root).stages + recipe(mini_root).stages[1:]
    summary = Trainer(recipe(mini_root, stages=more), tmp_path, WORLD).run(resume=True)
    assert summary["images"] == 64
    assert read_weights(tmp_path / "edge-n.safetensors").ranges


def test_what_lies_behind_cannot_be_changed(mini_root, tmp_path):
    Trainer(constant(mini_root), tmp_path, WORLD).run()
    for changed, message in (
        (constant(mini_root, 48, learning_rate=1e-3), "images, learning_rate of stage float differs"),
        (constant(mini_root, 16), "has seen 32 images already"),
        (constant(mini_root).model_copy(update={"ema": 0.5}), "ema differs"),
    ):
        with pytest.raises(TrainingError, match=message):
            Trainer(changed, tmp_path, WORLD).run(resume=True)
    Trainer(constant(mini_root, schedule="cosine"), tmp_path / "cosine", WORLD).run()
    with pytest.raises(TrainingError, match="only a stage with the schedule constant"):
        Trainer(constant(mini_root, 48, schedule="cosine"), tmp_path / "cosine", WORLD).run(resume=True)


def test_the_average_in_a_checkpoint_is_scored_and_decayed_while_the_run_goes_on(mini_root, tmp_path):
    run = Trainer(constant(mini_root), tmp_path / "run", WORLD)
    run.run()
    before = sha256_of(run.checkpoint)
    composite, mask = (
        np.random.default_rng(0).random((1, 3, 256, 256), np.float32),
        np.ones((1, 1, 256, 256), np.float32),
    )
    outputs = [
        load_runner("edge-n", backend="pytorch", precision="fp32", weights=path).infer(composite, mask)
        for path in (run.checkpoint, run.weights)  # the finished weights are the average
    ]
    np.testing.assert_array_equal(*outputs)
    stages = (constant(mini_root, 16, schedule="linear").stages[0], recipe(mini_root).stages[1])
    decay = Trainer(recipe(mini_root, stages=stages), tmp_path / "decay", WORLD, initial=run.checkpoint)
    summary = decay.run()
    assert summary["history"] == [{"recipe_sha256": run.recipe_sha256, "images": 32, "sha256": before}]
    assert read_weights(decay.weights).ranges
    assert sha256_of(run.checkpoint) == before


def test_the_average_of_a_quantized_checkpoint_has_its_ranges(mini_root, trained):
    run = Trainer(recipe(mini_root), trained, WORLD)
    checkpoint, finished = read_weights(run.checkpoint), read_weights(run.weights)
    assert checkpoint.ranges == finished.ranges
    assert equal(checkpoint.tensors, finished.tensors)
    assert checkpoint.folded


@pytest.mark.slow
def test_bfloat16_on_cpus_follows_the_float_run_and_resumes_to_the_same_bits(mini_root, tmp_path):
    changes = {"images": 320, "freeze": 0.5, "schedule": "cosine"}
    plain, mixed = (
        constant(mini_root, **changes),
        constant(mini_root, **changes).model_copy(update={"amp": "everywhere"}),
    )
    assert Trainer(plain, tmp_path / "float", WORLD).run()["validation"]["composite_fmse"] > 0
    run = Trainer(mixed, tmp_path / "mixed", WORLD)
    assert run.run() is not None
    losses = [
        read_checkpoint(tmp_path / name / "checkpoint.safetensors", of).position.loss
        for name, of in (("float", plain), ("mixed", mixed))
    ]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    with pytest.raises(Killed):
        killed_after(40)(mixed, tmp_path / "parts", WORLD).run()
    resumed = Trainer(mixed, tmp_path / "parts", WORLD)
    resumed.run(resume=True)
    assert equal(load_file(resumed.weights), load_file(run.weights))


def kept(mini_root):
    stage = recipe(mini_root).stages[1].model_copy(update={"scales": "kept", "freeze": 1.0})
    return recipe(mini_root, stages=(stage,))


def test_a_run_in_given_ranges_keeps_them_and_trains_the_weights(mini_root, trained, tmp_path):
    start = trained / "edge-n.safetensors"
    whole = Trainer(kept(mini_root), tmp_path / "whole", WORLD, initial=start)
    assert whole.run() is not None
    given, made = read_weights(start), read_weights(whole.weights)
    assert made.ranges == given.ranges
    assert made.tensors.keys() == given.tensors.keys()
    assert not torch.equal(made.tensors["head.weight"], given.tensors["head.weight"])
    assert not whole.float_weights.exists()
    with pytest.raises(Killed):
        killed_after(16)(kept(mini_root), tmp_path / "parts", WORLD, initial=start).run()
    resumed = Trainer(kept(mini_root), tmp_path / "parts", WORLD)
    resumed.run(resume=True)
    assert equal(load_file(resumed.weights), load_file(whole.weights))


def test_ranges_can_be_kept_from_the_stage_before(mini_root, tmp_path):
    stages = (*recipe(mini_root).stages, kept(mini_root).stages[0].model_copy(update={"name": "more"}))
    run = Trainer(recipe(mini_root, stages=stages), tmp_path, WORLD)
    run.run()
    before = Trainer(recipe(mini_root), tmp_path / "before", WORLD)
    before.run()
    assert read_weights(run.weights).ranges == pytest.approx(read_weights(before.weights).ranges, rel=1e-6)


def test_ranges_that_are_not_there_cannot_be_kept(mini_root, trained, tmp_path):
    with pytest.raises(TrainingError, match=r"keeps the activation ranges.*none"):
        Trainer(kept(mini_root), tmp_path / "run", WORLD).run()
    with pytest.raises(ArtifactError, match="have no activation ranges"):
        Trainer(kept(mini_root), tmp_path / "run", WORLD, initial=trained / "edge-n-float.safetensors")


@pytest.mark.parametrize(("file", "run"), [(False, True), (True, False)])
def test_weights_with_distances_at_another_scale_are_converted(mini_root, tmp_path, file, run):
    torch.manual_seed(4)
    model = build_model("edge-n", **OPTIONS, half_distances=file).eval()
    torch.nn.init.normal_(model.head.weight, std=0.02)
    path = tmp_path / "start.safetensors"
    save_weights(path, model, name="edge-n", options=OPTIONS | {"half_distances": file})
    network = recipe(mini_root).model.model_copy(update={"options": OPTIONS | {"half_distances": run}})
    started = Trainer(recipe(mini_root, model=network), tmp_path / "run", WORLD, initial=path).model.eval()
    assert started.half_distances is run
    composite, mask = torch.rand(2, 3, 64, 64), (torch.rand(2, 1, 64, 64) > 0.5).float()
    torch.testing.assert_close(started(composite, mask), model(composite, mask), rtol=1e-4, atol=1e-6)


def test_a_run_of_what_a_network_was_before_is_not_resumed(mini_root, tmp_path, monkeypatch):
    Trainer(constant(mini_root), tmp_path / "run", WORLD).run()
    entry = MODELS["edge-n"]
    monkeypatch.setitem(MODELS, "edge-n", replace(entry, options=entry.options | {"half_distances": True}))
    with pytest.raises(TrainingError, match=r"earlier edge-n.*--init"):
        Trainer(constant(mini_root, 48), tmp_path / "run", WORLD).run(resume=True)
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    assert Trainer(constant(mini_root), tmp_path / "more", WORLD, initial=checkpoint).run() is not None
