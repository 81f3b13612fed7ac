"""Masked statistics: their ends, their exactness, and networks with every operation rounded to 16 bits."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from edge_harmony.models import hdnet
from edge_harmony.models.layers.masks import Region, paired_statistics, region_mean, resize_mask, snap, stride_of
from edge_harmony.models.layers.rain import RAIN
from edge_harmony.models.registry import bundled_weights
from edge_harmony.models.weights_file import read_weights, restore
from edge_harmony.pictures.arrays import fit_mask
from edge_harmony.pictures.arrays import snap as snap_pixels
from edge_harmony.pictures.working_size import mask_to_working_size, to_working_size
from edge_harmony.quantization.prepare import observe_with, prepare_qat
from edge_harmony.samples import sample_pictures

SIZES = [(300, 401), (257, 1023), (1080, 1920), (256, 256), (512, 300)]


class RoundedToHalf(TorchDispatchMode):
    """Rounds every float result to the nearest 16-bit number; sums within an operation stay in 32 bits."""

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        result = operation(*arguments, **(keywords or {}))
        return tree_map(
            lambda t: t.half().float() if isinstance(t, torch.Tensor) and t.is_floating_point() else t, result
        )


def masks(height, width):
    """Full, empty, one pixel, all but one, soft edges and a ramp, as 8 bits."""
    full, one = np.full((height, width), 255, np.uint8), np.zeros((height, width), np.uint8)
    one[height // 2, width // 3] = 255
    _, _, mask = next(iter(sample_pictures()))
    ramp = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width)).copy()
    soft = np.rint(cv2.resize(mask, (width, height)) * 255).astype(np.uint8)
    return {"full": full, "empty": 0 * full, "one": one, "all-but-one": 255 - one, "soft": soft, "ramp": ramp}


def working_pair(name):
    _, pixels, _ = next(iter(sample_pictures()))
    small, _ = to_working_size(np.ascontiguousarray(pixels), np.zeros(pixels.shape[:2], np.uint8), (256, 256))
    return torch.from_numpy(small), torch.from_numpy(masks(256, 256)[name].astype(np.float32) / 255)[None, None]


@pytest.mark.parametrize("shape", [(64, 96), (63, 41), (8, 8)])
def test_statistics_are_weighted_moments(shape):
    rng = np.random.default_rng(4)
    x, weight = rng.normal(30.0, 2.0, (2, 3, *shape)), rng.random((2, 1, *shape))
    total = weight.sum((2, 3), keepdims=True)
    mean = (x * weight).sum((2, 3), keepdims=True) / total
    deviation = np.sqrt(((x - mean) ** 2 * weight).sum((2, 3), keepdims=True) / total + 1e-3)
    region = Region(torch.from_numpy(weight).float())
    for room in (1, 256):
        found = region.statistics(torch.from_numpy(x).float(), 1e-3, room)
        assert_allclose(found[0], mean, rtol=1e-6)
        assert_allclose(found[1], deviation, rtol=1e-5)
    assert_allclose(region.presence, 1)


@pytest.mark.parametrize("stride", [1, 8, 16, 32])
def test_one_working_pixel_has_its_full_weight_at_every_level(stride):
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 100, 37] = 1
    x = torch.randn(1, 5, 256 // stride, 256 // stride)
    foreground = resize_mask(mask, x.shape[-2:])
    assert stride_of(mask, x) == stride
    mean, deviation, mean_b, _ = paired_statistics(x, foreground, 1e-6, stride)
    assert_allclose(mean[0, :, 0, 0], x[0, :, 100 // stride, 37 // stride], rtol=1e-5)
    assert_allclose(deviation, 1e-3, rtol=1e-3)
    rest = (x.sum((2, 3)) - x[..., 100 // stride, 37 // stride] / stride**2) / (x[0, 0].numel() - stride**-2)
    assert_allclose(mean_b[..., 0, 0], rest, rtol=1e-4, atol=1e-6)


def test_a_vanishing_region_ends_smoothly():
    torch.manual_seed(0)
    x, pixel = torch.rand(1, 3, 64, 64) + 1, torch.zeros(1, 1, 64, 64)
    pixel[..., 20, 30] = 1
    for share in (1.0, 0.5, 0.25, 1e-3, 0.0):
        assert_allclose(region_mean(x, pixel * share)[..., 0, 0], x[..., 20, 30] * share, rtol=1e-5)
        assert_allclose(Region(pixel * share).presence.item(), share, rtol=1e-5)
    layer = RAIN(3)
    steps = [layer(x, pixel * (1 - k / 64)) for k in range(65)]
    largest = max((after - before).abs().max().item() for before, after in pairwise(steps))
    assert largest < 0.2 * steps[-1].std()  # 1.1 times the deviation in one step with a threshold


@pytest.mark.parametrize("size", SIZES)
def test_resized_masks_have_no_crumbs(size):
    height, width = size
    for name, value in (("full", 1.0), ("empty", 0.0)):
        mask = masks(height, width)[name]
        small = mask_to_working_size(mask, (256, 256))
        assert np.all(small == value)
        assert bool((resize_mask(torch.from_numpy(mask)[None, None] / 255, (67, 31)) == value).all())
        fitted = fit_mask(small[0, 0], np.empty((401, 401, 3), np.uint8))  # fit_mask keeps the aspect
        assert np.all(fitted == value)


def test_snapping_is_the_same_in_both_worlds_and_keeps_the_rest():
    values = np.concatenate([np.linspace(0, 1, 1001), [1e-6, 1 - 1e-6, -1e-6, 1 + 1e-6]]).astype(np.float32)
    snapped = snap_pixels(values)
    assert_allclose(snapped, snap(torch.from_numpy(values)), atol=1e-7)
    assert_allclose(snapped, values.clip(0, 1), atol=1.1e-5)
    assert snapped[-4:].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("model", ["edge-n", "edge-s"])
def test_networks_of_16_bits_are_finite_and_close(model):
    network = restore(model, read_weights(bundled_weights(model)))
    for name in masks(256, 256):
        composite, mask = working_pair(name)
        with torch.no_grad():
            exact = network(composite, mask)
            with RoundedToHalf():
                rounded = network(composite, mask)
        difference = (rounded - exact).square().mean() / exact.square().mean()
        assert bool(rounded.isfinite().all()), name
        assert -10 * torch.log10(difference) > 40, name


@pytest.mark.parametrize("name", masks(8, 8))
def test_hdnet_of_16_bits_is_finite(name, monkeypatch):
    """A full mask can give features of 150,000, where steps of 16 bits are wide; divided by 16 they stay in the range.

    The first shipped weights did; a layer of the present ones is scaled up to it.
    """
    network = restore("hdnet-lite", read_weights(bundled_weights("hdnet-lite")))
    with torch.no_grad():
        for parameter in network.decoder[5].parameters():
            parameter.mul_(4)
    composite, mask = working_pair(name)
    with torch.no_grad():
        divided = network(composite, mask)
        with RoundedToHalf():
            rounded = network(composite, mask)
        monkeypatch.setattr(hdnet, "_DIVISOR", 1)
        undivided = network(composite, mask)
        with RoundedToHalf():
            beyond = network(composite, mask)
    assert bool(rounded.isfinite().all())
    assert -10 * torch.log10((rounded - divided).square().mean() + 1e-12) > (30 if name == "full" else 45)
    assert_allclose(divided, undivided, atol=1e-6)
    assert name != "full" or not bool(beyond.isfinite().all())


def test_points_of_hdnet_that_quantize_see_undivided_features():
    """Ranges from before features were divided stay those of the points."""
    network = prepare_qat(restore("hdnet-lite", read_weights(bundled_weights("hdnet-lite"))).eval())
    composite, mask = working_pair("soft")
    observe_with(network, [(composite, mask)])
    largest = network.quantize_decoder[5].scale * 127
    seen = []
    floating = restore("hdnet-lite", read_weights(bundled_weights("hdnet-lite")))
    floating.quantize_decoder[5].register_forward_hook(lambda module, given, result: seen.append(result.amax()))
    with torch.no_grad():
        floating(composite, mask)
    assert_allclose(largest, seen[0] * hdnet._DIVISOR, rtol=1e-4)
