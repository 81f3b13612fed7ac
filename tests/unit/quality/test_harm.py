"""Harm on artificial pictures with known answers, and of harmonizers that are known to be good or bad."""

import math

import numpy as np
import pytest
from skimage.color import rgb2lab

from edge_harmony.data.iharmony4 import read_split
from edge_harmony.pictures.metrics import Scores
from edge_harmony.quality.evaluation import score_samples, summarize
from edge_harmony.quality.harm import Harm, measure_harm, score, summarize_harm
from edge_harmony.quality.preparation import Preparation
from edge_harmony.quality.protocols import PROTOCOLS

pytestmark = pytest.mark.lengthy


def flat(*colour):
    return np.full((4, 5, 3), colour, np.uint8)


def halves(left, right):
    picture = flat(*left)
    picture[:, 2:4] = right
    return picture


WEIGHT = np.repeat(np.float32([[1, 1, 1, 1, 0]]), 4, 0)  # columns 0 to 3 are foreground


def test_lab_is_that_of_the_standard():
    rng = np.random.default_rng(2)
    ours, truth = (rng.integers(0, 256, (4, 5, 3), np.uint8) for _ in range(2))
    harm = measure_harm(ours, ours, truth, truth, WEIGHT)
    for picture, chroma, lightness in (
        (ours, harm.chroma, harm.lightness),
        (truth, harm.truth_chroma, harm.truth_lightness),
    ):
        lab = rgb2lab(picture)[:, :4].reshape(-1, 3)
        assert chroma == pytest.approx(np.hypot(lab[:, 1], lab[:, 2]).mean(), rel=2e-3)
        assert lightness == pytest.approx(lab[:, 0].mean(), rel=2e-3)


def test_no_change_error_is_that_of_the_foreground():
    real = flat(100, 100, 100)
    unasked = halves((106, 100, 100), (100, 100, 100))
    unasked[:, 4] = 0  # outside
    harm = measure_harm(real, real, real, unasked, WEIGHT)
    assert harm.no_change == pytest.approx(36 / 3 / 2)


@pytest.mark.parametrize(
    ("ours", "theirs", "truth", "share"),
    [
        ((2, 50, 50), (3, 50, 50), (3, 50, 50), 0.5),
        ((253, 50, 50), (252, 50, 50), (252, 50, 50), 0.5),
        ((3, 50, 252), (9, 50, 50), (9, 50, 50), 0),  # at the bounds
        ((0, 50, 50), (1, 50, 50), (9, 50, 50), 0),  # the composite's
        ((0, 50, 50), (9, 50, 50), (1, 50, 50), 0),  # the truth's
        ((0, 50, 255), (1, 50, 50), (1, 50, 50), 0.5),  # another channel
    ],
)
def test_newly_clipped(ours, theirs, truth, share):
    plain = (50, 50, 50)
    pictures = (halves(plain, colour) for colour in (ours, theirs, truth, truth))
    assert measure_harm(*pictures, WEIGHT).clipped == share


def test_turned_hues_need_chroma_on_both_sides():
    red, blue, gray, orange, brick = (200, 40, 40), (40, 40, 200), (120, 120, 120), (200, 60, 40), (150, 40, 30)
    for ours, share in ((blue, 0.5), (gray, 0), (orange, 0), (brick, 0), (red, 0)):
        harm = measure_harm(halves(red, ours), halves(blue, red), flat(*red), flat(*red), WEIGHT)
        assert harm.hue_turned == share
        assert harm.composite_hue_turned == 0.5
    harm = measure_harm(flat(*red), flat(*red), flat(*gray), flat(*gray), WEIGHT)
    assert harm.hue_turned == harm.composite_hue_turned == 0


@pytest.mark.parametrize(("degrees", "turned"), [(28, 0), (32, 1), (-32, 1), (180, 1)])
def test_thirty_degrees_is_another_hue(degrees, turned):
    """Around the wheel at one lightness and chroma, from a hue where the angle wraps."""
    from skimage.color import lab2rgb

    def colour(hue):
        lab = [60, 25 * math.cos(math.radians(hue)), 25 * math.sin(math.radians(hue))]
        return np.full((4, 5, 3), 255 * lab2rgb([[lab]])[0, 0], np.float32)

    truth, ours = colour(170), colour(170 + degrees)
    assert measure_harm(ours, truth, truth, truth, WEIGHT).hue_turned == turned


def scores(psnr, fmse):
    return Scores(psnr=psnr, mse=1.0, fmse=fmse, fpsnr=1.0, ssim=1.0, fssim=1.0)


def harm_of(k, ratio=1.0):
    return Harm(
        no_change=10.0 * k,
        chroma=ratio * k,
        lightness=50.0,
        truth_chroma=float(k),
        truth_lightness=100.0,
        clipped=0.1,
        hue_turned=0.2,
        composite_hue_turned=0.3,
    )


def test_summary_of_ten_pictures():
    ours = [scores(30.0, 100.0 + 5 * k) for k in range(10)]  # 100 to 145
    composite = [scores(28.0, 110.0) for _ in range(10)]
    harms = [harm_of(k, 0.5 if k > 8 else 1.0) for k in range(1, 11)]  # the two most vivid lose half
    found = summarize_harm(ours, composite, harms)
    assert found["gain"] == pytest.approx(2)
    assert found["worse"] == 0.7  # above 110: 115 and on
    assert found["much_worse"] == 0.3  # above 132
    assert found["no_change"] == pytest.approx(55)
    assert found["no_change_median"] == pytest.approx(55)
    assert found["vivid_chroma"] == pytest.approx(0.5)
    assert found["chroma"] == pytest.approx((36 + 0.5 * 19) / 55)
    assert found["lightness"] == found["vivid_lightness"] == pytest.approx(0.5)
    assert (found["clipped"], found["hue_turned"], found["composite_hue_turned"]) == pytest.approx((0.1, 0.2, 0.3))
    assert found["score"] == pytest.approx(2 - 0.7 - 10 * math.log10(1.5))


def test_pictures_without_foreground_do_not_count():
    empty = measure_harm(flat(1, 2, 3), flat(4, 5, 6), flat(7, 8, 9), flat(7, 8, 9), WEIGHT * 0)
    assert all(math.isnan(value) for value in vars(empty).values())
    found = summarize_harm(
        [scores(30.0, 50.0), scores(30.0, math.nan)],
        [scores(28.0, 60.0), scores(28.0, math.nan)],
        [harm_of(4), empty],
    )
    assert (found["worse"], found["no_change"], found["chroma"]) == (0, 40, 1)
    assert set(summarize_harm([], [], []).values()) == {None}


def test_the_score_knows_who_does_harm():
    assert score(0.0, 0.0, 0.0, 500.0) == 0  # leaves everything as it is
    assert score(1.0, 0.3, 100.0, 500.0) > score(1.0, 0.5, 100.0, 500.0) > score(1.0, 0.5, 400.0, 500.0)
    assert score(1.0, 0.0, 500.0, 500.0) == pytest.approx(1 - 10 * math.log10(2))
    assert score(None, 0.0, 1.0, 1.0) is None
    assert score(1.0, 0.0, 1.0, 0.0) is None


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_idle_harmonizer_does_no_harm_under_any_protocol(mini_root, name):
    rows = score_samples(lambda composite, mask: composite, read_split(mini_root, "test"), None, PROTOCOLS[name])
    harm = summarize(rows)["harm"]
    for key in ("gain", "worse", "much_worse", "no_change", "no_change_median", "clipped", "score"):
        assert harm[key] == 0
    assert harm["hue_turned"] == harm["composite_hue_turned"]


@pytest.mark.parametrize("preparation", [Preparation(2), Preparation(moved=True), Preparation(1, relit=True)])
def test_a_harmonizer_that_paints_gray(mini_root, preparation):
    def gray(composite, mask):
        return np.where(mask[..., None] > 0.5, composite.mean(2, keepdims=True), composite).astype(np.uint8)

    rows = score_samples(gray, read_split(mini_root, "test"), preparation=preparation)
    harm = summarize(rows)["harm"]
    assert harm["chroma"] < 0.05
    assert harm["vivid_chroma"] < 0.05
    assert harm["hue_turned"] == 0
    assert harm["no_change"] > 1
    assert harm["score"] < harm["gain"]


def test_a_harmonizer_that_reads_the_rim_gains_until_the_rim_is_sealed(tmp_path):
    """It takes the colour just outside the mask, which is the truth where data sets leave a rim of the object."""

    class Made:
        name = "made"

        def load(self):
            real = np.full((64, 64, 3), (60, 90, 120), np.uint8)
            real[18:46, 18:46] = (200, 80, 70)
            mask = np.zeros((64, 64), np.float32)
            mask[20:44, 20:44] = 1
            return np.where(mask[..., None] > 0, np.uint8((120, 60, 60)), real), mask, real

    def reader(composite, mask):
        from edge_harmony.quality.rims import grow_mask

        inside = mask > 0.5
        ring = grow_mask(inside, 1) & ~inside
        return np.where(inside[..., None], np.rint(composite[ring].mean(0)), composite).astype(np.uint8)

    plain, sealed = (
        summarize(score_samples(reader, [Made()], preparation=p))["harm"] for p in (Preparation(), Preparation(2))
    )
    assert plain["worse"] == plain["no_change"] == 0
    assert sealed["worse"] == 1
    assert sealed["no_change"] > 1000
