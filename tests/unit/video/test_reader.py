"""Reading videos: colours by the standards' equations, times, rotation, depth, masks, and files that are not videos."""

import gc
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import CapabilityError, InputError, UsageError
from edge_harmony.video.job import VideoJob, harmonize_video
from edge_harmony.video.reader import VideoReader
from tests.unit.video.making import BT601, BT709, make_video, rgb, tone

pytestmark = pytest.mark.lengthy

LEVELS = (120, 90, 160)


@pytest.mark.parametrize(("matrix", "weights"), [(1, BT709), (6, BT601), (5, BT601)])
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_those_of_the_standards(tmp_path, matrix, weights, full):
    path = make_video(tmp_path / "v.mkv", [LEVELS], tags=(matrix, 2 if full else 1))
    ((pixels, _),) = VideoReader(path)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels[10, 10], rgb(LEVELS, weights, full), atol=1.01)
    assert (pixels == pixels[0, 0]).all()


@pytest.mark.parametrize(("lines", "weights"), [(720, BT709), (480, BT601)])
def test_what_says_nothing_is_taken_as_players_take_it(tmp_path, lines, weights):
    frame = np.full((lines, 64, 3), (200, 60, 90), np.uint8)
    path = make_video(tmp_path / "v.mkv", [frame], tags=(2, 0))
    reader = VideoReader(path)
    ((pixels, _),) = reader
    stored = next(iter(av.open(str(path)).decode(video=0)))
    wanted = rgb(tuple(bytes(plane)[0] for plane in stored.planes), weights, False)
    np.testing.assert_allclose(pixels[10, 10], wanted, atol=1.01)
    assert reader.colour.matrix == (1 if lines == 720 else 6)


def test_times_sizes_and_counts(tmp_path):
    times = [0, 40, 100, 130, 900]
    path = make_video(tmp_path / "v.mp4", [LEVELS] * 5, codec="libx264", kind="yuv420p", times=times, title="a name")
    reader = VideoReader(path)
    assert [time for _, time in reader] == [Fraction(time, 1000) for time in times]
    assert [time for _, time in reader] == [Fraction(time, 1000) for time in times]  # once more, from the beginning
    assert (reader.size, reader.count, reader.deep, reader.has_sound) == ((64, 48), 5, False, False)
    assert reader.metadata["title"] == "a name"


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_frames_are_upright(tmp_path, rotation):
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:10, :20] = 255  # top left
    path = make_video(tmp_path / "v.mkv", [frame], codec="libx264", rotation=rotation)
    reader = VideoReader(path)
    ((pixels, _),) = reader
    assert pixels.shape[1::-1] == reader.size == ((48, 64) if rotation != 180 else (64, 48))
    corner = {90: (-5, 5), -90: (5, -5), 180: (-5, -5)}[rotation]  # counter-clockwise
    assert pixels[corner].min() > 200
    assert pixels.mean() < 60


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("rotation", [0, 90])
def test_frames_that_were_read_are_freed_without_the_garbage_collector(tmp_path, rotation, gray):
    path = make_video(
        tmp_path / "a.mp4", [np.full((48, 64, 3), 128, np.uint8)] * 40, codec="libx264", rotation=rotation
    )

    def frames():
        return sum(type(one) is av.VideoFrame for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = frames()
        assert sum(1 for _ in VideoReader(path, gray=gray)) == 40
        assert frames() - before <= 2  # the first, whose metadata were read
    finally:
        gc.enable()


def test_more_than_eight_bits_are_kept(tmp_path):
    path = make_video(tmp_path / "v.mkv", [(500, 512, 512), (501, 512, 512)], kind="yuv444p10le")
    reader = VideoReader(path)
    (first, _), (second, _) = reader
    assert reader.deep
    assert first.dtype == np.uint16
    wanted = (np.array([500, 501]) - 64) / 876 * 65535
    np.testing.assert_allclose([first.mean(), second.mean()], wanted, rtol=5e-3)  # swscale: white is 255 * 256
    assert second.mean() > first.mean()
    ((mask, _), _) = VideoReader(path, gray=True)
    assert mask.dtype == np.uint16
    assert mask.shape == (48, 64)


@pytest.mark.parametrize("kind", ["yuv444p", "yuv420p"])
@pytest.mark.parametrize("full", [False, True])
def test_masks_are_brightness_without_ringing(tmp_path, kind, full):
    black, white = (0, 255) if full else (16, 235)
    levels = [black, black + 5, white, white - 5, (black + white) // 2]
    path = make_video(
        tmp_path / "m.mkv", [(level, 128, 128) for level in levels], kind=kind, tags=(1, 2 if full else 1)
    )
    found = [int(mask[5, 5]) for mask, _ in VideoReader(path, gray=True)]
    assert found[:4] == [0, 0, 255, 255]
    assert found[4] == pytest.approx(127.5, abs=1.5)
    assert all(mask.shape == (48, 64) and mask.dtype == np.uint8 for mask, _ in VideoReader(path, gray=True))


def test_a_mask_without_a_plane_of_its_own(tmp_path):
    frame = np.full((48, 64, 3), 255, np.uint8)
    frame[:24] = 0
    path = make_video(tmp_path / "m.mkv", [frame], codec="ffv1", kind="bgr0", tags=(0, 2))
    ((mask, _),) = VideoReader(path, gray=True)
    assert set(np.unique(mask)) == {0, 255}


def test_what_is_no_video(tmp_path):
    whole = make_video(tmp_path / "v.mp4", [LEVELS] * 30, codec="libx264", kind="yuv420p")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    (tmp_path / "half.mp4").write_bytes(whole.read_bytes()[:600])
    (tmp_path / "folder.mp4").mkdir()
    with av.open(str(tmp_path / "tone.m4a"), "w", format="mp4") as container:
        voice = container.add_stream("aac", rate=48000, layout="mono")
        for frame in (*(tone(k, 25, voice) for k in range(25)), None):
            container.mux(voice.encode(frame))
    for name, kind, says in (
        ("absent.mp4", UsageError, "does not exist"),
        ("folder.mp4", UsageError, "is not a file"),
        ("empty.mp4", InputError, "not a readable video"),
        ("text.mp4", InputError, "not a readable video"),
        ("half.mp4", InputError, "video|frame|damaged"),
        ("tone.m4a", InputError, "no pictures"),
    ):
        with pytest.raises(kind, match=says):
            VideoReader(tmp_path / name)


def test_a_coloured_mask_is_refused(tmp_path):
    path = make_video(tmp_path / "v.mkv", [LEVELS])
    with pytest.raises(InputError, match="coloured"):
        VideoReader(path, gray=True)


def test_without_pyav(tmp_path, monkeypatch):
    path = make_video(tmp_path / "v.mkv", [LEVELS])
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(CapabilityError, match=r"pip install .*\[video\]"):
        VideoReader(path)


def test_tags_that_are_no_utf8(tmp_path):
    path = make_video(tmp_path / "v.mkv", [LEVELS] * 3, title="ABCDEFGH", sound=True, sound_codec="libopus")
    data = path.read_bytes()
    assert data.count(b"ABCDEFGH") == 1
    path.write_bytes(data.replace(b"ABCDEFGH", b"ABC\xff\xfe\xe9GH"))
    reader = VideoReader(path)
    assert reader.metadata["title"] == "ABC\ufffd\ufffd\ufffdGH"
    assert len(list(reader)) == 3
    mask = tmp_path / "m.png"
    cv2.imwrite(str(mask), np.full((48, 64), 255, np.uint8))
    with load_runner("edge-n") as runner:
        report = harmonize_video(runner, VideoJob(str(path), str(mask), tmp_path / "o.mkv"))
    assert report.frames == 3
    assert VideoReader(tmp_path / "o.mkv").metadata["title"] == reader.metadata["title"]
