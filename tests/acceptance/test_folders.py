"""Many pictures, two of them corrupt, with the process killed in the middle: none is lost, none is done twice.

``EDGE_HARMONY_PICTURES=1000`` runs a thousand pictures.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import psutil
import pytest

from edge_harmony.folder.run import FAILED, RECORD
from tests.unit.folder.making import make_folders

COUNT = int(os.environ.get("EDGE_HARMONY_PICTURES", "120"))
CORRUPT = ("0053.png", "0087.png")


# Stands in the way of results beyond three quarters, so that no process is quicker than the kill.
HOLD = """
import os, pathlib, time
replace, root = os.replace, pathlib.Path({root!r})

def held(source, target, **more):
    while str(target).endswith(".png") and len(list(root.glob("out/[0-9]*.png"))) >= {most}:
        if (root / "killed").exists():
            break
        time.sleep(0.02)
    return replace(source, target, **more)

os.replace = held
"""


def command(folders, engine, *more):
    composites, masks, output = folders
    verb = [sys.executable, "-m", "edge_harmony", "harmonize", composites, masks, "-o", output]
    return [*verb, "--model", "edge-n", "--workers", "2", "--engine", engine, "--json", *more]


def results(output):
    return {path.name: path.stat().st_mtime_ns for path in Path(output).glob("[0-9]*.png")}


@pytest.mark.parametrize("engine", ["local", "ray"])
@pytest.mark.slow
def test_many_pictures_and_a_kill(tmp_path, engine):
    if engine == "ray":
        pytest.importorskip("ray")
    folders = make_folders(tmp_path, COUNT)
    for name in CORRUPT:
        (Path(folders[0]) / name).write_bytes((Path(folders[0]) / name).read_bytes()[:200])
    output = Path(folders[2])
    (tmp_path / "hold").mkdir()
    (tmp_path / "hold" / "sitecustomize.py").write_text(HOLD.format(root=str(tmp_path), most=COUNT * 3 // 4))
    found = os.pathsep.join([str(tmp_path / "hold"), *filter(None, [os.environ.get("PYTHONPATH")])])
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    environment = os.environ | {"PYTHONPATH": found}
    first = subprocess.Popen(command(folders, engine), **pipes, env=environment, start_new_session=True)
    while len(results(output)) < COUNT // 2:
        assert first.poll() is None, first.stderr.read()
        time.sleep(0.02)
    helpers = psutil.Process(first.pid).children(recursive=True)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    (tmp_path / "killed").touch()
    _, alive = psutil.wait_procs(helpers, timeout=600 if engine == "local" else 2)
    for process in alive:
        process.kill()
    assert engine == "ray" or not alive  # Ray's own servers outlive their driver for a while
    psutil.wait_procs(alive, timeout=600)
    before = results(output)
    assert COUNT // 2 <= len(before) < COUNT - len(CORRUPT)
    assert not (output / FAILED).exists()

    second = subprocess.run(command(folders, engine, "--resume"), capture_output=True, text=True, timeout=1500)
    assert second.returncode == 1, second.stderr
    report = json.loads(second.stdout)
    assert report["skipped"] == len(before)
    assert report["done"] + report["skipped"] == COUNT - len(CORRUPT)
    assert [Path(row["file"]).name for row in report["failed"]] == list(CORRUPT)
    assert json.loads((output / FAILED).read_text()) == report["failed"]
    assert all("truncated" in row["error"] for row in report["failed"])
    after = results(output)
    assert set(after) == {f"{k:04d}.png" for k in range(COUNT)} - set(CORRUPT)
    assert {name: after[name] for name in before} == before  # what was done was not done again
    assert {path.name for path in output.iterdir()} - set(after) == {RECORD, FAILED}
    assert all(cv2.imread(str(output / name)).shape == (32, 32, 3) for name in after)
