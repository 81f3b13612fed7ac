"""Writing videos: colours, times, sound, odd sizes, and options that do not fit together."""

from fractions import Fraction

import av
import numpy as np
import pytest

from edge_harmony.errors import UsageError
from edge_harmony.video.reader import VideoReader
from edge_harmony.video.writer import VideoWriter, default_codec
from tests.unit.video.making import BT601, BT709, make_video, rgb, sound_packets

RATE = Fraction(25)


def write(path, frames, source=None, times=None, **options):
    with VideoWriter(path, frames[0].shape[1::-1], RATE, source=source, **options) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, times[number] if times else number / RATE)
    return path


def plain(colour, size=(48, 64), dtype=np.uint8):
    return np.full((*size, 3), colour, dtype)


@pytest.mark.parametrize(("matrix", "weights"), [(1, BT709), (6, BT601)])
@pytest.mark.parametrize("full", [False, True])
def test_colours_and_tags_are_those_of_the_source(tmp_path, matrix, weights, full):
    source = make_video(tmp_path / "s.mkv", [(120, 90, 160)], tags=(matrix, 2 if full else 1))
    colour = (180, 120, 60)
    path = write(tmp_path / "o.mkv", [plain(colour)], VideoReader(source), codec="ffv1")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (matrix, 2 if full else 1)
        levels = [bytes(plane)[5] for plane in frame.planes]
    np.testing.assert_allclose(rgb(levels, weights, full), colour, atol=2.5)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".m4v"])
def test_every_container_plays_back(tmp_path, suffix):
    frames = [plain((40 + 4 * k, 120, 200 - 4 * k)) for k in range(12)]
    path = write(tmp_path / f"o{suffix}", frames)
    read = list(VideoReader(path))
    assert [time for _, time in read] == [pytest.approx(k / 25, abs=1e-3) for k in range(12)]
    for (pixels, _), frame in zip(read, frames, strict=True):
        assert np.abs(pixels.astype(int) - frame).mean() < 4
    assert VideoReader(path).pixel_format == "yuv420p"
    assert default_codec(path) == ("libvpx-vp9" if suffix == ".webm" else "libx264")


def test_times_are_kept_to_the_tick(tmp_path):
    ticks = [0, 40, 100, 130, 900]
    source = make_video(tmp_path / "s.mp4", [(120, 128, 128)] * 5, codec="libx264", kind="yuv420p", times=ticks)
    reader = VideoReader(source)
    times = [time for _, time in reader]
    path = write(tmp_path / "o.mp4", [plain(k) for k in range(5)], reader, times)
    assert [time for _, time in VideoReader(path)] == times


def test_sound_is_copied_and_ends_with_the_frames(tmp_path):
    source = make_video(
        tmp_path / "s.mp4", [(120, 128, 128)] * 50, codec="libx264", kind="yuv420p", sound=True, title="t"
    )
    reader, wanted = VideoReader(source), sound_packets(source)
    assert reader.has_sound
    whole = write(tmp_path / "whole.mp4", [plain(k) for k in range(50)], reader)
    found = sound_packets(whole)
    assert [data for _, data in found] == [data for _, data in wanted]
    np.testing.assert_allclose([time for time, _ in found], [time for time, _ in wanted], atol=1e-3)
    assert VideoReader(whole).metadata["title"] == "t"
    half = sound_packets(write(tmp_path / "half.mp4", [plain(k) for k in range(25)], reader))
    assert [data for _, data in half] == [data for _, data in wanted[: len(half)]]
    assert half[-1][0] == pytest.approx(1.0, abs=0.05)
    assert sound_packets(write(tmp_path / "none.mp4", [plain(k) for k in range(5)], reader, sound=False)) == []


def test_ten_bits_stay_ten_bits(tmp_path):
    source = make_video(tmp_path / "s.mkv", [(500, 512, 512)], kind="yuv420p10le")
    frames = [plain(30000, dtype=np.uint16), plain(30100, dtype=np.uint16)]
    path = write(tmp_path / "o.mkv", frames, VideoReader(source), deep=True, codec="ffv1")
    reader = VideoReader(path)
    assert reader.pixel_format == "yuv420p10le"
    (first, _), (second, _) = reader
    assert first.mean() == pytest.approx(30000, abs=80)
    assert second.mean() - first.mean() == pytest.approx(100, abs=80)
    assert VideoReader(write(tmp_path / "o.mp4", frames, VideoReader(source), deep=True)).pixel_format == "yuv420p10le"


def test_odd_sizes(tmp_path):
    path = write(tmp_path / "o.mp4", [plain((200, 100, 50), (47, 63))] * 3)
    reader = VideoReader(path)
    assert (reader.size, reader.count, reader.pixel_format) == ((63, 47), 3, "yuv444p")


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("o.mp4", {"codec": "libx999"}, "no encoder 'libx999'"),
        ("o.mp4", {"codec": "aac"}, "does not encode video"),
        ("o.webm", {"codec": "libx264"}, "cannot write .webm with libx264"),
        ("o.mp4", {"options": {"preset": "quick"}}, "cannot write .mp4"),
    ],
)
def test_what_does_not_go_together(tmp_path, name, options, says):
    with pytest.raises(UsageError, match=says):
        VideoWriter(tmp_path / name, (64, 48), RATE, **options)
