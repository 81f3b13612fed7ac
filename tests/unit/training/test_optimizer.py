"""The optimizer: schedules, and encoders with a share of the rate."""

import math

import pytest
import torch

from edge_harmony.errors import TrainingError
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import read_weights, save_weights
from edge_harmony.training.optimizer import learning_rate, make_optimizer
from edge_harmony.training.trainer import Trainer
from tests.unit.training.making import WORLD, recipe


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
