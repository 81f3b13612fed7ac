"""Whole videos: every frame, its time, its sound; inputs that do not fit; early ends; constant memory."""

import threading
from collections import deque
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from edge_harmony.errors import InputError, UsageError
from edge_harmony.video.job import VideoJob, VideoOptions, harmonize_video, pairs_of
from edge_harmony.video.reader import VideoReader
from tests.unit.pipeline.test_harmonize import FakeRunner
from tests.unit.video.making import make_video, sound_packets
from tests.unit.video.test_sources import StandIn

pytestmark = pytest.mark.lengthy

COUNT = 30
TIMES = [40 * k + (k % 3) for k in range(COUNT)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    ramp = [(60 + k, 128, 128) for k in range(COUNT)]
    make_video(folder / "composite.mp4", ramp, codec="libx264", kind="yuv420p", times=TIMES, sound=True)
    masks = []
    for k in range(COUNT):
        mask = np.zeros((48, 64, 3), np.uint8)
        mask[8:40, 8 + k % 8 : 48] = 255
        masks.append(mask)
    make_video(folder / "mask.mkv", masks)
    make_video(folder / "short.mkv", masks[:-1])
    make_video(folder / "long.mkv", [*masks, masks[0]])
    make_video(folder / "background.mkv", [(200, 128, 128)] * (COUNT + 5))
    cv2.imwrite(str(folder / "still.png"), masks[0])
    cv2.imwrite(str(folder / "small.png"), masks[0][::2, ::2])
    (folder / "sequence").mkdir()
    for k, mask in enumerate(masks):
        cv2.imwrite(str(folder / "sequence" / f"{k:04d}.png"), mask)
    return folder


def job(videos, output, composite="composite.mp4", masks="mask.mkv", background=None, **options):
    background = background and str(videos / background)
    return VideoJob(str(videos / composite), str(videos / masks), output, background=background, **options)


@pytest.mark.parametrize("masks", ["mask.mkv", "sequence", "still.png"])
def test_every_frame_at_its_time_with_its_sound(videos, tmp_path, masks):
    counts, steps = [], []
    report = harmonize_video(
        FakeRunner(value=0.2),
        job(videos, tmp_path / "o.mp4", masks=masks),
        started=counts.append,
        advance=lambda: steps.append(1),
    )
    assert (report.frames, report.stopped, report.dropped, counts, len(steps)) == (COUNT, False, 0, [COUNT], COUNT)
    assert report.fps > 0
    source, made = VideoReader(videos / "composite.mp4"), VideoReader(tmp_path / "o.mp4")
    assert [time for _, time in made] == [Fraction(time, 1000) for time in TIMES]
    assert sound_packets(tmp_path / "o.mp4") == sound_packets(videos / "composite.mp4")
    for (before, _), (after, _) in zip(source, made, strict=True):
        change = after.astype(int) - before
        assert abs(change[12:36, 20:44].mean() - 51) < 4  # 0.2 of 255
        assert np.abs(change[:4]).mean() < 4
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


@pytest.mark.parametrize("masks", ["mask.mkv", "sequence", "still.png"])
def test_masks_are_inverted_and_class_ids_picked(videos, tmp_path, masks):
    def first(**options):
        return next(pairs_of(job(videos, tmp_path / "o.mp4", masks=masks, **options), threading.Event(), deque()))[1]

    mask = first()
    assert set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(first(invert_mask=True), 255 - mask)
    np.testing.assert_array_equal(first(mask_value=255), mask)
    np.testing.assert_array_equal(first(mask_value=0), 255 - mask)


def mask_video(path, levels, **options):
    """A lossless video of three frames of a square; ``levels`` are of its background, itself and its rim."""
    mask = np.full((48, 64), levels[0], np.uint8)
    mask[8:34, 8:50] = levels[-1]
    mask[10:32, 10:48] = levels[1]
    return make_video(path, [np.dstack([mask] * 3)] * 3, tags=(0, 2), **options)


@pytest.mark.parametrize("kind", ["gray", "bgr0"])
@pytest.mark.parametrize("levels", [(0, 1), (0, 2), (0, 15), (0, 38), (0, 255), (0, 1, 255), (0, 5, 255), (0, 15, 255)])
def test_masks_of_two_values_and_with_a_void_in_a_video(videos, tmp_path, levels, kind):
    """As in files: what is within 8 of black is no trace of compression where a lossless codec has two values."""
    mask_video(tmp_path / "ids.mkv", levels, kind=kind)
    found = [mask for _, mask in pairs_of(ids_job(videos, tmp_path), threading.Event(), deque())]
    assert len(found) == 3
    wanted = np.zeros((48, 64), bool)
    wanted[10:32, 10:48] = True
    wanted[8:34, 8:50] |= len(levels) == 2
    for mask in found:
        np.testing.assert_array_equal(mask, wanted * np.uint8(255))


@pytest.mark.parametrize("value", [1, 15])
def test_a_void_of_some_frames_leaves_the_class_id_of_the_others(videos, tmp_path, value):
    plain = np.zeros((48, 64, 3), np.uint8)
    plain[10:32, 10:48] = value
    with_void = plain.copy()
    with_void[6:10, 10:48] = 255
    make_video(tmp_path / "ids.mkv", [with_void, plain, plain], tags=(0, 2), kind="gray")
    found = [mask for _, mask in pairs_of(ids_job(videos, tmp_path), threading.Event(), deque())]
    assert [np.count_nonzero(mask == 255) for mask in found] == [22 * 38] * 3


@pytest.mark.parametrize("value", [1, 7, 15, 200])
def test_a_class_id_of_a_video_is_picked(videos, tmp_path, value):
    """Its number is that of the file."""
    mask_video(tmp_path / "ids.mkv", (0, value, 9), kind="gray")
    pairs = pairs_of(ids_job(videos, tmp_path, mask_value=value), threading.Event(), deque())
    _, mask = next(pairs)
    assert np.unique(mask[10:32, 10:48]).tolist() == [255]
    assert np.count_nonzero(mask) == 22 * 38


@pytest.mark.parametrize(("value", "picked"), [(1, None), (15, None), (300, 300)])
def test_class_ids_of_16_bits(videos, tmp_path, value, picked):
    with av.open(str(tmp_path / "ids.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray16le"
        for number in range(3):
            mask = np.zeros((48, 64), np.uint16)
            mask[10:32, 10:48] = value
            frame = av.VideoFrame.from_ndarray(mask, "gray16le")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    _, mask = next(pairs_of(ids_job(videos, tmp_path, mask_value=picked), threading.Event(), deque()))
    assert np.unique(mask).tolist() == [0, 255]
    assert np.count_nonzero(mask) == 22 * 38


def test_several_class_ids_of_a_video_are_refused(videos, tmp_path):
    mask_video(tmp_path / "ids.mkv", (0, 7, 15), kind="gray")
    with pytest.raises(InputError, match="0, 7, 15"):
        next(pairs_of(ids_job(videos, tmp_path), threading.Event(), deque()))


def ids_job(videos, tmp_path, **options):
    return job(videos, tmp_path / "o.mp4", masks=tmp_path / "ids.mkv", limit=3, **options)


def test_a_foreground_is_pasted_on_a_background(videos, tmp_path):
    harmonize_video(FakeRunner(value=0.0), job(videos, tmp_path / "o.mkv", background="background.mkv"))
    harmonize_video(FakeRunner(value=0.0), job(videos, tmp_path / "s.mkv", background="still.png"))
    (first, _), *_ = VideoReader(tmp_path / "o.mkv")
    behind = next(iter(VideoReader(videos / "background.mkv")))[0]
    front = next(iter(VideoReader(videos / "composite.mp4")))[0]
    assert first[2, 2] == pytest.approx(behind[2, 2], abs=4)
    assert first[24, 30] == pytest.approx(front[24, 30], abs=4)
    (still, _), *_ = VideoReader(tmp_path / "s.mkv")
    assert still[2, 2].max() < 8


def test_options_reach_the_stream(videos, tmp_path):
    class Counting(FakeRunner):
        calls = 0

        def infer(self, composite, mask):
            Counting.calls += 1
            return super().infer(composite, mask)

    options = VideoOptions(every=10, cut=0)
    report = harmonize_video(Counting(), job(videos, tmp_path / "o.mp4", options=options, limit=25))
    assert (report.frames, Counting.calls) == (25, 3)
    assert VideoReader(tmp_path / "o.mp4").count == 25
    assert sound_packets(tmp_path / "o.mp4")[-1][0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"masks": "short.mkv"}, InputError, "ends after 29 frames"),
        ({"masks": "long.mkv"}, InputError, "ends after 30 frames"),
        ({"masks": "small.png"}, InputError, "32x24 but .* is 64x48"),
        ({"masks": "absent.png"}, UsageError, "does not exist"),
        (
            {"composite": "background.mkv", "background": "composite.mp4", "masks": "still.png"},
            InputError,
            "has 30 frames|ends after 30",
        ),
        ({"options": VideoOptions(codec="libx999")}, UsageError, "no encoder"),
    ],
)
def test_what_does_not_fit_leaves_nothing(videos, tmp_path, change, kind, says):
    with pytest.raises(kind, match=says):
        harmonize_video(FakeRunner(), job(videos, tmp_path / "o.mp4", **change))
    assert not list(tmp_path.iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("edge-harmony-re")]


@pytest.mark.parametrize("output", ["o.avi", "o.png", "absent/o.mp4"])
def test_outputs_that_cannot_be(videos, tmp_path, output):
    with pytest.raises(UsageError):
        harmonize_video(FakeRunner(), job(videos, tmp_path / output))


def test_masks_of_another_size_can_be_fitted(videos, tmp_path):
    report = harmonize_video(FakeRunner(), job(videos, tmp_path / "o.mp4", masks="small.png", fit=True))
    assert report.frames == COUNT


def test_a_damaged_file_is_an_error_and_leaves_nothing(videos, tmp_path):
    data = bytearray((videos / "mask.mkv").read_bytes())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cut.mkv").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError):
        harmonize_video(
            FakeRunner(), VideoJob(str(videos / "composite.mp4"), str(tmp_path / "in/cut.mkv"), tmp_path / "o.mp4")
        )
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_stopping_leaves_a_file_that_plays(videos, tmp_path):
    stop, done = threading.Event(), []

    def advance():
        done.append(1)
        if len(done) == 10:
            stop.set()

    report = harmonize_video(FakeRunner(), job(videos, tmp_path / "o.mp4"), stop=stop, advance=advance)
    assert report.stopped
    assert 10 <= report.frames <= 18
    made = VideoReader(tmp_path / "o.mp4")
    assert made.count == report.frames == len(list(made))
    assert 0 < len(sound_packets(tmp_path / "o.mp4")) < len(sound_packets(videos / "composite.mp4"))


def test_stopped_before_the_first_frame_there_is_no_file(videos, tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(InputError, match="no frame"):
        harmonize_video(FakeRunner(), job(videos, tmp_path / "o.mp4"), stop=stop)
    assert not list(tmp_path.iterdir())


def test_no_more_frames_are_decoded_than_are_needed(videos, tmp_path, monkeypatch):
    decoded, written = [], []
    frames = VideoReader._decoded

    def counting(self, container):
        for frame in frames(self, container):
            if self.path.name == "composite.mp4":
                decoded.append(1)
            yield frame

    monkeypatch.setattr(VideoReader, "_decoded", counting)

    def advance():
        written.append(1)
        assert len(decoded) - len(written) <= 10

    harmonize_video(FakeRunner(), job(videos, tmp_path / "o.mp4"), advance=advance)
    assert len(written) == COUNT


def test_a_camera_with_a_mask(videos, tmp_path, monkeypatch):
    class Wide(StandIn):
        def read(self):
            taken, frame = super().read()
            return taken, None if frame is None else np.full((48, 64, 3), 90, np.uint8)

    monkeypatch.setattr(cv2, "VideoCapture", Wide(60, 0.02))
    counts = []
    report = harmonize_video(
        FakeRunner(value=0.2),
        VideoJob("camera:0", str(videos / "still.png"), tmp_path / "o.mp4"),
        started=counts.append,
    )
    assert counts == [None]
    assert report.frames + report.dropped == 60
    made = [pixels for pixels, _ in VideoReader(tmp_path / "o.mp4")]
    assert len(made) == report.frames
    assert made[-1][24, 30].mean() == pytest.approx(90 + 51, abs=5)
    assert made[-1][2, 2].mean() == pytest.approx(90, abs=5)
    monkeypatch.setattr(cv2, "VideoCapture", Wide(1_000_000_000, 0.001))
    report = harmonize_video(FakeRunner(), VideoJob("camera:0", str(videos / "mask.mkv"), tmp_path / "m.mp4"))
    assert report.frames == COUNT  # it ends with the masks


def test_pairs_alone(videos):
    times = deque()
    pairs = list(pairs_of(job(videos, None), threading.Event(), times))
    assert len(pairs) == len(times) == COUNT
    assert pairs[0][0].shape == (48, 64, 3)
    assert pairs[0][1].shape == (48, 64)
