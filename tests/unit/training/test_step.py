"""Steps: 16 bits, compiled, shared among processes."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from edge_harmony.training.losses import foreground_mse
from edge_harmony.training.trainer import Trainer
from tests.unit.training.making import WORLD, recipe


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


def test_gradients_of_two_processes_are_those_of_the_whole_batch(tmp_path):
    """Mean of the shares' gradients equals the whole batch's gradient, for the loss we use."""
    torch.manual_seed(0)
    prediction, real = torch.rand(8, 3, 16, 16, requires_grad=True), torch.rand(8, 3, 16, 16)
    mask = (torch.rand(8, 1, 16, 16) > 0.5).float()
    (whole,) = torch.autograd.grad(foreground_mse(prediction, real, mask, 0.0), prediction)
    parts = [foreground_mse(prediction[k], real[k], mask[k], 0.0) for k in (slice(0, 4), slice(4, 8))]
    (shared,) = torch.autograd.grad(sum(parts) / 2, prediction)
    torch.testing.assert_close(whole, shared)
