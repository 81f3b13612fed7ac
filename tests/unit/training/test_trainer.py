"""The trainer: resuming, several processes, quantized stages, its files and its errors."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import CapabilityError, InputError, TrainingError, UsageError
from edge_harmony.files.resources import find_resource, resource_names
from edge_harmony.files.toml import parse_toml, read_toml
from edge_harmony.models.registry import build_model, find_model
from edge_harmony.models.weights_file import read_weights, restore, save_weights
from edge_harmony.quality.evaluation import evaluate
from edge_harmony.quality.preparation import Preparation
from edge_harmony.samples import sample_files
from edge_harmony.training.checkpoint import read_checkpoint
from edge_harmony.training.composites.synthesis import synthesize
from edge_harmony.training.distributed import World, join_world
from edge_harmony.training.losses import foreground_mse
from edge_harmony.training.optimizer import make_optimizer
from edge_harmony.training.recipe import DistillationConfig, Recipe
from edge_harmony.training.trainer import Trainer, learning_rate

WORLD = World(0, 1, torch.device("cpu"))

RECIPE = """
seed = 5
validate_every = 32
checkpoint_every = 16
[model]
name = "edge-n"
options = {{ widths = [8, 8, 16, 16, 24], hidden = 16 }}
[data]
root = {root!r}
layout = "{layout}"
validation = 0.2
[[stages]]
name = "float"
images = 48
size = 64
batch = 8
freeze = 0.5
loss_stride = 2
warmup = 16
[[stages]]
name = "quantized"
images = 32
size = 64
batch = 8
learning_rate = 1e-4
quantize = true
freeze = 0.5
"""


def recipe(root, layout="iharmony4", **changes):
    parsed = parse_toml(RECIPE.format(root=str(root), layout=layout), Recipe, "test")
    return parsed.model_copy(update=changes)


class Killed(Exception):
    pass


def killed_after(images):
    class Stop(Trainer):
        def _update_average(self, model, steps):
            super()._update_average(model, steps)
            if self.position.total == images:
                raise Killed

    return Stop


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


def test_sets_larger_than_memory_give_the_same_weights(mini_root, tmp_path):
    whole, lean = (Trainer(recipe(mini_root), tmp_path / str(size), WORLD, memory=size) for size in (1 << 30, 0))
    assert whole.run()["validation"] == lean.run()["validation"]
    ours, theirs = load_file(lean.weights), load_file(whole.weights)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_broken_training_files_are_named(mini_root, tmp_path):
    import shutil

    root = tmp_path / "root"
    shutil.copytree(mini_root, root)
    broken = next(iter((root / "HCOCO" / "real_images").iterdir()))
    for path in (root / "HCOCO" / "real_images").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=f"samples cannot be read: .*{broken.parent.name}"):
        Trainer(recipe(root), tmp_path / "out", WORLD).run()


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


@pytest.mark.slow
def test_two_processes_train_one_network(mini_root, trained, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(root=str(mini_root), layout="iharmony4"))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517"]
    command += ["-m", "edge_harmony", "train", str(path), "-o", str(tmp_path / "out"), "--device", "cpu", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)  # one object: the other process prints nothing
    assert summary["images"] == 80
    single = Trainer(recipe(mini_root), trained, WORLD)
    ours, theirs = load_file(tmp_path / "out" / "edge-n.safetensors"), load_file(single.weights)
    drift = max(float((ours[name] - theirs[name]).abs().max()) for name in theirs)
    assert 0 < drift < 1  # other random draws per process, the same optimization
    assert all(torch.isfinite(value).all() for value in ours.values())


def test_gradients_of_two_processes_are_those_of_the_whole_batch(tmp_path):
    """Mean of the shares' gradients equals the whole batch's gradient, for the loss we use."""
    torch.manual_seed(0)
    prediction, real = torch.rand(8, 3, 16, 16, requires_grad=True), torch.rand(8, 3, 16, 16)
    mask = (torch.rand(8, 1, 16, 16) > 0.5).float()
    (whole,) = torch.autograd.grad(foreground_mse(prediction, real, mask, 0.0), prediction)
    parts = [foreground_mse(prediction[k], real[k], mask[k], 0.0) for k in (slice(0, 4), slice(4, 8))]
    (shared,) = torch.autograd.grad(sum(parts) / 2, prediction)
    torch.testing.assert_close(whole, shared)


def own_photographs(root):
    for folder in ("photos", "masks"):
        (root / folder).mkdir(parents=True)
    for composite, mask in sample_files():
        for k in range(4):
            shutil.copy(composite, root / "photos" / f"{composite.stem}{k}.jpg")
            shutil.copy(mask, root / "masks" / f"{composite.stem}{k}.png")
    return root


def test_own_photographs_train_too(tmp_path):
    root = own_photographs(tmp_path / "own")
    summary = Trainer(recipe(root, "photos"), tmp_path / "out", WORLD).run()
    sealed = {"sealed_gain", "sealed_worse", "no_change", "score"}
    assert set(summary["validation"]) == {"fmse", "composite_fmse"} | sealed
    assert summary["validation"]["composite_fmse"] > 1


SOURCES = """[[data.sources]]
name = "pairs"
[[data.sources]]
name = "own"
layout = "photos"
weight = 3.0
[data.sources.synthesis]
camera = 1.0
sealed = 1.0
"""


def two_sources(mini_root, tmp_path, validation=0.2):
    text = RECIPE.format(root="x", layout="iharmony4").replace("root = 'x'\nlayout = \"iharmony4\"\n", "")
    text = text.replace("[[stages]]", SOURCES + "[[stages]]", 1).replace(
        "validation = 0.2", f"validation = {validation}"
    )
    parsed = parse_toml(text, Recipe, "test")
    own = tmp_path / "own"
    if not own.exists():
        own_photographs(own)
    data = parsed.data.with_roots([f"pairs={mini_root}", f"own={own}"])
    return parsed.model_copy(update={"data": data})


def test_near_changes_draw_partners_and_encoders_may_learn_more_slowly(mini_root, tmp_path):
    parsed = recipe(mini_root)
    synthesis = parsed.synthesis.model_copy(update={"near": 1.0})
    optimizer = parsed.optimizer.model_copy(update={"encoder_rate": 0.25})
    parsed = parsed.model_copy(update={"synthesis": synthesis, "optimizer": optimizer})
    trainer = Trainer(parsed, tmp_path / "out", WORLD)
    rates = {
        id(p): group["share"]
        for group in make_optimizer(trainer.model, trainer.recipe.optimizer).param_groups
        for p in group["params"]
    }
    named = dict(trainer.model.named_parameters())
    assert len(rates) == len(named)
    assert {rates[id(p)] for name, p in named.items() if name.startswith("encoder.")} == {0.25}
    assert {rates[id(p)] for name, p in named.items() if not name.startswith("encoder.")} == {1.0}
    trainer.run()
    assert trainer.weights.is_file()


def test_an_encoder_without_a_share_of_the_rate_keeps_its_weights_and_norms(mini_root, tmp_path):
    parsed = recipe(mini_root)
    parsed = parsed.model_copy(update={"optimizer": parsed.optimizer.model_copy(update={"encoder_rate": 0.0})})
    with pytest.raises(TrainingError, match="there are none"):
        Trainer(parsed, tmp_path / "out", WORLD).run()
    start = tmp_path / "start.safetensors"
    options = parsed.model.options
    save_weights(start, build_model(parsed.model.name, **options), name=parsed.model.name, options=options)
    trainer = Trainer(parsed, tmp_path / "out", WORLD, initial=start)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.run()
    after = read_weights(trainer.float_weights).tensors
    kept = {name for name in after if torch.equal(after[name], before[name])}
    assert {name for name in after if name.startswith("encoder.")} <= kept
    assert any(name.startswith("head.") for name in set(after) - kept)


def test_several_sources_give_every_batch_by_weight_and_their_own_rules(mini_root, tmp_path, monkeypatch):
    parsed = two_sources(mini_root, tmp_path)
    made = []

    def record(real, mask, given, size, config, generator, partners):
        made.append((len(real), given is not None, config.camera))
        return synthesize(real, mask, given, size, config, generator, partners)

    monkeypatch.setattr("edge_harmony.training.trainer.synthesize", record)
    trainer = Trainer(parsed, tmp_path / "out", WORLD)
    for k in range(60):
        assert len(trainer._batch(parsed.stages[0], 8 * k).real) == 8
    pairs, own = ([count for count, given, _ in made if given is has] for has in (True, False))
    assert sum(pairs) + sum(own) == 480
    assert sum(own) / 480 == pytest.approx(0.75, abs=0.07)
    assert {(given, camera) for _, given, camera in made} == {(True, 0.0), (False, 1.0)}
    assert set(trainer.run()["validation"]) >= {"psnr", "fmse"}


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


def test_roots_of_sources_come_by_name(mini_root, tmp_path):
    parsed = two_sources(mini_root, tmp_path)
    bare = parsed.model_copy(update={"data": parsed.data.model_copy(update={"sources": tuple(
        source.model_copy(update={"root": None}) for source in parsed.data.sources)})})  # fmt: skip
    assert bare.sha256() == parsed.sha256()  # where the pictures lie does not enter
    assert [s.name for s in bare.data.with_roots(["own=a"]).sources] == ["own"]
    for given, message in ((["a"], "names no source"), (["other=a"], "names no source")):
        with pytest.raises(UsageError, match=message):
            bare.data.with_roots(given)
    with pytest.raises(UsageError, match="no data root for pairs"):
        Trainer(bare, tmp_path / "o", WORLD)
    with pytest.raises(UsageError, match="more than once"):
        recipe("x").data.with_roots(["a", "b"])


def test_16_bits_on_a_cpu_train_close_to_32(mini_root, tmp_path):
    stage = recipe(mini_root).stages[0]
    losses = {}
    for half in (False, True):
        trainer = Trainer(
            recipe(mini_root, stages=(stage,), amp="everywhere" if half else True), tmp_path / str(half), WORLD
        )
        trainer.run()
        losses[half] = trainer.position.loss
        assert all(value.dtype != torch.bfloat16 for value in load_file(trainer.weights).values())
    assert losses[True] != losses[False]
    assert losses[True] == pytest.approx(losses[False], rel=0.05)


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


def test_batches_must_divide_among_processes(mini_root, tmp_path):
    with pytest.raises(TrainingError, match="does not divide"):
        Trainer(recipe(mini_root), tmp_path, World(0, 3, torch.device("cpu")))


def test_devices_that_are_not_there():
    with pytest.raises(UsageError, match="unknown device"), join_world("warp"):
        pass
    if not torch.cuda.is_available():
        with pytest.raises(CapabilityError, match="CUDA"), join_world("cuda"):
            pass


def test_schedules():
    base = recipe("x").stages[0].model_copy(update={"images": 1200, "warmup": 0, "batch": 1, "learning_rate": 1.0})
    assert learning_rate(base, 0) == 1
    assert learning_rate(base, 600) == pytest.approx(0.505)
    step = base.model_copy(update={"schedule": "step"})
    assert [learning_rate(step, k) for k in (0, 999, 1000, 1099, 1100)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    linear = base.model_copy(update={"schedule": "linear"})
    assert [learning_rate(linear, k) for k in (0, 600, 1199)] == pytest.approx([1, 0.5, 1 / 1200])
    constant = base.model_copy(update={"schedule": "constant", "warmup": 99})
    assert learning_rate(constant, 0) == pytest.approx(0.01)
    assert learning_rate(constant, 49) == pytest.approx(0.5)
    assert all(math.isclose(learning_rate(constant, k), 1) for k in (99, 1199))


def test_a_recipes_hash_is_of_what_it_sets(tmp_path):
    base = recipe(tmp_path)
    assert base.sha256() == recipe(tmp_path / "elsewhere").sha256()
    assert base.sha256() == recipe(tmp_path, ema=Recipe.model_fields["ema"].default).sha256()
    assert base.sha256() != recipe(tmp_path, seed=6).sha256()


@pytest.mark.parametrize("name", resource_names("recipes"))
def test_shipped_recipes_are_valid(name):
    parsed = read_toml(find_resource("recipes", name), Recipe)
    assert find_model(parsed.model.name).owner == find_model(name.removesuffix("-paper").removesuffix("-start")).owner


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 5", "seeds = 5", "seeds"),
        ("size = 64", "size = 60", "size"),
        ('name = "quantized"', 'name = "float"', "different names"),
        ("freeze = 0.5\nloss", "quantize = true\nloss", ""),
        ("validation = 0.2", "validation = 0.9", "validation"),
        ('[[stages]]\nname = "float"', '[[data.sources]]\nname = "a"\n[[stages]]\nname = "float"', "not both"),
    ],
)
def test_wrong_recipes_name_the_key(old, new, message):
    text = RECIPE.format(root="x", layout="iharmony4").replace(old, new)
    if message:
        with pytest.raises(InputError, match=message):
            parse_toml(text, Recipe, "test")
    else:
        with pytest.raises(InputError, match="without quantization"):
            parse_toml(text.replace("quantize = true\nfreeze = 0.5\n", ""), Recipe, "test")


def test_a_recipe_without_data_says_so(tmp_path):
    text = RECIPE.format(root="x", layout="iharmony4").replace("root = 'x'\n", "")
    with pytest.raises(UsageError, match="--data"):
        Trainer(parse_toml(text, Recipe, "test"), tmp_path, WORLD)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
@pytest.mark.slow
def test_a_compiled_run_follows_the_plain_one(mini_root, tmp_path, monkeypatch):
    parsed = recipe(mini_root)
    options = {"widths": [4, 4, 4, 4, 4], "hidden": 4, "stride": 32}
    stage = parsed.stages[0].model_copy(update={"freeze": 1.0})
    model = parsed.model.model_copy(update={"options": options})
    parsed = parsed.model_copy(update={"model": model, "stages": (stage,)})
    asked = []
    compile_ = torch.compile

    def record(model, **options):
        asked.append(options)
        return compile_(model, **options)

    monkeypatch.setattr(torch, "compile", record)
    runs = {}
    for compiled in (False, True):
        trainer = Trainer(parsed, tmp_path / str(compiled), WORLD, compiled=compiled)
        trainer.run()
        runs[compiled] = load_file(trainer.weights)
        assert asked == [{"dynamic": False}] * compiled  # stages may differ in size
    for name, value in runs[False].items():
        torch.testing.assert_close(runs[True][name], value, rtol=1e-2, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}")
