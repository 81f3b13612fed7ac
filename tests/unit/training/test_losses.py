"""The losses against NumPy, and which regions the contrastive loss compares."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from pydantic import ValidationError

from edge_harmony.errors import CapabilityError
from edge_harmony.training.contrast import sampled_contrast
from edge_harmony.training.losses import (
    colour_pyramid,
    foreground_log,
    foreground_mse,
    foreground_paleness,
    foreground_rmse,
    region_contrast,
    region_style,
)
from edge_harmony.training.recipe import ContrastiveConfig
from edge_harmony.training.trainer import Trainer
from tests.unit.training.making import WORLD, recipe


def unit(*shape):
    x = torch.randn(*shape, dtype=torch.float64)
    return x / x.norm(dim=-1, keepdim=True)


def test_loss_is_the_papers():
    rng = np.random.default_rng(0)
    prediction, real = rng.random((2, 3, 20, 20)), rng.random((2, 3, 20, 20))
    mask = np.zeros((2, 1, 20, 20))
    mask[0, 0, :10] = 1  # 200 pixels
    mask[1, 0, 0, :2] = 1  # 2 pixels: below the floor of 40
    expected = np.mean([np.square(prediction[k] - real[k]).sum() / (3 * max(mask[k].sum(), 40)) for k in range(2)])
    result = foreground_mse(*(torch.from_numpy(a) for a in (prediction, real, mask)), floor=0.1)
    assert result.item() == pytest.approx(expected)


def test_the_root_is_taken_of_every_sample():
    real, mask = torch.rand(3, 3, 16, 16), torch.ones(3, 1, 16, 16)
    errors = torch.tensor([0.0, 0.1, 0.3])
    prediction = (real + errors[:, None, None, None]).requires_grad_()
    loss = foreground_rmse(prediction, real, mask, floor=0.0)
    assert loss.item() == pytest.approx(np.mean([np.hypot(e, 1 / 255) for e in errors.tolist()]) - 1 / 255, rel=1e-4)
    loss.backward()
    assert torch.isfinite(prediction.grad).all()  # a perfect sample too
    gradients = prediction.grad.abs().sum((1, 2, 3))
    assert gradients[2] < 1.1 * gradients[1]  # MSE would give three times as much


def test_a_decibel_counts_the_same_on_every_picture():
    real, mask = torch.zeros(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
    levels = np.array([20.0, 80.0])

    def loss(scale):
        prediction = real + torch.from_numpy(levels * scale / 255).float()[:, None, None, None]
        return foreground_log(prediction, real, mask, floor=0.0).item()

    assert loss(1) == pytest.approx(np.log1p(levels**2 / 64).mean(), rel=1e-5)
    assert loss(1) - loss(0.5) == pytest.approx(np.log(4), rel=0.2)  # of both alike, but for the knee
    assert loss(0) == 0


def test_paleness_counts_missing_chroma_of_the_foreground_only():
    vivid = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None].expand(2, 3, 8, 8)
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, 2:6, 2:6] = 1
    grey = torch.full_like(vivid, 0.4)
    chroma = (0.6**2 + 0.3**2) ** 0.5
    assert_allclose(foreground_paleness(grey, vivid, mask, 0.0), chroma, atol=0.005)
    assert foreground_paleness(vivid, grey, mask, 0.0) == 0  # more chroma than the truth is the error's matter
    assert foreground_paleness(torch.where(mask > 0, vivid, grey), vivid, mask, 0.0) == 0
    one = torch.stack([grey[0], vivid[0]])
    assert_allclose(foreground_paleness(one, vivid, mask, 0.0), chroma / 2, atol=0.005)
    tiny = torch.zeros(2, 1, 8, 8)
    tiny[:, :, 0, 0] = 1
    assert_allclose(foreground_paleness(grey, vivid, tiny, 4 / 64), chroma / 4, atol=0.005)
    given = grey.clone().requires_grad_()
    foreground_paleness(given, vivid, mask, 0.0).backward()
    assert torch.isfinite(given.grad).all()  # where there is no chroma at all, too


def test_paleness_takes_part_in_training(mini_root, tmp_path):
    weights = {}
    for paleness in (0.0, 1.0):
        trainer = Trainer(recipe(mini_root, paleness=paleness), tmp_path / str(paleness), WORLD)
        trainer.run()
        weights[paleness] = torch.cat([p.flatten() for p in trainer.model.parameters()])
    assert not torch.equal(*weights.values())
    assert torch.isfinite(weights[1.0]).all()


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_region_contrast_is_infonce(temperature):
    torch.manual_seed(0)
    anchor, positive, negatives = unit(4, 6), unit(4, 6), unit(4, 5, 6)
    expected = []
    for a, p, others in zip(anchor.numpy(), positive.numpy(), negatives.numpy(), strict=True):
        towards, away = np.exp(a @ p / temperature), np.exp(others @ a / temperature)
        expected.append(-np.log(towards / (towards + away.sum())))
    assert region_contrast(anchor, positive, negatives, temperature).item() == pytest.approx(np.mean(expected))
    near = region_contrast(anchor, anchor, negatives, temperature)
    assert near < region_contrast(anchor, negatives[:, 0], negatives, temperature)
    assert region_contrast(anchor[:0], positive[:0], negatives[:0]).item() == 0


def test_region_style_is_mean_and_deviation_of_every_map():
    torch.manual_seed(0)
    maps, mask = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)], (torch.rand(2, 1, 8, 8) > 0.5).float()
    style = region_style(maps, mask)
    expected = []
    for part in maps:
        weight = mask if part.shape[-1] == 8 else torch.nn.functional.avg_pool2d(mask, 2)
        total = weight[0].sum().item() + 1e-5
        mean = (part[0] * weight[0]).sum((1, 2)).numpy() / total
        square = ((part[0] - torch.from_numpy(mean)[:, None, None]) ** 2 * weight[0]).sum((1, 2)).numpy() / total
        vector = np.concatenate([mean, np.sqrt(square + 1e-5)])
        expected.append(vector / np.linalg.norm(vector))
    assert_allclose(style[0], np.concatenate(expected) / np.sqrt(2), rtol=1e-4, atol=1e-5)
    assert_allclose(style.norm(dim=1), 1, rtol=1e-5)


def pictures():
    """Three samples whose regions have constant colours of their own, and a mask of the left half."""
    mask = torch.zeros(3, 1, 8, 8)
    mask[..., :4] = 1
    torch.manual_seed(2)
    colours = {name: torch.rand(2, 3, 3, 1, 1) for name in ("output", "composite", "real")}
    return {name: mask * pair[0] + (1 - mask) * pair[1] for name, pair in colours.items()}, mask


def test_samples_are_the_regions_that_the_recipe_names():
    images, mask = pictures()
    config = ContrastiveConfig(weight=1.0, features="colour", temperature=0.5)
    asked = []

    def features(name):
        asked.append(name)
        return colour_pyramid(images[name])

    result = sampled_contrast(features, mask, config)
    assert sorted(asked) == ["composite", "output", "real"]

    def style(name, inside):
        return region_style(colour_pyramid(images[name]), mask if inside else 1 - mask)

    anchor, positive = style("output", True), style("real", False)
    negatives = []
    for k in range(3):
        others = [j for j in range(3) if j != k]
        rows = [style("composite", True)[k], *style("real", True)[others], *style("real", False)[others]]
        negatives.append(torch.stack(rows))
    expected = region_contrast(anchor, positive, torch.stack(negatives), 0.5)
    torch.testing.assert_close(result, expected)


def test_the_abstracts_other_reading_can_be_configured():
    images, mask = pictures()
    config = ContrastiveConfig(
        weight=1.0, anchor="real_foreground", positive="real_background", negatives=("output_foreground",)
    )
    result = sampled_contrast(lambda name: colour_pyramid(images[name]), mask, config)

    def style(name, inside):
        return region_style(colour_pyramid(images[name]), mask if inside else 1 - mask)

    expected = region_contrast(style("real", True), style("real", False), style("output", True)[:, None], 0.07)
    torch.testing.assert_close(result, expected)


def test_samples_without_one_of_the_regions_are_left_out():
    images, mask = pictures()
    config = ContrastiveConfig(weight=1.0)
    mask[1], mask[2] = 0, 1
    alone = sampled_contrast(lambda name: colour_pyramid(images[name]), mask, config)
    assert torch.isfinite(alone)  # one anchor, whose only negative is its composite
    mask[0] = 0
    assert sampled_contrast(lambda name: colour_pyramid(images[name]), mask, config).item() == 0


@pytest.mark.parametrize("features", ["encoder", "colour"])
@pytest.mark.parametrize(("name", "options"), [("edge-n", {"widths": [8, 8, 16, 16, 24]}), ("rcl", {"width": 2})])
def test_the_contrast_takes_part_in_training(mini_root, tmp_path, features, name, options):
    base = recipe(mini_root)
    changes = {
        "model": base.model.model_copy(update={"name": name, "options": options}),
        "stages": (base.stages[0].model_copy(update={"images": 32, "loss_stride": 1}),),
    }
    trainers = {}
    for weight in (0.0, 0.1):
        contrast = ContrastiveConfig(weight=weight, features=features)
        trainers[weight] = Trainer(recipe(mini_root, contrastive=contrast, **changes), tmp_path / str(weight), WORLD)
        trainers[weight].run()
    assert not torch.equal(*(next(t.model.parameters()) for t in trainers.values()))
    assert torch.isfinite(next(trainers[0.1].model.parameters())).all()


def test_networks_without_style_features_say_so(mini_root, tmp_path):
    base = recipe(mini_root)
    model = base.model.model_copy(update={"name": "hdnet-lite", "options": {"width": 2}})
    with pytest.raises(CapabilityError, match="colour"):
        Trainer(recipe(mini_root, model=model, contrastive=ContrastiveConfig(weight=0.1)), tmp_path, WORLD)


@pytest.mark.parametrize("wrong", [{"temperature": 0}, {"negatives": ()}, {"anchor": "sky"}, {"weight": -1}])
def test_wrong_contrastive_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        ContrastiveConfig(**wrong)
