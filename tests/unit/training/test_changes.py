"""Runs that diverge go on with other settings; runs that are stopped or crossed lose nothing."""

import json
import shutil
import signal
import subprocess
import sys
import threading

import pytest
import torch
from safetensors.torch import load_file, save

from edge_harmony.cli.main import main
from edge_harmony.errors import ArtifactError, InputError, TrainingError, UsageError
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.lock import alone
from edge_harmony.models.tensors_file import read_tensors
from edge_harmony.models.weights_file import read_weights
from edge_harmony.training.changes import change_recipe, parse_changes, refuse_changes
from edge_harmony.training.checkpoint import read_checkpoint
from edge_harmony.training.trainer import Trainer
from tests.unit.training.making import RECIPE, WORLD, Killed, killed_after, recipe


def first(root, **changes):
    """The first stage alone."""
    return recipe(root, stages=(recipe(root).stages[0].model_copy(update=changes),))


def test_a_run_that_diverged_goes_on_with_a_lower_rate_and_says_so(mini_root, tmp_path, capsys):
    path, folder = tmp_path / "recipe.toml", tmp_path / "run"
    text = RECIPE.format(root=str(mini_root), layout="iharmony4").partition('[[stages]]\nname = "quantized"')[0]
    path.write_text(text.replace("warmup = 16", "learning_rate = 1e30"))
    call = ["train", str(path), "-o", str(folder), "--device", "cpu"]
    assert main(call) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "go on from the checkpoint at 0 images" in told
    assert main([*call, "--resume"]) == 1  # it diverges again
    assert main([*call, "--resume", "--set", "stages.0.learning_rate=1e-3"]) == 0
    changed = {"stages.0.learning_rate": 1e-3}
    assert [row.get("changes") for row in read_weights(folder / "edge-n.safetensors").history] == [changed]
    assert json.loads((folder / "summary.json").read_text())["images"] == 48
    capsys.readouterr()
    assert main([*call, "--resume"]) == 0  # what was changed stays changed
    assert "kept: stages.0.learning_rate = 0.001" in capsys.readouterr().err


def test_a_new_run_with_other_settings_says_so_and_goes_on_with_them(mini_root, tmp_path, capsys):
    path, folder = tmp_path / "recipe.toml", tmp_path / "run"
    text = RECIPE.format(root=str(mini_root), layout="iharmony4").partition('[[stages]]\nname = "quantized"')[0]
    path.write_text(text)
    call = ["train", str(path), "-o", str(folder), "--device", "cpu"]
    assert main([*call, "--set", "stages.0.learning_rate=nonsense"]) == 2
    assert "--set stages.0.learning_rate" in capsys.readouterr().err
    assert main([*call, "--set", "stages.0.learning_rate=1e-4"]) == 0
    changed = {"stages.0.learning_rate": 1e-4}
    weights = read_weights(folder / "edge-n.safetensors")
    assert [row.get("changes") for row in weights.history] == [changed]
    assert (folder / "recipe.toml").read_bytes() == path.read_bytes()
    capsys.readouterr()
    assert main([*call, "--resume"]) == 0  # the recipe as it was given, and what was changed of it
    assert "kept: stages.0.learning_rate = 0.0001" in capsys.readouterr().err

    (by_name,) = [row["recipe_sha256"] for row in weights.history]
    path.write_text(text.replace("warmup = 16", "warmup = 16\nlearning_rate = 1e-4"))
    assert main(["train", str(path), "-o", str(tmp_path / "other"), "--device", "cpu"]) == 0
    other = read_weights(tmp_path / "other" / "edge-n.safetensors")
    assert json.loads((tmp_path / "other" / "summary.json").read_text())["recipe_sha256"] == by_name
    for name, tensor in other.tensors.items():
        assert torch.equal(tensor, weights.tensors[name]), name


def test_a_changed_run_is_the_run_of_both_rates(mini_root, tmp_path):
    with pytest.raises(Killed):
        killed_after(24)(first(mini_root), tmp_path, WORLD).run()
    changes = {"stages.0.learning_rate": 1e-4, "optimizer.clip_norm": 0.5}
    run = Trainer(change_recipe(first(mini_root), changes), tmp_path, WORLD, changes=changes)
    assert run.run(resume=True)["history"][-1]["changes"] == changes
    assert run.recipe.stages[0].learning_rate == 1e-4
    assert run.recipe.optimizer.clip_norm == 0.5
    with pytest.raises(TrainingError, match="belongs to another recipe"):
        Trainer(change_recipe(first(mini_root), {"ema": 0.5}), tmp_path, WORLD).run(resume=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [("a.b=1e-3", 1e-3), ("a=3", 3), ("a=true", True), ("a = [1, 2]", [1, 2]), ("a=cosine", "cosine"), ("a='b'", "b")],
)
def test_changes_as_they_are_typed(text, value):
    assert list(parse_changes([text]).values()) == [value]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("learning_rate", "is not KEY=VALUE"),
        ("=3", "is not KEY=VALUE"),
        ("stages.0.rate=1", "does not fit: stages.0.rate"),
        ("stages.0.learning_rate=fast", "does not fit: stages.0.learning_rate"),
        ("stages.0.learning_rate=" + "9" * 5000, "does not fit"),
        ("stages.7.images=1", "there is no 7; count from 0 to 1"),
        ("stages.float.images=1", "there is no float"),
        ("stages.0.name.x=1", "no keys of its own"),
        ("seed.x=1", "no keys of its own"),
        ("stages.0.learning_rate=" + "[" * 5000, "does not fit"),
    ],
)
def test_changes_that_do_not_fit(change, message):
    with pytest.raises(UsageError, match=message):
        change_recipe(recipe("x"), parse_changes([change]))


FIXED = "model.name model.options data.validation distillation optimizer.encoder_rate stages stages.1 stages.x.images"


@pytest.mark.parametrize("key", [*FIXED.split(), "stages.0.learning_rate", "stages.1.quantize", "stages.1.name"])
def test_what_cannot_be_changed_on_the_way(key):
    with pytest.raises(UsageError, match=key.replace(".", r"\.")):
        refuse_changes({key: 1}, stage=1)
    refuse_changes({"stages.1.learning_rate": 1, "stages.2.quantize": 1, "optimizer.clip_norm": 1, "ema": 0.9}, stage=1)


def test_a_stage_does_not_become_shorter_than_it_is(mini_root, tmp_path):
    with pytest.raises(Killed):
        killed_after(40)(first(mini_root), tmp_path, WORLD).run()
    changes = {"stages.0.images": 16}
    with pytest.raises(UsageError, match="has seen 32 images already"):
        Trainer(change_recipe(first(mini_root), changes), tmp_path, WORLD, changes=changes).run(resume=True)


def test_batches_of_one_small_picture_are_refused(mini_root, tmp_path):
    with pytest.raises(TrainingError, match="stage float: a batch of 1 at 32 pixels"):
        Trainer(first(mini_root, size=32, batch=1), tmp_path, WORLD)
    Trainer(first(mini_root, size=64, batch=1), tmp_path, WORLD)
    Trainer(first(mini_root, size=32, batch=2), tmp_path, WORLD)


def test_one_training_at_a_time_in_a_folder(mini_root, tmp_path):
    run = Trainer(first(mini_root), tmp_path, WORLD)
    with alone(tmp_path), pytest.raises(UsageError, match="another run is writing to"):
        run.run()
    assert not run.checkpoint.exists()
    assert run.run() is not None
    with pytest.raises(UsageError, match="already holds a run"):
        Trainer(first(mini_root), tmp_path, WORLD).run()


def test_the_lock_of_a_dead_run_is_free(tmp_path):
    call = (
        "import pathlib, sys, time\nfrom edge_harmony.files.lock import alone\n"
        "with alone(pathlib.Path(sys.argv[1])):\n print('held', flush=True)\n sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", call, str(tmp_path)], stdin=-1, stdout=-1) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="another run"), alone(tmp_path):
            pass
        other.kill()
        other.wait()
    with alone(tmp_path):
        pass


STOPPED = """
import os, sys
from edge_harmony.cli.main import main
from edge_harmony.training.trainer import Trainer
real = Trainer._time_is_up
def stopped(trainer):
    if trainer.position.total == 24:
        os.kill(os.getpid(), int(sys.argv[1]))
    return real(trainer)
Trainer._time_is_up = stopped
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_ends_in_order(mini_root, trained, tmp_path, number, status):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(root=str(mini_root), layout="iharmony4"))
    call = ["train", str(path), "-o", str(tmp_path / "run"), "--device", "cpu"]
    program = [sys.executable, "-c", STOPPED, str(int(number)), *call]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "stopped after 24 images" in done.stdout
    assert "stopping after this step" in done.stderr
    assert main([*call, "--resume"]) == 0
    whole, parts = (load_file(folder / "edge-n.safetensors") for folder in (trained, tmp_path / "run"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_an_event_stops_a_run(mini_root, tmp_path):
    stop = threading.Event()
    stop.set()
    run = Trainer(first(mini_root), tmp_path, WORLD, stop=stop)
    assert run.run() is None
    assert read_checkpoint(run.checkpoint, run.recipe).position.total == 8


def test_two_runs_write_the_same_bytes(mini_root, trained, tmp_path):
    run = Trainer(recipe(mini_root), tmp_path, WORLD)
    run.run()
    for name in ("checkpoint.safetensors", "edge-n.safetensors", "edge-n-float.safetensors", "log.csv"):
        assert sha256_of(tmp_path / name) == sha256_of(trained / name), name


DEEP = "[" * 500 + "]" * 500
DAMAGE = {
    "a position of another type": {"position": "[1]"},
    "a stage that is no number": {"position": '{"stage": "first"}'},
    "a stage that is none": {"position": '{"stage": 9}'},
    "a stage below 0": {"position": '{"stage": -1}'},
    "a position with more": {"position": '{"stage": 0, "magic": 1}'},
    "a position nested deep": {"position": '{"history": ' + DEEP + "}"},
    "a long number": {"position": '{"images": ' + "9" * 5000 + "}"},
    "no position": {"position": None},
    "folded of another type": {"folded": "[1]"},
    "a recipe of another type": {"recipe": "[1]", "recipe_sha256": "x"},
    "a recipe without stages": {"recipe": "{}", "recipe_sha256": "x"},
}
TENSORS = {
    "moments with another name": ("optimizer/x/y", torch.ones(1)),
    "moments of no parameter": ("optimizer/9999/exp_avg", torch.ones(1)),
    "moments of another shape": ("optimizer/0/exp_avg", torch.ones(1, 2, 3)),
    "weights of another network": ("model/magic", torch.ones(1)),
    "an average of another network": ("average/magic", torch.ones(1)),
    "weights of another shape": ("model/head.bias", torch.ones(1)),
}


@pytest.mark.parametrize("name", [*DAMAGE, *TENSORS])
def test_a_damaged_checkpoint_is_one_error(mini_root, trained, tmp_path, name):
    path = tmp_path / "checkpoint.safetensors"
    tensors, metadata = read_tensors(trained / path.name, "", "", ArtifactError)
    key, value = TENSORS.get(name, ("", torch.ones(1)))
    metadata = {key: text for key, text in (metadata | DAMAGE.get(name, {})).items() if text is not None}
    path.write_bytes(save(tensors | ({key: value} if key else {}), metadata))
    with pytest.raises(TrainingError, match="checkpoint") as caught:
        Trainer(recipe(mini_root), tmp_path, WORLD).run(resume=True)
    assert len(str(caught.value).splitlines()) == 1


def test_a_checkpoint_of_before_is_resumed(mini_root, trained, tmp_path):
    tensors, metadata = read_tensors(trained / "checkpoint.safetensors", "", "", ArtifactError)
    position = json.loads(metadata["position"])
    del position["changes"]
    (tmp_path / "checkpoint.safetensors").write_bytes(save(tensors, metadata | {"position": json.dumps(position)}))
    run = Trainer(recipe(mini_root), tmp_path, WORLD)
    assert run.run(resume=True)["images"] == 80
    assert sha256_of(run.weights) == sha256_of(trained / "edge-n.safetensors")


@pytest.mark.parametrize("memory", [1 << 30, 0])
@pytest.mark.parametrize("level", [0, 255])
def test_masks_that_teach_nothing_are_told(mini_root, tmp_path, caplog, memory, level):
    import cv2

    shutil.copytree(mini_root, tmp_path / "data")
    masks = sorted((tmp_path / "data").rglob("masks/*.png"))
    blank = cv2.imread(str(masks[0]), cv2.IMREAD_GRAYSCALE) * 0 + level
    cv2.imwrite(str(masks[0]), blank)
    assert Trainer(first(tmp_path / "data"), tmp_path / "one", WORLD, memory=memory).run() is not None
    assert "1 of" in caplog.text
    for mask in masks:
        cv2.imwrite(str(mask), blank)
    with pytest.raises(InputError, match="no mask of the training samples has both foreground and background"):
        Trainer(first(tmp_path / "data"), tmp_path / "all", WORLD, memory=memory).run()
