"""Placements: properties of sealed objects, and that no true colours are left outside the matte."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

from edge_harmony.training.composites.dice import Dice
from edge_harmony.training.composites.placement import (
    box_blur,
    dilate,
    erode,
    fill,
    like_light,
    place,
    pull_push,
    shift,
)
from edge_harmony.training.composites.synthesis_config import SynthesisConfig

SIDE = 48


def dice(seed):
    return Dice(torch.Generator().manual_seed(seed))


def objects(count, seed=0):
    """Plain objects on plain backgrounds; the mask is 3 pixels within the object, as drawn by hand."""
    generator = torch.Generator().manual_seed(seed)
    background, colour, cast = (torch.rand(count, 3, 1, 1, generator=generator) for _ in range(3))
    extent = torch.zeros(1, 1, SIDE, SIDE)
    extent[:, :, 12:36, 12:36] = 1
    real = background * (1 - extent) + (0.2 + 0.6 * colour) * extent
    changed = (real + 0.4 * (cast - 0.5)).clamp(0, 1)
    return real, changed, erode(extent, 3).expand(count, -1, -1, -1).contiguous()


def sealed(**more):
    return SynthesisConfig(**({"sealed": 1.0, "rim": (0.09, 0.13)} | more))


def test_erosion_and_dilation_go_by_pixels():
    mask = torch.zeros(1, 1, 20, 20)
    mask[:, :, 5:15, 5:15] = 1
    assert erode(mask, 2).sum() == 6 * 6
    assert dilate(mask, 2).sum() == 14 * 14
    assert erode(torch.ones(1, 1, 8, 8), 3).min() == 1


@pytest.mark.parametrize("radius", [1, 2, 5, 40])
def test_windows_are_those_of_pooling(radius):
    x = torch.rand(2, 3, 17, 24, generator=torch.Generator().manual_seed(radius))
    window = (x, 2 * radius + 1, 1, radius)
    rows = F.max_pool2d(x, (2 * radius + 1, 1), 1, (radius, 0))
    assert torch.equal(dilate(x, radius), F.max_pool2d(rows, (1, 2 * radius + 1), 1, (0, radius)))
    assert_allclose(box_blur(x, radius), F.avg_pool2d(*window, count_include_pad=False), atol=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (40, 25), (7, 1)])  # even at every level, odd at some, a single column
def test_pull_push_is_pooling_and_bilinear_enlargement(size):
    picture = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    known = (torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(2)) > 0.5).float()

    def filled(part, weight):
        there = part / weight.clamp_min(1e-6)
        if min(part.shape[-2:]) == 1:
            return there
        coarse = filled(*(F.avg_pool2d(x, 2, ceil_mode=True) for x in (part, weight)))
        coarse = F.interpolate(coarse, size=part.shape[-2:], mode="bilinear", align_corners=False)
        return torch.where(weight > 0, there, coarse)

    assert_allclose(pull_push(picture, known), filled(picture * known, known), atol=1e-5)


def test_pull_push_keeps_what_is_known_and_continues_it():
    x = torch.full((1, 3, 32, 32), 0.7)
    x[:, :, 10:20, 10:20] = 0.1
    known = torch.ones(1, 1, 32, 32)
    known[:, :, 10:20, 10:20] = 0
    assert_allclose(pull_push(x, known), 0.7, atol=1e-5)
    picture = torch.rand(1, 3, 32, 32)
    assert_allclose((pull_push(picture, known) * known), picture * known, atol=1e-6)
    assert torch.isfinite(pull_push(picture, torch.zeros(1, 1, 32, 32))).all()


@pytest.mark.parametrize("seed", range(8))  # all four ways
def test_filling_sees_only_what_is_known(seed):
    known = torch.ones(2, 1, 32, 32)
    known[:, :, 8:24, 8:24] = 0
    first, second = torch.full((2, 3, 32, 32), 0.5), torch.full((2, 3, 32, 32), 0.5)
    first[:, :, 8:24, 8:24], second[:, :, 8:24, 8:24] = 0.0, 1.0
    assert torch.equal(fill(first, known, dice(seed)), fill(second, known, dice(seed)))


def test_unsealed_objects_lie_as_they_did():
    real, changed, mask = objects(4)
    composite, truth, matte = place(real, changed, mask, SynthesisConfig(), dice(0))
    assert torch.equal(matte, mask)
    assert torch.equal(truth, real)
    assert_allclose(composite, real * (1 - mask) + changed * mask, atol=1e-7)


@pytest.mark.parametrize("moved", [0.0, 1.0])
def test_nothing_of_a_sealed_object_is_left_outside(moved):
    real, changed, mask = objects(16)
    composite, truth, matte = place(real, changed, mask, sealed(moved=moved), dice(1))
    assert (matte.sum((1, 2, 3)) > 0).all()
    outside = (matte == 0).expand_as(truth)
    plain = real[:, :, :1, :1].expand_as(truth)  # the background's one colour
    assert (composite - plain)[outside].abs().max() < 0.15  # noise, where the fill has it
    assert (composite - plain)[outside].abs().mean() < 0.01
    inside = matte[:, 0] == 1
    for number in range(16):
        want = changed[number, :, SIDE // 2, SIDE // 2]
        assert_allclose(composite[number][:, inside[number]].mean(1), want, atol=1e-4)


def test_moved_objects_move_and_stay_whole_pixels():
    layer = torch.rand(20, 2, SIDE, SIDE)
    moved = shift(layer, dice(3))
    assert (moved != layer).flatten(1).any(1).float().mean() > 0.9
    values = set(np.round(layer[0].flatten().tolist(), 6)) | {0.0}
    assert set(np.round(moved[0].flatten().tolist(), 6)) <= values


def test_like_light_finds_the_picture_of_the_same_background():
    background = torch.rand(6, 3, 1, 1)
    pictures = torch.cat([background, background + 0.01]).expand(-1, -1, 16, 16).contiguous()
    index, near = like_light(pictures, torch.ones(12, 1, 16, 16))
    assert index.tolist() == [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]
    assert near.all()
    far = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    assert not like_light(far, torch.ones(2, 1, 8, 8))[1].any()


def test_objects_elsewhere_lie_on_another_photograph():
    real, changed, mask = objects(2)
    real[1] = real[0] + 0.02 * (1 - mask[0])
    composite, truth, matte = place(real, changed, mask, sealed(elsewhere=1.0), dice(2))
    outside = (matte == 0).expand_as(truth)
    assert torch.equal(composite[outside], truth[outside])
    other = torch.stack([real[1], real[0]])
    assert torch.equal(truth[outside], other[outside])


def test_a_network_that_reads_the_rim_is_told_by_sealed_samples():
    """A linear network on the colours within and just outside the mask, trained on samples with rims."""

    def colours(composite, matte):
        ring = dilate((matte > 0).float(), 2) - (matte > 0).float()
        parts = [(composite * part).sum((2, 3)) / part.sum((2, 3)).clamp_min(1) for part in (matte, ring)]
        return torch.cat([*parts, torch.ones(len(composite), 1)], 1)

    def samples(config, seed):
        composite, truth, matte = place(*objects(256, seed), config, dice(seed))
        error = ((truth - composite) * matte).sum((2, 3)) / matte.sum((2, 3))
        return colours(composite, matte), error

    def share(network, config):
        """Share of the composite's error that is left."""
        inputs, error = samples(config, 9)
        return float((inputs @ network - error).square().sum() / error.square().sum())

    leaking, tight = SynthesisConfig(), sealed()
    reader = torch.linalg.lstsq(*samples(leaking, 0)).solution
    assert share(reader, leaking) < 0.05  # the truth is read off the rim
    assert share(reader, tight) > 2  # and without one, objects are tinted towards what they stand on
    honest = torch.linalg.lstsq(*samples(tight, 0)).solution
    assert share(honest, tight) < 1
