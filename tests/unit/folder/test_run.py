"""Whole folders: results, failures, going on, and what is refused."""

import fcntl
import json
import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_harmony.cli.main import main
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.files.atomic import new_file
from edge_harmony.folder.run import FAILED, RECORD, run_folder
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.pictures import heif
from tests.unit.folder.making import REAL, make_folders

pytestmark = pytest.mark.lengthy


def failures(output):
    return {Path(row["file"]).name: row["error"] for row in json.loads((Path(output) / FAILED).read_text())}


def test_results_are_those_of_one_picture_at_a_time(tmp_path):
    composites, masks, output = make_folders(tmp_path, 6)
    (Path(composites) / "0001.png").write_bytes(b"no picture")
    (Path(masks) / "0002.png").unlink()
    counts, outcomes = [], []
    report = run_folder(REAL, composites, masks, output, started=counts.append, advance=outcomes.append, workers=1)
    assert (report.done, report.skipped, report.stopped, counts, len(outcomes)) == (4, 0, False, [6], 6)
    found = failures(output)
    assert set(found) == {"0001.png", "0002.png"}
    assert "not a picture" in found["0001.png"]
    assert "no mask" in found["0002.png"]
    assert {path.name for path in Path(output).iterdir()} == {
        "0000.png",
        "0003.png",
        "0004.png",
        "0005.png",
        RECORD,
        FAILED,
    }
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        picture, mask = (cv2.imread(f"{folder}/0003.png") for folder in (composites, masks))
        wanted = harmonizer.harmonize(np.ascontiguousarray(picture[..., ::-1]), mask[..., 0])
    np.testing.assert_array_equal(cv2.imread(f"{output}/0003.png")[..., ::-1], wanted)


@pytest.mark.parametrize("workers", [1, 2])
def test_strength_reaches_the_workers_and_is_a_setting(tmp_path, workers):
    composites, masks, output = make_folders(tmp_path, 3)
    assert run_folder(replace(REAL, strength=0.0), composites, masks, output, workers=workers).done == 3
    assert json.loads((Path(output) / RECORD).read_text())["strength"] == 0
    for path in Path(composites).iterdir():
        np.testing.assert_array_equal(cv2.imread(str(path)), cv2.imread(f"{output}/{path.name}"))
    with pytest.raises(UsageError, match="other settings"):
        run_folder(REAL, composites, masks, output, resume=True)
    assert run_folder(replace(REAL, strength=0.5), composites, masks, output, workers=workers).done == 3
    with Harmonizer.from_pretrained("edge-n") as harmonizer:
        picture, mask = (cv2.imread(f"{folder}/0001.png") for folder in (composites, masks))
        wanted = harmonizer.harmonize(np.ascontiguousarray(picture[..., ::-1]), mask[..., 0], strength=0.5)
    np.testing.assert_array_equal(cv2.imread(f"{output}/0001.png")[..., ::-1], wanted)


def test_going_on_leaves_what_is_done(tmp_path):
    composites, masks, output = make_folders(tmp_path, 8)
    stop = threading.Event()
    seen = []

    def advance(outcome):
        seen.append(outcome)
        if len(seen) == 3:
            stop.set()

    first = run_folder(REAL, composites, masks, output, workers=1, stop=stop, advance=advance)
    assert (first.done, first.stopped) == (3, True)
    times = {path.name: path.stat().st_mtime_ns for path in Path(output).glob("0*.png")}
    (Path(output) / ".0005.png.abcd1234.part.png").write_bytes(b"half a picture")
    second = run_folder(REAL, composites, masks, output, workers=1, resume=True)
    assert (second.done, second.skipped, second.stopped) == (5, 3, False)
    assert {name: (Path(output) / name).stat().st_mtime_ns for name in times} == times
    assert len(list(Path(output).iterdir())) == 8 + 2
    assert run_folder(REAL, composites, masks, output, workers=1, resume=True).skipped == 8
    later = Path(f"{output}/0004.png").stat().st_mtime + 10
    os.utime(f"{masks}/0004.png", (later, later))
    assert run_folder(REAL, composites, masks, output, workers=1, resume=True).done == 1
    assert run_folder(REAL, composites, masks, output, workers=1).done == 8  # all anew


@pytest.mark.parametrize("suffix", [".png", ".jpeg", ".mp4", ".m4v", ".mkv", ".json"])
def test_what_a_killed_run_left_is_removed_whatever_its_suffix(tmp_path, suffix):
    composites, masks, output = make_folders(tmp_path, 1)
    Path(output).mkdir()
    with new_file(Path(output) / f"clip{suffix}") as temporary:
        temporary.write_bytes(b"half of it")
    temporary.write_bytes(b"half of it")  # as if nobody had come to rename it
    run_folder(REAL, composites, masks, output, workers=1)
    assert not temporary.exists()
    assert (Path(output) / f"clip{suffix}").exists()


def test_results_of_an_interrupted_second_run_are_not_mixed_with_those_of_the_first(tmp_path):
    composites, masks, output = make_folders(tmp_path, 4)
    run_folder(REAL, composites, masks, output, workers=1)
    other, stop = replace(REAL, quality=50), threading.Event()
    run_folder(other, composites, masks, output, workers=1, stop=stop, advance=lambda outcome: stop.set())
    report = run_folder(other, composites, masks, output, workers=1, resume=True)
    assert (report.done, report.skipped) == (3, 1)


def test_what_is_refused(tmp_path):
    composites, masks, output = make_folders(tmp_path, 2)
    with pytest.raises(UsageError, match="no engine 'magic'"):
        run_folder(REAL, composites, masks, output, engine="magic")
    for same in (composites, masks):
        with pytest.raises(UsageError, match="would be overwritten"):
            run_folder(REAL, composites, masks, same + "/../" + Path(same).name)
    with pytest.raises(UsageError, match="is no folder"):
        run_folder(REAL, composites + "x", masks, output)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="nothing to harmonize"):
        run_folder(REAL, str(tmp_path / "empty"), masks, output)
    missing = replace(REAL, request=replace(REAL.request, artifact=tmp_path / "x.onnx"))
    with pytest.raises(UsageError, match="no artifact"):
        run_folder(missing, composites, masks, output)
    assert not Path(output).exists()
    run_folder(REAL, composites, masks, output, workers=1)
    with pytest.raises(UsageError, match="other settings"):
        run_folder(replace(REAL, fit=True), composites, masks, output, resume=True)
    (Path(output) / RECORD).write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        run_folder(REAL, composites, masks, output, resume=True)
    lock = os.open(output, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(UsageError, match="another run"):
        run_folder(REAL, composites, masks, output)
    os.close(lock)


def test_addresses(tmp_path):
    composites, masks, output = (f"file://{folder}" for folder in make_folders(tmp_path, 3))
    assert run_folder(REAL, composites, masks, output, workers=1).done == 3
    assert run_folder(REAL, composites, masks, output, workers=1, resume=True).skipped == 3
    assert cv2.imread(str(tmp_path / "out" / "0000.png")).shape == (32, 32, 3)


def test_pictures_that_a_missing_package_would_read_are_told(tmp_path, caplog, monkeypatch):
    composites, masks, output = make_folders(tmp_path, 1)
    (Path(composites) / "IMG_1.HEIC").touch()
    monkeypatch.setattr(heif, "is_installed", lambda module: False)
    assert run_folder(REAL, composites, masks, output, workers=1).done == 1
    assert "1 pictures in HEIC or AVIF are passed over (IMG_1.HEIC); pip install" in caplog.text
    (Path(composites) / "0000.png").unlink()
    with pytest.raises(CapabilityError, match="passed over"):
        run_folder(REAL, composites, masks, output)


def test_gifs_are_read_and_the_last_lines_say_what_was_not(tmp_path, capsys, monkeypatch):
    composites, masks, output = make_folders(tmp_path, 2)
    picture = Image.open(Path(composites) / "0001.png")
    picture.save(Path(composites) / "0001.gif")
    (Path(composites) / "0001.png").unlink()
    (Path(composites) / "IMG_1.HEIC").touch()
    (Path(composites) / "notes.txt").touch()
    monkeypatch.setattr(heif, "is_installed", lambda module: False)
    assert main(["harmonize", composites, masks, "-o", output, "--json"]) == 0
    told = capsys.readouterr()
    assert sorted(path.name for path in Path(output).glob("*.png")) == ["0000.png", "0001.gif.png"]
    last = told.err.splitlines()[-3:]
    assert re.fullmatch(rf"wrote 2 results to {re.escape(output)} in \d+ s", last[0])
    assert last[1] == "passed over 1: notes.txt (.txt is no format that is read)"
    assert last[2].startswith("passed over 1: IMG_1.HEIC (HEIC and AVIF need a package: pip install")
    passed = json.loads(told.out)["passed_over"]
    assert [lost["file"] for lost in passed] == ["notes.txt", "IMG_1.HEIC"]
    assert main(["harmonize", composites, masks, "-o", output, "--resume"]) == 0
    assert "wrote 0 results" in (again := capsys.readouterr().err)
    assert "2 were done before" in again


def test_a_file_name_is_no_folder_of_results(tmp_path):
    composites, masks, _ = make_folders(tmp_path, 1)
    for name in ("out.mp4", "out.PNG"):
        with pytest.raises(UsageError, match="not of a folder"):
            run_folder(REAL, composites, masks, str(tmp_path / name))
        assert not (tmp_path / name).exists()
