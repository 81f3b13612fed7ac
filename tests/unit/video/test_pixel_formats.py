"""Layouts of samples: alpha, RGB, and what encoders make of them."""

import threading
from collections import deque

import av
import cv2
import numpy as np
import pytest

from edge_harmony.video.job import VideoJob, VideoOptions, harmonize_video, pairs_of
from edge_harmony.video.reader import VideoReader
from edge_harmony.video.writer import VideoWriter
from tests.unit.pipeline.test_harmonize import FakeRunner

RGBA = np.zeros((48, 64, 4), np.uint8)
RGBA[...] = 200, 120, 40, 255
RGBA[:, :32, 3] = 64


def source_of(path, codec, kind, pixels=RGBA):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, kind
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(pixels, "rgba" if pixels.shape[2] == 4 else "rgb24")
            frame = frame.reformat(format=kind)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def again(reader, path, codec=None):
    options = {"source": reader, "deep": reader.deep, "alpha": reader.alpha, "codec": codec}
    with VideoWriter(path, reader.size, reader.rate, **options) as writer:
        for pixels, time in reader:
            writer.write(pixels, time)
    return VideoReader(path)


ALPHA = [
    ("s.mov", "prores_ks", "yuva444p10le"),
    ("s.mov", "qtrle", "argb"),
    ("s.mkv", "ffv1", "bgra"),
    ("s.mkv", "ffv1", "yuva420p"),
    ("s.webm", "libvpx-vp9", "yuva420p"),
]


@pytest.mark.parametrize(("name", "codec", "kind"), ALPHA)
def test_alpha_is_read_and_kept(tmp_path, caplog, name, codec, kind):
    reader = VideoReader(source_of(tmp_path / name, codec, kind))
    assert reader.alpha
    assert reader.deep == (kind == "yuva444p10le")
    made = again(reader, tmp_path / f"o{name}", codec)
    assert not caplog.records
    for video in (reader, made):
        frames = [pixels for pixels, _ in video]
        assert len(frames) == 3
        scale = 257 if video.deep else 1
        assert frames[0].shape == (48, 64, 4)
        assert frames[0][24, 8, 3] / scale == pytest.approx(64, abs=3)
        assert frames[0][24, 56, 3] / scale == pytest.approx(255, abs=3)
        np.testing.assert_allclose(frames[0][24, 56, :3] / scale, RGBA[0, 0, :3], atol=8)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", None), (".mkv", None), (".mp4", "libx265")])
def test_alpha_that_an_encoder_lacks_is_dropped_with_a_line(tmp_path, caplog, suffix, codec):
    made = again(VideoReader(source_of(tmp_path / "s.mov", "qtrle", "argb")), tmp_path / f"o{suffix}", codec)
    assert not made.alpha
    assert len(list(made)) == 3
    assert [record.message.count("codec=prores_ks") for record in caplog.records] == [1]


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", ".mkv"), ("qtrle", ".mov"), ("png", ".mov")])
@pytest.mark.parametrize("from_", [("png", "rgb24"), ("ffv1", "bgr0"), ("libx264rgb", "rgb24")])
def test_rgb_stays_rgb(tmp_path, codec, suffix, from_):
    noise = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)
    reader = VideoReader(source_of(tmp_path / ("s.mov" if from_[0] == "png" else "s.mkv"), *from_, noise))
    made = again(reader, tmp_path / f"o{suffix}", codec)
    for (before, _), (after, _) in zip(reader, made, strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_job_keeps_alpha_and_pastes_without(tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[8:40, 8:48] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    cv2.imwrite(str(tmp_path / "b.png"), np.full((48, 64, 3), 20, np.uint8))
    source = source_of(tmp_path / "s.mov", "qtrle", "argb")
    job = VideoJob(str(source), str(tmp_path / "m.png"), tmp_path / "o.mov", options=VideoOptions(codec="qtrle"))
    harmonize_video(FakeRunner(value=0.0), job)
    for (before, _), (after, _) in zip(VideoReader(source), VideoReader(tmp_path / "o.mov"), strict=True):
        np.testing.assert_array_equal(before, after)
    pasted = VideoJob(str(source), str(tmp_path / "m.png"), tmp_path / "p.mov", background=str(tmp_path / "b.png"))
    pairs = list(pairs_of(pasted, threading.Event(), deque()))
    assert [pixels.shape for pixels, _ in pairs] == [(48, 64, 3)] * 3
    harmonize_video(FakeRunner(value=0.0), pasted)
    assert not VideoReader(tmp_path / "p.mov").alpha
