"""Sealed and moved samples on small artificial pictures."""

import cv2
import numpy as np
import pytest

from edge_harmony.errors import UsageError
from edge_harmony.quality.preparation import MOVED_PIXELS, PLAIN, Preparation
from edge_harmony.quality.rims import fill, grow_mask, moved, sealed, shrink_mask

LEAK, TRUE, WRONG, GROUND = (250, 0, 0), (200, 40, 40), (40, 40, 200), (90, 120, 60)
TELEA = 5
"""Levels that the method drifts by on a flat ground, in the depth of a hole; the leak differs by more than 100."""


def off_ground(pixels):
    """The largest difference to the flat ground, levels."""
    return np.abs(pixels.astype(int) - GROUND).max()


def sample(box=(20, 34, 22, 40), size=(60, 72)):
    """An object whose true colours stick out of its mask by two pixels on every side."""
    top, bottom, left, right = box
    real = np.full((*size, 3), GROUND, np.uint8)
    real[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = LEAK
    real[top:bottom, left:right] = TRUE
    mask = np.zeros(size, np.float32)
    mask[top:bottom, left:right] = 1
    composite = real.copy()
    composite[mask > 0] = WRONG
    return composite, mask, real


def chebyshev(inside):
    """Distance of every pixel to the nearest pixel of a mask, in rows or columns, whichever is more; by brute force."""
    rows, columns = np.nonzero(inside)
    y, x = np.indices(inside.shape)
    return np.maximum(abs(y[..., None] - rows), abs(x[..., None] - columns)).min(-1)


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_within_so_many_pixels_is_exact(pixels):
    rng = np.random.default_rng(pixels)
    inside = cv2.GaussianBlur(rng.normal(size=(40, 50)), (0, 0), 4) > 0
    np.testing.assert_array_equal(grow_mask(inside, pixels), chebyshev(inside) <= pixels)
    np.testing.assert_array_equal(shrink_mask(inside, pixels), chebyshev(~inside) > pixels)


def test_the_edge_of_the_picture_is_no_rim():
    inside = np.zeros((9, 9), bool)
    inside[:, :6] = True
    kept = shrink_mask(inside, 2)
    assert kept[:, :4].all()
    assert not kept[:, 4:].any()


@pytest.mark.parametrize("box", [(20, 34, 22, 40), (0, 20, 10, 72), (4, 58, 2, 60)])
def test_filling_a_part_is_filling_the_whole_picture(box):
    rng = np.random.default_rng(3)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (60, 72, 3), np.uint8), (5, 5), 0)
    hole = np.zeros((60, 72), bool)
    hole[box[0] : box[1], box[2] : box[3]] = True
    np.testing.assert_array_equal(
        fill(picture, hole), cv2.inpaint(picture, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    )


def test_nothing_inside_a_hole_tells():
    rng = np.random.default_rng(5)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (60, 72, 3), np.uint8), (5, 5), 0)
    hole = np.zeros((60, 72), bool)
    hole[20:41, 11:50] = True
    other = np.where(hole[..., None], 255 - picture, picture)
    np.testing.assert_array_equal(fill(picture, hole), fill(other, hole))


def test_sealed_pictures_keep_no_true_colour_outside_the_object():
    composite, mask, real = sample()
    assert (composite == LEAK).all(2).any()  # what tells, before
    shown, kept, truth = sealed(composite, mask, real, 2)
    inside = kept > 0
    np.testing.assert_array_equal(np.argwhere(inside).min(0), (22, 24))
    np.testing.assert_array_equal(np.argwhere(inside).max(0), (31, 37))
    assert (shown[inside] == WRONG).all()
    assert (truth[inside] == TRUE).all()
    for picture in (shown, truth):
        assert off_ground(picture[~inside]) <= TELEA  # leak and rim are both gone


def test_a_leak_wider_than_the_seal_is_still_there():
    composite, mask, real = sample()
    shown, kept, _ = sealed(composite, mask, real, 1)
    assert off_ground(shown[kept == 0]) > 100


def test_what_vanishes_is_left_out():
    composite, mask, real = sample(box=(20, 24, 22, 40))
    assert sealed(composite, mask, real, 1) is not None
    assert sealed(composite, mask, real, 2) is None
    assert moved(composite, mask, real, 2, "a") is None
    assert sealed(composite, mask * 0, real, 1) is None


def test_a_mask_as_large_as_the_picture():
    composite, _, real = sample()
    shown, kept, _ = sealed(composite, np.ones(composite.shape[:2], np.float32), real, 2)
    assert kept.all()
    np.testing.assert_array_equal(shown, composite)
    assert (fill(composite, kept > 0) == 128).all()


@pytest.mark.parametrize(
    ("box", "step"),
    [
        ((10, 50, 4, 20), (0, 18)),  # 12 wide after shrinking, and three times two for the rims; left is at the edge
        ((10, 50, 50, 66), (0, -18)),
        ((4, 18, 2, 70), (16, 0)),
        ((10, 30, 10, 64), (22, 0)),
    ],
)
def test_moved_objects_stand_beside_their_old_place(box, step):
    composite, mask, real = sample(box)
    shown, kept, truth = moved(composite, mask, real, 2, "name")
    old = shrink_mask(mask > 0, 2)
    place = np.zeros_like(old)
    rows, columns = np.nonzero(old)
    place[rows + step[0], columns + step[1]] = True
    np.testing.assert_array_equal(kept > 0, place)
    assert (shown[place] == WRONG).all()
    assert (truth[place] == TRUE).all()
    for picture in (shown, truth):
        assert off_ground(picture[~place]) <= TELEA


def test_the_name_decides_between_equal_places():
    places = set()
    for name in "abcdefghijklmnop":
        kept = moved(*sample((23, 37, 27, 45)), 2, name)[1]
        np.testing.assert_array_equal(kept, moved(*sample((23, 37, 27, 45)), 2, name)[1])
        places.add(tuple(np.argwhere(kept).min(0)))
    assert len(places) == 4


def test_an_object_that_spans_the_picture_has_nowhere_to_go():
    assert moved(*sample((0, 60, 0, 72)), 2, "name") is None


def test_preparations_are_what_they_say():
    composite, mask, real = sample()
    for got, expected in zip(PLAIN.apply("a", composite, mask, real), (composite, mask, real), strict=True):
        assert got is expected
    for preparation, expected in (
        (Preparation(sealed=3), sealed(composite, mask, real, 3)),
        (Preparation(moved=True), moved(composite, mask, real, MOVED_PIXELS, "a")),
        (Preparation(sealed=3, moved=True), moved(composite, mask, real, 3, "a")),
    ):
        for got, wanted in zip(preparation.apply("a", composite, mask, real), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
    assert Preparation(2, relit=True).record(4) == {
        "label": "relit, sealed by 2",
        "sealed": 2,
        "moved": False,
        "relit": True,
        "left_out": 4,
    }


@pytest.mark.parametrize("pixels", [-1, 65])
def test_impossible_seals_are_refused(pixels):
    with pytest.raises(UsageError, match=f"sealed by {pixels} pixels"):
        Preparation(pixels)
