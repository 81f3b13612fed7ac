"""``harmonize`` with videos: the file, the figures, what is wrong, Ctrl-C."""

import json
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from edge_harmony.video.reader import VideoReader
from tests.unit.cli.making import run, run_json
from tests.unit.video.making import make_video, sound_packets

COUNT = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(3)
    scene = rng.integers(40, 200, (96, 128 + COUNT, 3), np.uint8)
    frames = [np.ascontiguousarray(scene[:, k : k + 128]) for k in range(COUNT)]
    make_video(root / "v.mp4", frames, codec="libx264", kind="yuv420p", sound=True)
    mask = np.zeros((96, 128), np.uint8)
    mask[20:80, 30:100] = 255
    cv2.imwrite(str(root / "m.png"), mask)
    cv2.imwrite(str(root / "wrong.png"), mask[:50])
    (root / "text.mp4").write_text("nothing")
    return root


@pytest.fixture(scope="module")
def long_video(folder, tmp_path_factory):
    frames = [frame for frame, _ in VideoReader(folder / "v.mp4")]
    return make_video(tmp_path_factory.mktemp("long") / "long.mp4", frames * 200, codec="libx264", kind="yuv420p")


def test_a_video_with_its_sound(capsys, folder, tmp_path):
    result = run_json(
        capsys,
        "harmonize",
        folder / "v.mp4",
        folder / "m.png",
        "-o",
        tmp_path / "o.mp4",
        "--model",
        "edge-n",
        "--every",
        3,
    )
    assert (result["frames"], result["stopped"], result["model"]) == (COUNT, False, "edge-n")
    assert result["fps"] > 0
    made, source = VideoReader(tmp_path / "o.mp4"), VideoReader(folder / "v.mp4")
    assert [time for _, time in made] == [time for _, time in source]
    assert sound_packets(tmp_path / "o.mp4") == sound_packets(folder / "v.mp4")
    (after, _), *_ = made
    (before, _), *_ = source
    change = np.abs(after.astype(int) - before)
    assert change[30:70, 40:90].mean() > 2 * change[:10].mean()


def test_strength(capsys, folder, tmp_path):
    call = ("harmonize", folder / "v.mp4", folder / "m.png", "--model", "edge-n", "--limit", 2, "--codec", "ffv1")
    none, half, whole = (
        next(iter(VideoReader(tmp_path / f"{strength}.mkv")))[0].astype(int)
        for strength in (0, 0.5, 1)
        if run_json(capsys, *call, "-o", tmp_path / f"{strength}.mkv", "--strength", strength)
    )
    change = np.abs(whole - none)[30:70, 40:90].mean()
    assert change > 2
    assert np.abs(half - none)[30:70, 40:90].mean() == pytest.approx(change / 2, rel=0.15)


def test_codec_options_and_frames(capsys, folder, tmp_path):
    call = ("harmonize", folder / "v.mp4", folder / "m.png", "--model", "edge-n", "--limit", 5, "--no-sound")
    result = run_json(capsys, *call, "-o", tmp_path / "a.mkv", "--codec", "ffv1")
    assert result["frames"] == len(list(VideoReader(tmp_path / "a.mkv"))) == 5
    run_json(capsys, *call, "-o", tmp_path / "good.mp4", "--encoder", "crf=5")
    run_json(capsys, *call, "-o", tmp_path / "poor.mp4", "--encoder", "crf=45", "--encoder", "preset=fast")
    assert (tmp_path / "good.mp4").stat().st_size > 2 * (tmp_path / "poor.mp4").stat().st_size
    assert sound_packets(tmp_path / "good.mp4") == []


@pytest.mark.parametrize(
    ("composite", "mask", "options", "status", "says"),
    [
        ("absent.mp4", "m.png", (), 2, "does not exist"),
        ("text.mp4", "m.png", (), 1, "not a readable video"),
        ("v.mp4", "absent.png", (), 2, "does not exist"),
        ("v.mp4", "wrong.png", (), 1, "--fit-mask"),
        ("v.mp4", "m.png", ("--encoder", "crf"), 2, "KEY=VALUE"),
        ("v.mp4", "m.png", ("--encoder", "crf=much"), 2, "libx264"),
        ("v.mp4", "m.png", ("--codec", "nothing"), 2, "no encoder"),
        ("v.mp4", "m.png", ("--every", "0"), 2, "every"),
        ("v.mp4", "m.png", ("--strength", "2"), 2, "--strength"),
        ("v.mp4", "m.png", ("--strength", "nan"), 2, "--strength"),
        ("v.mp4", "m.png", ("--before-after", "x.png"), 2, "one picture"),
        ("camera:99", "m.png", (), 1, "gives no pictures"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(capsys, folder, tmp_path, composite, mask, options, status, says):
    name = composite if composite.startswith("camera:") else folder / composite
    found, out, err = run(capsys, "harmonize", name, folder / mask, "-o", tmp_path / "o.mp4", *options)
    assert (found, out) == (status, "")
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert says in lines[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_nothing(folder, long_video, tmp_path):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000));"
        "from edge_harmony.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    call = [
        "harmonize",
        str(long_video),
        str(folder / "m.png"),
        "-o",
        str(tmp_path / "o.mp4"),
        "--model",
        "edge-n",
    ]
    done = subprocess.run([sys.executable, "-c", code, *call], capture_output=True, text=True, timeout=600)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "cannot write" in lines[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_an_interrupted_video_can_be_played(folder, long_video, tmp_path, number):
    output = tmp_path / "o.mp4"
    call = [sys.executable, "-m", "edge_harmony", "harmonize", str(long_video), str(folder / "m.png")]
    process = subprocess.Popen(
        [*call, "-o", str(output), "--model", "edge-n", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not any(path.stat().st_size > 100_000 for path in tmp_path.iterdir()):  # some frames are encoded
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 128 + number, err
    report = json.loads(out)
    assert report["stopped"]
    assert 0 < report["frames"] < 200 * COUNT
    assert len(list(VideoReader(output))) == report["frames"]
    assert "stopped" in err
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


def test_lines_of_libraries_do_not_reach_stderr(folder, tmp_path):
    call = [sys.executable, "-m", "edge_harmony", "harmonize", str(folder / "v.mp4"), str(folder / "m.png")]
    wrong = ["-o", str(tmp_path / "o.mp4"), "--model", "edge-n", "--encoder", "preset=quick"]
    code = (
        "import sys; from fractions import Fraction; from pathlib import Path;"
        "from edge_harmony.video.writer import VideoWriter;"
        "VideoWriter(Path(sys.argv[1]), (64, 48), Fraction(25), options={'preset': 'quick'})"
    )
    heard = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "o.mp4"], capture_output=True, text=True, check=False
    )
    assert "x264 [error]" in heard.stderr  # by itself, from C
    done = subprocess.run([*call, *wrong], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: cannot write .mp4 with libx264")
