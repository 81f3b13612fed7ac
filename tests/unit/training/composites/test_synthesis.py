"""Synthesized composites: what every change must keep, and what each one does."""

import io

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image
from pydantic import ValidationError

from edge_harmony.samples import sample_pictures
from edge_harmony.training.composites import recolour as color
from edge_harmony.training.composites.dice import Dice
from edge_harmony.training.composites.jpeg import jpeg_noise
from edge_harmony.training.composites.light import camera, scene_map
from edge_harmony.training.composites.synthesis import synthesize
from edge_harmony.training.composites.synthesis_config import KINDS, SynthesisConfig


def pictures(count=6, size=72):
    items = list(sample_pictures())
    real, mask = [], []
    for k in range(count):
        _, pixels, weight = items[k % len(items)]
        real.append(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)[:, :: 1 - 2 * (k % 2)].copy())
        mask.append(cv2.resize(weight, (size, size), interpolation=cv2.INTER_AREA)[:, :: 1 - 2 * (k % 2)].copy())
    real = torch.from_numpy(np.stack(real)).permute(0, 3, 1, 2).float() / 255
    return real, torch.from_numpy(np.stack(mask))[:, None]


def only(kind, **more):
    return SynthesisConfig(**(dict.fromkeys(KINDS, 0.0) | {kind: 1.0, "jpeg": 0.0} | more))


def run(config, seed=0, size=64, given_too=True):
    real, mask = pictures()
    given = (real * torch.tensor([1.2, 0.9, 0.8]).view(1, 3, 1, 1)).clamp(0, 1)
    generator = torch.Generator().manual_seed(seed)
    return synthesize(real, mask, given if given_too else None, size, config, generator)


@pytest.mark.parametrize("kind", KINDS)
def test_background_is_untouched_and_values_stay_in_range(kind):
    batch = run(only(kind))
    outside = (batch.matte == 0).expand_as(batch.real)
    assert torch.equal(batch.composite[outside], batch.real[outside])
    assert batch.composite.shape == batch.real.shape == (6, 3, 64, 64)
    assert ((batch.composite >= 0) & (batch.composite <= 1)).all()
    assert ((batch.mask >= 0) & (batch.mask <= 1)).all()
    changed = (batch.composite - batch.real).abs().max()
    assert changed < 1 / 254 if kind == "identity" else changed > 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_sealed_moved_and_soft_objects_leave_their_scene_alone(kind):
    batch = run(only(kind, sealed=1.0, moved=0.4, elsewhere=0.3, soft=0.5, mask_noise=0.5))
    outside = (batch.matte == 0).expand_as(batch.real)
    assert torch.equal(batch.composite[outside], batch.real[outside])
    for part in (batch.composite, batch.real, batch.mask, batch.matte):
        assert torch.isfinite(part).all()
        assert part.min() >= 0
        assert part.max() <= 1 + 1e-6


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_one_seed_gives_one_result(seed):
    a, b, c = run(SynthesisConfig(), seed), run(SynthesisConfig(), seed), run(SynthesisConfig(), seed + 1)
    assert torch.equal(a.composite, b.composite)
    assert torch.equal(a.mask, b.mask)
    assert not torch.equal(a.composite, c.composite)
    assert torch.isfinite(a.composite).all()


def test_own_photographs_need_no_given_composite():
    batch = run(SynthesisConfig(), given_too=False)
    assert torch.isfinite(batch.composite).all()
    with pytest.raises(RuntimeError):  # all weights are 0: nothing to choose from
        run(only("given"), given_too=False)


def test_masks_are_eroded_dilated_and_feathered():
    real, mask = pictures()
    plain = synthesize(
        real, mask, None, 64, only("identity", mask_noise=0.0, crop=(1, 1), flip=0), torch.Generator().manual_seed(1)
    )
    noisy = synthesize(
        real, mask, None, 64, only("identity", mask_noise=1.0, crop=(1, 1), flip=0), torch.Generator().manual_seed(1)
    )
    assert set(plain.mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(plain.mask, noisy.matte)  # the paste stays as it is
    change = (noisy.mask - plain.mask).mean((1, 2, 3))
    assert (change[:2] > 0).all()
    assert (change[2:4] < 0).all()
    assert ((noisy.mask[4:] > 0) & (noisy.mask[4:] < 1)).any()


def test_flips_and_crops_move_all_channels_together():
    _real, mask = pictures()
    given = torch.cat([mask] * 3, 1)
    config = only("given", mask_noise=0.0, flip=1.0, crop=(0.5, 0.6))
    batch = synthesize(given, mask, given, 64, config, torch.Generator().manual_seed(0))
    inside = batch.mask[:, 0] > 0
    assert (batch.composite[:, 0][inside] > 0.4).all()


def test_relighting_changes_real_and_given_alike():
    real, mask = pictures()
    config = only("given", mask_noise=0.0, relight=1.0, crop=(1, 1), flip=0)
    batch = synthesize(real, mask, real, 64, config, torch.Generator().manual_seed(3))
    plain = synthesize(
        real, mask, real, 64, config.model_copy(update={"relight": 0.0}), torch.Generator().manual_seed(3)
    )
    assert (batch.composite - batch.real).abs().max() < 1 / 254  # what fitted before still fits
    assert ((batch.real - plain.real).abs().mean((1, 2, 3)) > 0.005).all()
    assert torch.equal(batch.mask, plain.mask)
    none_given = synthesize(real, mask, None, 64, config.model_copy(update={"given": 0, "identity": 1}), dice(3))
    assert torch.isfinite(none_given.real).all()


def test_swapped_masks_are_those_of_other_samples_and_spare_given_composites():
    real, mask = pictures()
    config = only("photometric", mask_noise=0.0, swap=1.0, crop=(1, 1), flip=0)
    batch = synthesize(real, mask, None, 64, config, dice(0))
    plain = synthesize(real, mask, None, 64, config.model_copy(update={"swap": 0.0}), dice(0))
    assert torch.equal(batch.mask, plain.mask.flip(0))
    outside = (batch.mask == 0).expand_as(batch.real)
    assert torch.equal(batch.composite[outside], batch.real[outside])
    given = synthesize(
        real, mask, real * 0.5, 64, only("given", mask_noise=0.0, swap=1.0, crop=(1, 1), flip=0), dice(0)
    )
    assert torch.equal(given.mask, plain.mask)


def dice(seed):
    return torch.Generator().manual_seed(seed)


def region(seed, shift):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 3, 32, 32, generator=generator) * 0.4 + shift
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, 4:28, 4:28] = 1
    return x, mask


def moments(x, mask):
    values = x[:, :, mask[0, 0] > 0]
    return values.mean(2), torch.stack([torch.cov(v) for v in values])


def test_covariance_transfer_reaches_the_references_moments():
    (x, mask), (reference, other) = region(0, 0.1), region(1, 0.5)
    reference = reference * torch.tensor([1.0, 0.4, 0.7]).view(1, 3, 1, 1)
    mean, covariance = moments(color.covariance_transfer(x, mask, reference, other), mask)
    want_mean, want_covariance = moments(reference, other)
    assert_allclose(mean, want_mean, atol=1e-4)
    assert_allclose(covariance, want_covariance, atol=2e-3)


def test_reinhard_transfer_reaches_the_references_means_and_deviations():
    (x, mask), (reference, other) = region(0, 0.1), region(1, 0.5)
    result = color.reinhard_transfer(x, mask, reference, other)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    for picture, want in ((result, reference),):
        ours, theirs = ((p * weights).sum(1)[:, mask[0, 0] > 0] for p in (picture, want))
        assert_allclose(ours.mean(1), theirs.mean(1), atol=1e-4)
        assert_allclose(ours.std(1), theirs.std(1), rtol=1e-2)


def test_histogram_transfer_reaches_the_references_quantiles():
    (x, mask), (reference, other) = region(0, 0.0), region(1, 0.5)
    result = color.histogram_transfer(x, mask, reference**2, other)
    inside = mask[0, 0] > 0
    shares = torch.tensor([0.1, 0.5, 0.9])
    ours, theirs = (torch.quantile(p[:, :, inside], shares, dim=2) for p in (result, reference**2))
    assert_allclose(ours, theirs, atol=0.03)


def test_idt_reaches_the_references_distribution_along_any_axis():
    (x, mask), (reference, other) = region(0, 0.1), region(1, 0.4)
    reference = reference * torch.tensor([1.0, 0.5, 0.8]).view(1, 3, 1, 1)
    reference = torch.stack([reference[:, 0], reference[:, 1] + 0.4 * reference[:, 0], reference[:, 2]], 1)
    rotations = torch.linalg.qr(torch.randn(12, 3, 3, generator=dice(0)))[0]
    result = color.idt_transfer(x, mask, reference, other, rotations)
    inside = mask[0, 0] > 0
    shares = torch.tensor([0.1, 0.5, 0.9])
    for axis in torch.nn.functional.normalize(torch.randn(4, 3, generator=dice(1)), dim=1):
        ours, theirs = (
            torch.quantile(torch.einsum("c,nchw->nhw", axis, p)[:, inside], shares, dim=1) for p in (result, reference)
        )
        assert_allclose(ours, theirs, atol=0.04)
    mean, covariance = moments(result, mask)
    want_mean, want_covariance = moments(reference, other)
    assert_allclose(mean, want_mean, atol=0.02)
    assert_allclose(covariance, want_covariance, atol=6e-3)


def test_near_transfers_take_the_colours_of_the_partner():
    real, mask = pictures(4)
    real, mask = 0.35 + 0.3 * real, (mask > 0.5).float()  # so that nothing clips
    config = only("near", mask_noise=0.0, crop=(1, 1), flip=0, strength=(1, 1))
    partners = torch.tensor([2, 3, 0, 1])
    batch = synthesize(real, mask, None, 72, config, dice(0), partners)
    wanted = color.region_mean(real, mask)[partners]
    assert_allclose(color.region_mean(batch.composite, batch.matte), wanted, atol=0.03)


def test_a_scene_map_takes_the_statistics_of_whole_pictures():
    x, _ = region(0, 0.1)
    reference, _ = region(1, 0.5)
    for seed in range(6):  # each of the three estimates
        mapped = scene_map(x, reference, Dice(dice(seed)))
        assert_allclose(mapped.mean((2, 3)), reference.mean((2, 3)), atol=0.02)


def test_a_camera_keeps_gray_gray_on_average_and_order_of_lightness():
    ramp = torch.linspace(0.1, 0.8, 64).expand(400, 3, 1, 64).contiguous()
    seen = camera(ramp, SynthesisConfig(spatial=0.0), Dice(dice(0)))
    assert torch.isfinite(seen).all()
    lightness = seen.mean(1)
    assert ((lightness[..., 1:] - lightness[..., :-1]) > -1e-3).float().mean() > 0.99
    casts = (seen - seen.mean(1, keepdim=True)).mean((0, 2, 3))
    assert casts.abs().max() < 0.01  # no cast is preferred
    assert (seen - ramp).abs().mean((1, 2, 3)).quantile(0.1) > 0.01


def test_light_curves_and_colour_have_neutral_settings():
    x, mask = region(0, 0.2)
    zero = torch.zeros(2, 1, 1, 1)
    assert_allclose(color.to_srgb(color.to_linear(x)), x, atol=1e-5)
    assert_allclose(color.adjust_light(x, zero, zero, zero), x, atol=1e-4)
    assert_allclose(color.adjust_saturation(x, zero + 1), x, atol=1e-6)
    assert_allclose(color.adjust_contrast(x, mask, zero + 1), x, atol=1e-6)
    line = torch.linspace(0, 1, 7).expand(2, 3, 7).contiguous()
    assert_allclose(color.apply_curve(x, line), x, atol=0.5 / 1023 + 1e-6)
    doubled = color.to_linear(color.adjust_light(x * 0.4, zero + 1, zero, zero))
    assert_allclose(doubled, 2 * color.to_linear(x * 0.4), rtol=1e-3, atol=1e-4)
    gray = color.adjust_saturation(x, zero)
    assert_allclose(gray[:, 0], gray[:, 2], atol=1e-6)


@pytest.mark.parametrize("quality", [40, 75, 95])
def test_jpeg_noise_is_what_a_file_would_do(quality):
    real, _ = pictures(1, 96)
    buffer = io.BytesIO()
    pixels = (real[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    theirs = np.asarray(Image.open(buffer)).astype(np.float32)
    ours = jpeg_noise(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, torch.tensor([quality]))
    ours = (ours[0].permute(1, 2, 0) * 255).numpy()
    noise = np.abs(pixels - theirs).mean()
    assert (
        np.abs(ours - theirs).mean() < 0.35 * noise + 0.6
    )  # libjpeg rounds its colour planes and its transform to integers
    assert np.abs(ours - pixels).mean() == pytest.approx(noise, rel=0.2, abs=0.2)


def test_sizes_that_are_no_multiple_of_8():
    x = torch.rand(1, 3, 13, 21)
    assert jpeg_noise(x, torch.tensor([90])).shape == x.shape


@pytest.mark.parametrize(
    "wrong",
    [
        {"given": -1},
        {"crop": (0.9, 0.2)},
        {"unknown": 1},
        {"jpeg_quality": (0, 50)},
        dict.fromkeys(KINDS, 0),
        {"flip": 2},
        {"rim": (0.1, 0.05)},
        {"rim": (0.1, 0.5)},
        {"moved": 0.7, "elsewhere": 0.4},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        SynthesisConfig(**wrong)
