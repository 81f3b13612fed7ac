"""Training in several processes, and on devices by name."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from edge_harmony.errors import CapabilityError, TrainingError, UsageError
from edge_harmony.training.distributed import World, join_world
from edge_harmony.training.trainer import Trainer
from tests.unit.training.making import RECIPE, WORLD, recipe


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


def test_batches_must_divide_among_processes(mini_root, tmp_path):
    with pytest.raises(TrainingError, match="does not divide"):
        Trainer(recipe(mini_root), tmp_path, World(0, 3, torch.device("cpu")))


def test_devices_that_are_not_there():
    with pytest.raises(UsageError, match="unknown device"), join_world("warp"):
        pass
    if not torch.cuda.is_available():
        with pytest.raises(CapabilityError, match="CUDA"), join_world("cuda"):
            pass
