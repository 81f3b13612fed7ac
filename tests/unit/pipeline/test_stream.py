"""Streams: order, back-pressure, smoothing, scene cuts, errors; with a runner whose prediction is known."""

import itertools
import threading

import numpy as np
import pytest

from edge_harmony.errors import InputError, UsageError
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pipeline.temporal import Flicker, SceneCuts, Smoother
from tests.unit.pipeline.test_harmonize import FakeRunner, picture

RNG = np.random.default_rng(6)


class Counting(FakeRunner):
    """Predicts offsets that alternate, as a network that flickers."""

    def __init__(self, values=(0.1,)):
        super().__init__("affine")
        self.values = values
        self.calls = 0
        self.threads = set()

    def infer(self, composite, mask):
        self.value = self.values[self.calls % len(self.values)]
        self.calls += 1
        self.threads.add(threading.get_ident())
        return super().infer(composite, mask)


def frames(count, value=100, size=(60, 80)):
    return [np.full((*size, 3), value + k % 2, np.uint8) for k in range(count)]


MASK = np.zeros((60, 80), np.uint8)
MASK[20:40, 20:60] = 255
LONG = 600
"""Seconds: nothing takes as long, on a busy machine either."""


def test_a_stream_without_smoothing_is_frame_by_frame():
    runner = Counting((0.1, 0.2))
    given = frames(7)
    results = list(Harmonizer(runner).stream(given, [MASK] * 7, keep=0))
    alone = Harmonizer(Counting((0.1, 0.2)))
    assert len(results) == 7
    for result, frame in zip(results, given, strict=True):
        np.testing.assert_array_equal(result, alone.harmonize(frame, MASK))
    assert runner.calls == 7
    assert threading.get_ident() not in runner.threads  # prediction overlaps with whoever takes the frames


def test_smoothing_halves_what_a_flickering_network_adds():
    def flicker(keep):
        made = list(Harmonizer(Counting((0.05, 0.15))).stream(frames(40), [MASK] * 40, keep=keep))
        inside = np.array([m[MASK > 0].mean() for m in made]) - np.array([f.mean() for f in frames(40)])
        return np.abs(np.diff(inside[20:])).mean(), inside[20:].mean()

    (raw, level), (smooth, same) = flicker(0), flicker(0.8)
    assert smooth < 0.3 * raw
    assert same == pytest.approx(level, abs=1.0)


def test_a_cut_takes_the_new_scenes_colours_at_once():
    dark, bright = frames(5, 40), frames(5, 200)
    for cut, wanted in ((0.12, 0.3), (0.0, None)):
        made = list(Harmonizer(Counting((0.0,) * 5 + (0.3,) * 5)).stream(dark + bright, [MASK] * 10, keep=0.9, cut=cut))
        change = float(made[5][MASK > 0].mean()) - 200
        assert (abs(change - 55) < 2) == (wanted is not None)  # 200 + 0.3 * 255 is clipped at 255


def test_prediction_every_so_many_frames():
    runner = Counting((0.1, 0.2, 0.3))
    made = list(Harmonizer(runner).stream(frames(9), [MASK] * 9, every=4, keep=0))
    assert runner.calls == 3
    levels = [round(float(m[MASK > 0].mean()) - float(f.mean())) for m, f in zip(made, frames(9), strict=True)]
    assert [abs(level - wanted) <= 1 for level, wanted in zip(levels, [26] * 4 + [51] * 4 + [76], strict=True)] == [
        True
    ] * 9


def test_no_more_frames_are_read_than_are_needed():
    read = []

    def endless():
        while True:
            read.append(1)
            yield picture(32, 32)

    stream = Harmonizer(FakeRunner()).stream(endless(), itertools.repeat(np.full((32, 32), 255, np.uint8)))
    for k in range(20):
        next(stream)
        assert len(read) <= k + 4
    stream.close()
    count = len(read)
    assert len(read) == count
    assert not [t for t in threading.enumerate() if t.name.startswith(("edge-harmony-predict", "edge-harmony-apply"))]


def test_types_alpha_and_frames_without_a_foreground():
    composite = picture(40, 50, 4, np.uint16)
    mask = np.zeros((40, 50), np.float32)
    mask[10:20] = 1
    with_, without = list(Harmonizer(FakeRunner()).stream([composite, composite], [mask, mask * 0]))
    assert with_.dtype == np.uint16
    np.testing.assert_array_equal(with_[..., 3], composite[..., 3])
    assert (with_[mask > 0] != composite[mask > 0]).any()
    np.testing.assert_array_equal(without, composite)


@pytest.mark.parametrize(
    ("given", "masks", "says"),
    [
        (frames(3), [MASK] * 2, "2 masks, and more frames"),
        (frames(2), [MASK] * 3, "2 frames, and more masks"),
        (frames(2), [MASK, MASK[:, :-1]], "79x60 but composite is 80x60"),
        ([np.zeros((4, 4, 3))], [np.full((4, 4), 2.0)], "float values"),
    ],
)
def test_streams_that_do_not_fit(given, masks, says):
    with pytest.raises(InputError, match=says):
        list(Harmonizer(FakeRunner()).stream(given, masks))


@pytest.mark.parametrize("wrong", [{"every": 0}, {"keep": 1.0}, {"keep": -0.1}])
def test_options_out_of_range(wrong):
    with pytest.raises(ValueError, match="must be"):
        Harmonizer(FakeRunner()).stream([], [], **wrong)


@pytest.mark.parametrize("in_place", [False, True])
def test_strength(in_place):
    alone = Harmonizer(Counting((0.1, 0.2)))
    wanted = [alone.harmonize(frame, MASK, strength=0.5) for frame in frames(6)]
    options = {"keep": 0, "in_place": in_place}
    made = list(Harmonizer(Counting((0.1, 0.2))).stream(frames(6), [MASK] * 6, strength=0.5, **options))
    for result, expected in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(result, expected)
    runner, given = Counting(), frames(6)
    for result, frame, before in zip(
        Harmonizer(runner).stream(given, [MASK] * 6, strength=0, **options), given, frames(6), strict=True
    ):
        assert (result is frame) == in_place
        np.testing.assert_array_equal(result, before)
    assert runner.calls == 0
    with pytest.raises(UsageError, match=r"strength is 1\.6"):
        Harmonizer(runner).stream([], [], strength=1.6)


def test_a_networks_error_arrives():
    with pytest.raises(InputError, match="not finite"):
        list(Harmonizer(FakeRunner(value=np.nan)).stream(frames(5), [MASK] * 5))


def test_a_cell_that_the_foreground_reaches_starts_afresh():
    smoother = Smoother(0.9)
    left, right = np.zeros((64, 64), np.float32), np.zeros((64, 64), np.float32)
    left[:, :16], right[:, 48:] = 1, 1
    for _ in range(30):
        smoother.step(np.full((12, 8, 8), 5.0, np.float32), left)
    moved = smoother.step(np.full((12, 8, 8), 1.0, np.float32), right)
    np.testing.assert_allclose(moved[:, :, 7], 1.0, atol=0.3)
    np.testing.assert_allclose(moved[:, :, 0], 5.0, atol=0.3)
    constant = Smoother(0.9)
    for _ in range(5):
        np.testing.assert_allclose(constant.step(np.full((6, 8, 8), 2.0, np.float32), left), 2.0, rtol=1e-5)


def test_cuts_are_found_and_motion_is_none():
    from edge_harmony.samples import sample_pictures

    (_, first, _), (_, second, _), *_ = sample_pictures()
    size = (min(first.shape[0], second.shape[0]), min(first.shape[1], second.shape[1]))
    first, second = first[: size[0], : size[1]], second[: size[0], : size[1]]
    cuts = SceneCuts(0.12)
    assert cuts.is_new(first)
    for k in range(1, 6):  # a pan of four pixels a frame, and a little more light
        assert not cuts.is_new(np.clip(np.roll(first, 4 * k, axis=1).astype(int) + 2 * k, 0, 255).astype(np.uint8))
    assert cuts.is_new(second)
    assert cuts.is_new(second[: size[0] // 2])


class Device(FakeRunner):
    """Two places, as a GPU with two streams: a third batch waits until a result is taken.

    A result comes when the batch after it has begun, up to the last of ``count``.
    """

    def __init__(self, count=0):
        super().__init__("affine")
        self.places = threading.Semaphore(2)
        self.taken, self.log = 0, []
        self.begun = [threading.Event() for _ in range(count)]

    def submit(self, composite, mask):
        assert self.places.acquire(timeout=LONG)
        self.taken += 1
        number = len([event for event in self.log if event[0] == "begun"])
        self.log.append(("begun", number))
        for begun in self.begun[number : number + 1]:
            begun.set()
        output = super().infer(composite, mask)

        def result():
            for after in self.begun[number + 1 : number + 2]:
                assert after.wait(LONG)
            self.log.append(("done", number))
            self.taken -= 1
            self.places.release()
            return output

        return result


def test_the_next_frame_is_on_its_way_while_the_device_works():
    device = Device(12)
    made = list(Harmonizer(device).stream(frames(12), [MASK] * 12, keep=0))
    alone = Harmonizer(FakeRunner("affine"))
    for result, frame in zip(made, frames(12), strict=True):
        np.testing.assert_array_equal(result, alone.harmonize(frame, MASK))
    assert [number for what, number in device.log if what == "done"] == list(range(12))
    assert device.taken == 0


@pytest.mark.parametrize("wrong", [None, 3])
def test_leaving_a_stream_leaves_no_place_taken(wrong):
    device = Device()
    given = frames(50)
    if wrong is not None:
        given[wrong] = given[wrong][:-1]
    results = Harmonizer(device).stream(given, [MASK] * 50)
    next(results)
    if wrong is None:
        results.close()
    else:
        with pytest.raises(InputError, match="mask is"):
            list(results)
    assert device.taken == 0
    assert len(list(Harmonizer(device).stream(frames(5), [MASK] * 5))) == 5


def test_in_place_the_frames_themselves_change():
    given, copies = frames(6), frames(6)
    wanted = list(Harmonizer(FakeRunner("affine")).stream(copies, [MASK] * 6))
    made = list(Harmonizer(FakeRunner("affine")).stream(given, [MASK] * 6, in_place=True))
    for result, frame, expected, copy in zip(made, given, wanted, copies, strict=True):
        assert result is frame
        np.testing.assert_array_equal(result, expected)
        assert (copy != expected).any()
    fixed = frames(1)
    fixed[0].flags.writeable = False
    with pytest.raises(InputError, match="cannot be written"):
        list(Harmonizer(FakeRunner()).stream(fixed, [MASK], in_place=True))


def test_flicker_is_what_changes_in_the_difference():
    ramp = [np.full((8, 8, 3), 10 * k, np.uint8) for k in range(6)]
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6] = 255
    steady, jumping, tilting = Flicker(), Flicker(), Flicker()
    assert np.isnan(steady.colour)
    for k, frame in enumerate(ramp):
        steady.add(frame, frame + 7, mask)
        jumping.add(frame, frame + 7 + 4 * (k % 2), mask)
        tilted = frame.copy()
        tilted[:, :4] += 3 * (k % 2)
        tilted[:, 4:] += 3 * ((k + 1) % 2)
        tilting.add(frame, tilted, mask)
    assert (steady.colour, steady.pixels) == (0, 0)
    assert (jumping.colour, jumping.pixels) == (4, 4)
    assert (tilting.colour, tilting.pixels) == (0, 3)
