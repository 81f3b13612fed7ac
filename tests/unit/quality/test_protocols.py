"""Each protocol against the arithmetic of the public code that it is named after, written out with its libraries."""

import math

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from edge_harmony.errors import UsageError
from edge_harmony.quality.protocols import PROTOCOLS, find_protocol
from edge_harmony.samples import sample_pictures

pytestmark = pytest.mark.lengthy


def sample():
    """A composite whose background has JPEG-like noise too, a soft mask, and the real picture."""
    _, real, mask = next(iter(sample_pictures()))
    real, mask = real[:-3, :-5], cv2.GaussianBlur(mask[:-3, :-5], (5, 5), 0)
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 2, real.shape) + (mask[..., None] > 0) * rng.normal(-20, 12, real.shape)
    return np.clip(real + noise, 0, 255).astype(np.uint8), mask, real


def scored(name):
    """The protocol's scores of the composite itself, and what it prepared."""
    protocol = PROTOCOLS[name]
    composite, mask, real, weight = protocol.prepare(*sample())
    return protocol.score(composite, real, weight), composite, mask, real, weight


def test_hdnet():
    composite, mask, real = (Image.fromarray(x) for x in (sample()[0], sample()[1] > 0.5, sample()[2]))
    small = [np.asarray(x.resize((256, 256), Image.Resampling.BILINEAR)) for x in (composite, real)]
    binary = np.asarray(mask.resize((256, 256), Image.Resampling.NEAREST)).astype(np.float32)[..., None]
    rebuilt = (small[0] * binary + small[1] * (1 - binary)).astype(np.uint8)
    scores, shown, _, _, weight = scored("hdnet")
    np.testing.assert_array_equal(shown, rebuilt)
    np.testing.assert_array_equal(weight, binary[..., 0])
    assert scores.mse == pytest.approx(mean_squared_error(rebuilt, small[1]), rel=1e-5)
    assert scores.psnr == pytest.approx(peak_signal_noise_ratio(rebuilt, small[1]), rel=1e-6)


def test_dovenet():
    composite, mask, real = (Image.fromarray(x) for x in (sample()[0], sample()[1] > 0.5, sample()[2]))
    ours, theirs = (
        np.asarray(x.resize((256, 256), Image.Resampling.BILINEAR)).astype(np.float32) for x in (composite, real)
    )
    binary = np.asarray(mask.resize((256, 256), Image.Resampling.NEAREST)).astype(np.float32)[..., None]
    scores, shown, _, _, _ = scored("dovenet")
    np.testing.assert_array_equal(shown, ours)
    assert scores.mse == pytest.approx(mean_squared_error(ours, theirs), rel=1e-5)
    expected = peak_signal_noise_ratio(theirs, ours, data_range=ours.max() - ours.min())
    assert scores.psnr == pytest.approx(expected, rel=1e-6)
    fmse = mean_squared_error(ours * binary, theirs * binary) * 256 * 256 / binary.sum()
    assert scores.fmse == pytest.approx(fmse, rel=1e-4)


def test_issam():
    composite, mask, real = sample()
    ours, theirs = (
        cv2.resize(x, (256, 256), interpolation=cv2.INTER_LINEAR).astype(np.float32) for x in (composite, real)
    )
    weight = cv2.resize(mask, (256, 256), interpolation=cv2.INTER_LINEAR)[..., None]
    scores, shown, _, _, _ = scored("issam")
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown * 255, ours, atol=1e-3)
    error = np.mean((ours - theirs) ** 2)
    assert scores.mse == pytest.approx(error, rel=1e-4)
    assert scores.psnr == pytest.approx(10 * math.log10(theirs.max() ** 2 / (error + 1e-6)), rel=1e-5)
    fmse = (weight * (ours - theirs) ** 2).sum() / (3 * weight.sum() + 1e-6)
    assert scores.fmse == pytest.approx(fmse, rel=1e-4)


def test_pctnet_fullres():
    composite, mask, real = sample()
    difference = (composite.astype(np.float64) - real) ** 2
    scores, shown, _, _, weight = scored("pctnet-fullres")
    assert shown.shape == composite.shape
    np.testing.assert_array_equal(weight, mask)
    error = (mask[..., None] * difference).mean()
    assert scores.mse == pytest.approx(error, rel=1e-4)
    assert scores.psnr == pytest.approx(10 * math.log10(255**2 / (error + 1e-6)), rel=1e-5)
    assert scores.fmse == pytest.approx((mask[..., None] * difference).sum() / (3 * mask.sum()), rel=1e-4)


def test_native_leaves_everything_as_it_is():
    composite, mask, real = sample()
    scores, shown, seen, kept, weight = scored("native")
    np.testing.assert_array_equal(shown, composite)
    np.testing.assert_array_equal(kept, real)
    np.testing.assert_array_equal(seen, mask)
    assert set(np.unique(weight)) == {0, 1}
    assert scores.mse == pytest.approx(mean_squared_error(composite, real), rel=1e-6)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_edges(name):
    protocol = PROTOCOLS[name]
    composite, mask, real = sample()
    same = protocol.prepare(real, mask, real)
    assert protocol.score(same[0], same[2], same[3]).psnr > 100
    empty = protocol.prepare(composite, mask * 0, real)
    scores = protocol.score(empty[0], empty[2], empty[3])
    assert math.isnan(scores.fmse)
    assert math.isnan(scores.fpsnr)
    assert scores.mse >= 0
    flat = protocol.prepare(real * 0, mask, real * 0)
    assert not math.isnan(protocol.score(flat[0], flat[2], flat[3]).psnr)


def test_unknown_protocols_name_the_known_ones():
    with pytest.raises(UsageError, match="no protocol 'other'"):
        find_protocol("other")
