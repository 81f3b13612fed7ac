"""The pipeline with a runner of known arithmetic: sizes, types, masks, bit-exact backgrounds."""

import logging

import numpy as np
import pytest

from edge_harmony.backends.base import Runner
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.manifest import IOSpec
from edge_harmony.pipeline.harmonize import harmonize_pixels

RNG = np.random.default_rng(2)


class FakeRunner(Runner):
    """Predicts a constant, so that the result is known in closed form; records what it was given."""

    io_spec = None

    def __init__(self, output="affine", value=0.1):
        self.io_spec = IOSpec(height=256, width=256, output=output)
        self.value = value
        self.seen = None

    def infer(self, composite, mask):
        self.seen = (composite, mask)
        if self.io_spec.output == "rgb":
            return composite + np.float32(self.value)
        if self.io_spec.output == "difference":
            return np.full((1, 3, 32, 32), self.value, np.float32)
        grid = np.zeros((1, 6 if self.io_spec.output == "gain" else 12, 32, 32), np.float32)
        grid[:, -3:] = self.value
        return grid


def picture(height, width, channels=3, dtype=np.uint8):
    if np.dtype(dtype).kind == "f":
        return RNG.random((height, width, channels)).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


@pytest.mark.parametrize("output", ["affine", "gain", "difference", "rgb"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [3, 4])
def test_known_change_for_every_type(output, dtype, channels):
    composite = picture(90, 131, channels, dtype)
    mask = np.zeros((90, 131), np.uint8)
    mask[20:60, 30:100] = 255
    mask[60:70] = 128
    before = composite.copy()
    result = harmonize_pixels(FakeRunner(output), composite, mask)
    np.testing.assert_array_equal(composite, before)
    assert result.dtype == dtype
    assert result.shape == composite.shape
    np.testing.assert_array_equal(result[mask == 0], composite[mask == 0])
    if channels == 4:
        np.testing.assert_array_equal(result[..., 3], composite[..., 3])
    peak = 1.0 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    expected = composite[..., :3].astype(np.float64) / peak + 0.1 * (mask[..., None] / 255)
    tolerance = 2e-3 if dtype == np.float16 else 1 / 255
    assert np.abs(result[..., :3] / peak - expected.clip(0, 1))[mask > 0].max() < tolerance


@pytest.mark.parametrize("output", ["affine", "gain", "difference", "rgb"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_half_of_a_known_change_and_none_of_it(output, dtype):
    composite = picture(60, 70, 4, dtype)
    mask = np.zeros((60, 70), np.uint8)
    mask[20:50, 10:60] = 255
    peak = 1.0 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    half = harmonize_pixels(FakeRunner(output, 0.2), composite, mask, strength=0.5)
    expected = (composite[..., :3].astype(np.float64) / peak + 0.1).clip(0, 1)
    assert np.abs(half[..., :3] / peak - expected)[mask > 0].max() < (2e-3 if dtype == np.float16 else 1 / 255)
    runner = FakeRunner(output)
    none = harmonize_pixels(runner, composite, mask, strength=0)
    assert none.tobytes() == composite.tobytes()
    assert none is not composite
    assert runner.seen is None  # the network is left in peace
    assert harmonize_pixels(runner, composite, mask, strength=0, in_place=True) is composite
    whole = harmonize_pixels(runner, composite, mask)
    assert harmonize_pixels(runner, composite, mask, strength=1.0).tobytes() == whole.tobytes()


@pytest.mark.parametrize("strength", [-1, 1.6, float("nan"), float("-inf")])
def test_strengths_out_of_range_are_refused_before_any_work(strength):
    runner = FakeRunner()
    with pytest.raises(UsageError, match="strength is"):
        harmonize_pixels(runner, picture(8, 8), np.ones((8, 8), bool), strength=strength)
    assert runner.seen is None


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (256, 256), (1000, 40), (1, 5000)])
def test_any_size(size):
    composite = picture(*size)
    result = harmonize_pixels(FakeRunner(), composite, np.ones(size, bool))
    assert result.shape == composite.shape
    assert (result.astype(int) >= composite).all()


def test_the_network_sees_the_working_size_in_range():
    runner = FakeRunner()
    composite = picture(500, 700, dtype=np.uint16)
    mask = (RNG.random((500, 700)) > 0.5).astype(np.float32)
    harmonize_pixels(runner, composite, mask)
    seen, seen_mask = runner.seen
    assert seen.shape == (1, 3, 256, 256)
    assert seen_mask.shape == (1, 1, 256, 256)
    assert seen.dtype == seen_mask.dtype == np.float32
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert seen.mean() == pytest.approx(composite.mean() / 65535, abs=1e-3)


def test_an_empty_mask_warns_and_returns_a_copy(caplog):
    composite = picture(20, 20)
    with caplog.at_level(logging.WARNING, "edge_harmony"):
        result = harmonize_pixels(FakeRunner(), composite, np.zeros((20, 20), np.uint8))
    assert "mask is empty" in caplog.text
    np.testing.assert_array_equal(result, composite)
    assert result is not composite


@pytest.mark.parametrize(
    ("composite", "mask", "message"),
    [
        (picture(10, 10), np.zeros((10, 11), np.uint8), "11x10 but composite is 10x10"),
        (picture(10, 10)[..., 0], np.zeros((10, 10), np.uint8), "shape"),
        (picture(10, 10, 2), np.zeros((10, 10), np.uint8), "shape"),
        (np.zeros((0, 10, 3), np.uint8), np.zeros((0, 10), np.uint8), "shape"),
        (picture(10, 10).astype(np.int32), np.zeros((10, 10), np.uint8), "type int32"),
        (picture(10, 10, dtype=np.float32) * 255, np.zeros((10, 10), np.uint8), "float values"),
        (np.full((10, 10, 3), np.nan, np.float32), np.zeros((10, 10), np.uint8), "float values"),
        (picture(10, 10), np.zeros((10, 10, 3), np.uint8), "mask has the shape"),
        (picture(10, 10), np.full((10, 10), np.nan, np.float32), "float values"),
        (picture(10, 10), np.zeros((10, 10), np.complex64), "mask has the type"),
    ],
)
def test_wrong_arrays(composite, mask, message):
    with pytest.raises(InputError, match=message):
        harmonize_pixels(FakeRunner(), composite, mask)


def test_predictions_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="not finite"):
        harmonize_pixels(FakeRunner(value=np.nan), picture(8, 8), np.ones((8, 8), bool))


def test_a_painted_picture_does_not_bleed_over_the_masks_edge():
    """Outside the mask a painting network may return anything; upsampling must not pull it in."""
    runner = FakeRunner("rgb")

    def infer(composite, mask):
        return np.where(mask > 0.5, composite + np.float32(0.1), np.float32(50.0)).astype(np.float32)

    runner.infer = infer
    composite = np.full((1024, 1024, 3), 100, np.uint8)
    mask = np.zeros((1024, 1024), np.uint8)
    mask[256:768, 256:768] = 255
    result = harmonize_pixels(runner, composite, mask)
    assert np.abs(result[mask > 0].astype(int) - (100 + 25.5)).max() <= 1


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_in_place(channels, dtype):
    composite = picture(40, 50, channels, dtype)
    mask = np.zeros((40, 50), np.uint8)
    mask[5:20, 10:30] = 255
    wanted = harmonize_pixels(FakeRunner(), composite, mask)
    view = np.repeat(composite, 2, axis=1)[:, ::2]  # not contiguous
    for given in (composite.copy(), view):
        assert harmonize_pixels(FakeRunner(), given, mask, in_place=True) is given
        np.testing.assert_array_equal(given, wanted)
    assert harmonize_pixels(FakeRunner(), composite, mask * 0, in_place=True) is composite
    composite.flags.writeable = False
    with pytest.raises(InputError, match="cannot be written"):
        harmonize_pixels(FakeRunner(), composite, mask, in_place=True)
