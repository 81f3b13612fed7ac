"""Backends of other distributions: an example that is installed and run, and every way of being wrong, in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_harmony.backends.discovery import backend_names, get_backend
from edge_harmony.errors import CapabilityError
from edge_harmony.samples import sample_files

pytestmark = pytest.mark.lengthy

EXAMPLE = Path(__file__).parents[2] / "example_backend"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the example distribution, as ``pip install --target`` leaves it; no network is needed."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--target", str(folder), str(EXAMPLE)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """A verb in a process that finds the plug-in; all that this process starts finds it too."""
    paths = [str(installed), str(EXAMPLE.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}

    def call(*arguments):
        command = [sys.executable, "-m", "edge_harmony", *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
        )

    return call


@pytest.mark.slow
def test_the_example_works_through_every_verb(run, edge_weights, tmp_path):
    target = EXAMPLE / "example-int8.toml"
    export = ["export", "edge-n", "--target", target, "-o", tmp_path / "out", "--weights", edge_weights]
    planned = run(*export, "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["steps"] == [
        {
            "does": "write the file of the example backend",
            "makes": "edge-n-256x256-int8.example",
            "missing": "",
            "fix": "",
        }
    ]
    assert "--backend example" in plan["then"]["command"]

    made = run(*export, "--json")
    assert made.returncode == 0, made.stderr
    artifact = Path(json.loads(made.stdout)["artifact"])
    assert artifact.name == plan["steps"][0]["makes"]

    checked = run("check", artifact, "--target", target, "--json")
    assert checked.returncode == 0, checked.stderr
    report = json.loads(checked.stdout)
    assert (report["runtime"], report["counts"]["int8"], report["findings"]) == ("example", 1, [])
    assert report["unknown"] == ["how long a single operator takes"]

    composite, mask = next(iter(sample_files()))
    done = run("harmonize", composite, mask, "-o", "result.png", "--backend", "example", "--artifact", artifact)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "result.png").stat().st_size > 10_000

    # two contenders in processes of their own: the shipped file, and one that is built for the plug-in
    (tmp_path / "suite.toml").write_text(
        'name = "plugin"\nbaseline = "edge-n int8 onnxruntime"\n'
        "[effort]\nwarm_up = 0\nleast_count = 2\nleast_seconds = 0\nmost_seconds = 0.1\n"
        '[[contenders]]\nmodel = "edge-n"\n[[contenders]]\nmodel = "edge-n"\nbackend = "example"\n'
    )
    timed = run("benchmark", "suite.toml", "-o", "result.json", "--json")
    assert timed.returncode == 0, timed.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["failures"] == []
    (ours,) = [m for m in result["measurements"] if m["contender"]["backend"] == "example"]
    assert ours["contender"]["artifact"] == "edge-n-256x256-int8.example"
    assert ours["contender"]["mode"] is None
    assert ours["parity"]["psnr"] > 35
    assert result["environment"]["versions"]["edge-harmony-example-backend"] == "1.0"


def test_what_does_not_fit_the_example_is_said(run, tmp_path):
    text = (EXAMPLE / "example-int8.toml").read_text()
    (tmp_path / "own.toml").write_text(text.replace('"priority"', '"random"'))
    refused = run("export", "edge-n", "--target", "own.toml", "-o", "out", "--dry-run")
    assert refused.returncode == 1
    assert "options: " in refused.stderr
    assert "order: Input should be 'default' or 'priority'" in " ".join(refused.stderr.split())


SOUND = """
from edge_harmony.backends.base import Backend, Probe, Runner

class Mine(Backend):
    name = "mine"
    def probe(self):
        return Probe(True, "here")
    def load(self, request):
        raise NotImplementedError
"""
DEFAULTS = "class Old:\n    name = 'mine'\n    def probe(self): ...\n    def load(self, request): ...\n"
WRONG = {
    "no such module": (SOUND, "nowhere:Mine", "cannot be imported (ModuleNotFoundError: No module named 'nowhere')"),
    "no such class": (SOUND, "plugin:Yours", "cannot be imported (AttributeError: "),
    "a failing import": ("import torch_of_tomorrow\n" + SOUND, "plugin:Mine", "No module named 'torch_of_tomorrow'"),
    "broken code": ("class Mine(:\n", "plugin:Mine", "cannot be imported (SyntaxError: "),
    "an import that ends the process": ("raise SystemExit(7)\n", "plugin:Mine", "cannot be imported (SystemExit: 7)"),
    "an entry point without a class": (SOUND, "plugin", "is no class but a module"),
    "an entry point that names nothing": (SOUND, "::", "cannot be imported (AttributeError: "),
    "no class": (SOUND + "mine = Mine()\n", "plugin:mine", "is no class but a Mine"),
    "not derived": (DEFAULTS, "plugin:Old", "is not derived from edge_harmony.backends.base.Backend"),
    "no load": (SOUND.replace("def load", "def open"), "plugin:Mine", "lacks load()"),
    "neither": ("from edge_harmony.backends.base import *\nclass Mine(Backend):\n    name = 'mine'\n", "plugin:Mine",
                "lacks load() and probe()"),
    "no name": (SOUND.replace('name = "mine"', "pass"), "plugin:Mine", "lacks name"),
    "another name": (SOUND.replace('"mine"', '"yours"'), "plugin:Mine", "calls itself 'yours'"),
    "a name of a wrong type": (SOUND.replace('"mine"', "7"), "plugin:Mine", "has name = 7, which is no str"),
    "packages in a list": (SOUND + "    packages = ['a']\n", "plugin:Mine", "which is no tuple[str, ...]"),
    "packages of a wrong type": (SOUND + "    packages = (1,)\n", "plugin:Mine", "packages[0] = 1, which is no str"),
    "options of a wrong type": (SOUND + "    options = {}\n", "plugin:Mine", "has options = {}, which is no type["),
    "an instance of options": (
        SOUND + "    from edge_harmony.backends.base import NoOptions\n    options = NoOptions()\n",
        "plugin:Mine",
        "has options = NoOptions(), which is no type[",
    ),
    "a method that is none": (SOUND + "    steps = []\n", "plugin:Mine", "has steps = [], which is no method"),
    "arguments that do not fit": (
        SOUND + "    def inspect(self): ...\n",
        "plugin:Mine",
        "has inspect(self), which cannot be called as inspect(request)",
    ),
    "the arguments of an earlier contract": (
        SOUND + "    def build(self, source, output, **options): ...\n",
        "plugin:Mine",
        "has build(self, source, output, **options), which cannot be called as build(request, source, folder)",
    ),
    "making it ends the process": (
        SOUND + "    def __init__(self): raise SystemExit(7)\n", "plugin:Mine", "cannot be made (SystemExit: 7)"
    ),
    "it cannot be made": (
        SOUND + "    def __init__(self, board): ...\n", "plugin:Mine", "cannot be made (TypeError: "
    ),
}  # fmt: skip


def test_a_sound_plug_in_is_found(register):
    register(SOUND, "plugin:Mine")
    assert "mine" in backend_names()
    assert get_backend("mine").probe().detail == "here"


@pytest.mark.parametrize("way", WRONG)
def test_what_a_plug_in_lacks_is_said_in_one_line(way, register):
    text, value, said = WRONG[way]
    register(text, value)
    with pytest.raises(CapabilityError) as caught:
        get_backend("mine")
    line = str(caught.value)
    assert f"the backend mine ({value} of mine-0)" in line
    assert said in line
    assert "\n" not in line


def test_names_that_clash(register):
    register(SOUND, "plugin:Mine", "other:Mine")
    with pytest.raises(CapabilityError, match=r"two backends are called mine: .*mine-\d.* and .*; uninstall one"):
        get_backend("mine")


def test_a_plug_in_does_not_take_the_place_of_a_backend(register):
    register(SOUND, "plugin:Mine", name="openvino")
    with pytest.raises(CapabilityError, match=r"two backends are called openvino: .*edge-harmony.*"):
        get_backend("openvino")


def test_a_plug_in_that_is_wrong_ends_no_verb_in_a_traceback(register, tmp_path, capsys):
    from edge_harmony.cli.main import main

    register(SOUND.replace("def load", "def open"), "plugin:Mine")
    target = (EXAMPLE / "example-int8.toml").read_text().replace('"example"', '"mine"')
    (tmp_path / "own.toml").write_text(target)
    assert main(["export", "edge-n", "--target", str(tmp_path / "own.toml"), "-o", str(tmp_path), "--dry-run"]) == 3
    assert "error: the backend mine (plugin:Mine of mine-0) lacks load()" in " ".join(capsys.readouterr().err.split())
    assert main(["doctor", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["capabilities"]
    (row,) = [row for row in rows if row["name"] == "backend mine"]
    assert not row["available"]
    assert "lacks load()" in row["detail"]


def test_a_plug_in_needs_no_more_than_its_name_a_probe_and_load(register, tmp_path, capsys):
    from edge_harmony.cli.main import main

    register(SOUND, "plugin:Mine")
    target = (EXAMPLE / "example-int8.toml").read_text().replace('"example"', '"mine"').partition("[options]")[0]
    (tmp_path / "own.toml").write_text(target)
    call = ["export", "edge-n", "--target", str(tmp_path / "own.toml"), "-o", str(tmp_path)]
    assert main([*call, "--dry-run"]) == 0
    assert "the mine backend does not say how it builds" in capsys.readouterr().out
    assert main(call) == 2
    assert "the mine backend builds nothing" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "own.toml"), "--target", "mine"]) == 2
    assert "the mine backend has no rules to judge a file by" in capsys.readouterr().err


def test_the_backends_are_there_without_the_runtimes_that_they_drive():
    code = (
        "import sys\n"
        "absent = ('torch', 'onnx', 'coremltools', 'ai_edge_litert', 'openvino', 'tensorrt', 'tensorrt_rtx')\n"
        "sys.modules.update(dict.fromkeys(absent))\n"
        "from edge_harmony.backends.discovery import backend_names, get_backend\n"
        "for name in backend_names(): assert get_backend(name).name == name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
