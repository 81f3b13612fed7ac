"""Folders with videos: each with its mask, beside pictures; failures; going on."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_harmony.backends.base import LoadRequest
from edge_harmony.errors import UsageError
from edge_harmony.folder import work
from edge_harmony.folder.clips import VideoWork
from edge_harmony.folder.run import run_folder
from edge_harmony.video import job
from edge_harmony.video.job import VideoOptions
from edge_harmony.video.reader import VideoReader
from tests.unit.folder.making import REAL, make_folders
from tests.unit.video.making import make_video

pytestmark = pytest.mark.lengthy

VIDEOS = VideoWork("onnxruntime", LoadRequest("edge-n", "int8"))


@pytest.fixture
def folders(tmp_path):
    composites, masks, output = make_folders(tmp_path, 2)
    rng = np.random.default_rng(2)
    frames = [rng.integers(60, 200, (48, 64, 3), np.uint8) for _ in range(4)]
    mask = np.zeros((48, 64, 3), np.uint8)
    mask[10:40, 10:50] = 255
    make_video(Path(composites) / "one.mp4", frames, codec="libx264", kind="yuv420p")
    make_video(Path(composites) / "two.avi", frames, codec="mpeg4", kind="yuv420p")
    make_video(Path(composites) / "three.mkv", frames)
    (Path(composites) / "four.mp4").write_bytes(b"no video")
    make_video(Path(masks) / "one.mkv", [mask] * 4)
    cv2.imwrite(str(Path(masks) / "two_mask.png"), mask)
    cv2.imwrite(str(Path(masks) / "four.png"), mask)
    return composites, masks, output


def test_videos_and_pictures_of_a_folder(folders):
    counts = []
    report = run_folder([REAL, VIDEOS], *folders, started=counts.append, workers=1)
    assert (counts, report.done, report.stopped) == ([6], 4, False)
    assert [Path(outcome.item.composite).name for outcome in report.failed] == ["four.mp4", "three.mkv"]
    assert "not a readable video" in report.failed[0].error
    assert "no mask" in report.failed[1].error
    output = Path(folders[2])
    assert {path.name for path in output.iterdir() if "json" not in path.name} == {
        "0000.png",
        "0001.png",
        "one.mp4",
        "two.avi.mp4",
    }
    assert len(list(VideoReader(output / "two.avi.mp4"))) == 4
    again = run_folder([REAL, VIDEOS], *folders, workers=1, resume=True)
    assert (again.done, again.skipped, len(again.failed)) == (0, 4, 2)
    with pytest.raises(UsageError, match="other settings"):
        run_folder([REAL, replace(VIDEOS, video=VideoOptions(codec="libx265"))], *folders, resume=True)


@pytest.mark.parametrize(("asked", "given"), [(0, 4), (3, 3)])
def test_the_network_of_videos_takes_half_of_the_cores_and_that_of_pictures_all(folders, monkeypatch, asked, given):
    loaded, load = [], work.load_runner

    def record(*names, threads, **others):
        loaded.append(threads)
        return load(*names, threads=threads, **others)

    monkeypatch.setattr(work, "load_runner", record)
    monkeypatch.setattr(job, "cores", lambda: 8)
    pictures, videos = (replace(one, request=replace(one.request, threads=asked)) for one in (REAL, VIDEOS))
    run_folder([pictures, videos], *folders, workers=1)
    assert loaded == [asked, given]


def test_strength_reaches_the_frames(folders):
    pixels = {}
    for strength in (0.0, 0.5, 1.0):
        changed = replace(VIDEOS, strength=strength, video=VideoOptions(codec="ffv1"))
        names = folders[0], folders[1], f"{folders[2]}-{strength}"
        Path(folders[1], "three.mkv").write_bytes(Path(folders[1], "one.mkv").read_bytes())
        run_folder([changed], *names, workers=1)
        pixels[strength] = next(iter(VideoReader(Path(names[2]) / "three.mkv")))[0].astype(int)
    inside = (slice(12, 38), slice(12, 48))
    whole, half = (np.abs(pixels[s] - pixels[0.0])[inside].mean() for s in (1.0, 0.5))
    assert whole > 2
    assert half == pytest.approx(whole / 2, rel=0.15)
    np.testing.assert_allclose(pixels[1.0][:6], pixels[0.0][:6], atol=1)


def test_videos_in_object_stores_are_refused(folders):
    report = run_folder([VIDEOS], *(f"file://{folder}" for folder in folders), workers=1)
    assert report.done == 0
    assert all("object store" in outcome.error or "no mask" in outcome.error for outcome in report.failed)
