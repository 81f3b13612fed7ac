"""The README's commands and snippets run as they are written, those that this machine can run within seconds."""

import re
import shlex
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

from edge_harmony.cli.main import main
from edge_harmony.extras import is_installed
from edge_harmony.files.toml import tomllib
from edge_harmony.samples import sample_files
from tests.unit.test_imports import ROOT

pytestmark = pytest.mark.lengthy

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (edge-harmony .*)$", README, re.MULTILINE)
INSTALLS = re.findall(r"^    (pip install .*)$", README, re.MULTILINE)
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)

TAKE_LONGER = {
    "benchmark": "minutes of measurements",
    "build": "needs TensorRT",
    "calibrate": "runs the network in torch",
    "check": "reads the file that export writes",
    "compare": "reads the file that export writes",
    "demo": "serves until Ctrl-C",
    "evaluate": "reads iHarmony4",
    "export": "traces the network in torch",
    "import": "reads a checkpoint that is not ours to ship",
    "selftest": "needs the device",
    "serve": "serves until Ctrl-C",
    "sensitivity": "runs the network in torch",
    "train": "reads iHarmony4",
}
"""Verbs whose calls are not run here, and why; their own tests run them."""


def verb_of(command):
    return command.split()[1]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The files that the commands name."""
    monkeypatch.chdir(tmp_path)
    composite, mask = next(iter(sample_files()))
    shutil.copy(composite, "composite.jpg")
    shutil.copy(composite, "street.jpg")
    shutil.copy(mask, "mask.png")
    pixels = cv2.imread(str(composite))
    cv2.imwrite("cutout.png", np.dstack([pixels, cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)]))
    for folder, file in (("composites", composite), ("masks", mask)):
        (tmp_path / folder).mkdir()
        shutil.copy(file, tmp_path / folder / f"one{file.suffix}")
    return tmp_path


def write_videos():
    from edge_harmony.video.writer import VideoWriter

    for name, level in {"person": 200, "mask": 255, "street": 90}.items():
        with VideoWriter(Path(f"{name}.mp4"), (96, 64), Fraction(25)) as writer:
            for frame in range(3):
                writer.write(np.full((64, 96, 3), level, np.uint8), Fraction(frame, 25))


@pytest.mark.parametrize("command", [c for c in COMMANDS if verb_of(c) not in TAKE_LONGER])
def test_commands_run(command, place, capsys):
    words = shlex.split(command, comments=True)[1:]
    if "person.mp4" in words:
        if not is_installed("av"):
            pytest.skip("videos need PyAV")
        write_videos()
    assert main(words) == 0, capsys.readouterr().err
    if verb_of(command) == "harmonize":
        made = words[words.index("-o") + 1] if "-o" in words else "composite_harmonized.jpg"
        assert (place / made).exists()


def test_every_other_command_is_left_out_for_a_reason():
    assert {verb_of(c) for c in COMMANDS} >= TAKE_LONGER.keys()


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda s: s.splitlines()[0])
def test_snippets_run(snippet, place):
    names = {}
    exec(snippet, names)
    assert names["result"].shape == names["composite"].shape


@pytest.mark.parametrize("command", INSTALLS)
def test_lines_of_installation_are_valid_and_their_extras_exist(command):
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    pip, install, *wanted = shlex.split(command, comments=True)
    assert (pip, install) == ("pip", "install")
    for word in wanted:
        folder = re.fullmatch(r"\.(\[.*\])?", word)
        requirement = Requirement(f"edge-harmony{folder[1] or ''}" if folder else word)
        assert requirement.name != "edge-harmony" or requirement.extras <= known.keys(), word
    assert wanted
