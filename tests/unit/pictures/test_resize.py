"""Shrinking against OpenCV's area averages and against exact sums."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_harmony.pictures.parallel_rows import set_threads
from edge_harmony.pictures.resize import _area_means, resize, resize_to_float

pytestmark = pytest.mark.usefixtures("each_kernel")

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("shape", [(700, 900), (701, 533, 3), (512, 512, 3), (300, 4001, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_area_averages_are_those_of_opencv(shape, dtype):
    image = RNG.random(shape, dtype=np.float32)
    if dtype != np.float32:
        image = (image * np.iinfo(dtype).max).astype(dtype)
    ours = resize(image, (256, 256))
    theirs = cv2.resize(image.astype(np.float32), (256, 256), interpolation=cv2.INTER_AREA).reshape(ours.shape)
    assert ours.dtype == dtype
    peak = 1 if dtype == np.float32 else np.iinfo(dtype).max
    rounding = 0 if dtype == np.float32 else 0.5  # halves may go either way
    assert np.abs(ours - theirs).max() <= rounding + 2e-6 * peak
    exact = resize_to_float(image, (256, 256))
    assert exact.dtype == np.float32
    np.testing.assert_allclose(exact, theirs, atol=2e-6 * peak)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 60), st.integers(0, 60), st.sampled_from([1, 2, 3]))
def test_every_sample_counts_once(height, width, more_rows, more_columns, channels):
    """Averages, weighted by the equal areas of output pixels, have the input's mean."""
    image = RNG.random((height + more_rows, width + more_columns, channels), dtype=np.float32)
    shrunk = _area_means(image, (width, height))
    assert shrunk.shape == (height, width, channels)
    np.testing.assert_allclose(shrunk.mean((0, 1)), image.mean((0, 1)), atol=1e-5)
    assert shrunk.min() >= image.min() - 1e-6
    assert shrunk.max() <= image.max() + 1e-6


@pytest.mark.parametrize("size", [(100, 50), (30, 200), (64, 64), (200, 200)])
def test_other_sizes_are_opencvs(size):
    image = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    way = cv2.INTER_AREA if size <= (64, 64) and size[1] <= 64 else cv2.INTER_LINEAR
    np.testing.assert_array_equal(
        resize(image, size), image if size == (64, 64) else cv2.resize(image, size, None, 0, 0, way)
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(threads):
    image = RNG.integers(0, 256, (1111, 777, 3), np.uint8)
    set_threads(1)
    alone = resize(image, (256, 256))
    set_threads(threads)
    try:
        np.testing.assert_array_equal(resize(image, (256, 256)), alone)
    finally:
        set_threads(0)
