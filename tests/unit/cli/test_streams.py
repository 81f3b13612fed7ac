"""Standard streams that break, signals, names that no file can have: one line and an exit status, as a process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_harmony.cli.main import main
from edge_harmony.cli.streams import fill_streams, one_line
from edge_harmony.files.atomic import atomic_write
from edge_harmony.files.names import shortened
from edge_harmony.samples import sample_files

pytestmark = pytest.mark.lengthy

CALL = (sys.executable, "-m", "edge_harmony")


def lines(text):
    found = text.strip().splitlines()
    assert not any("Traceback" in line or "Exception ignored" in line for line in found), text
    return found


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is full")
@pytest.mark.parametrize("verb", [["models", "--json"], ["models"], ["--version"]])
def test_a_stdout_that_is_full(verb):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*CALL, *verb], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert lines(done.stderr) == ["error: stdout cannot be used (No space left on device)"]


def test_a_stdout_that_nobody_reads():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*CALL, "models", "--json"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 1
    assert lines(done.stderr) == ["error: stdout cannot be used (Broken pipe)"]


def test_streams_that_are_closed(tmp_path):
    composite, mask = next(iter(sample_files()))
    call = [*CALL, "harmonize", str(composite), str(mask), "-o", str(tmp_path / "o.png"), "--json"]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *call])
    assert done.returncode == 0
    assert (tmp_path / "o.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is full")
def test_a_result_counts_though_nobody_can_read_what_is_said_of_it(tmp_path):
    composite, mask = next(iter(sample_files()))
    call = [*CALL, "harmonize", str(composite), str(mask), "-o", str(tmp_path / "o.png"), "--model", "edge-n"]
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(call, stderr=full).returncode == 0
    assert (tmp_path / "o.png").read_bytes()[:4] == b"\x89PNG"


def test_nothing_is_opened_in_the_place_of_open_streams(monkeypatch):
    monkeypatch.setattr(os, "open", None)
    fill_streams()


LONG = "x" * 260
CALLS = [
    ["harmonize", f"{LONG}.png", "m.png", "-o", "o.png"],
    ["harmonize", "c.png", f"{LONG}.png", "-o", "o.png"],
    ["harmonize", "c.png", "m.png", "-o", f"{LONG}.png"],
    ["harmonize", "c.png", "m.png", "-o", "o.png", "--before-after", f"{LONG}.png"],
    ["harmonize", "c.png", "m.png", "-o", "o.png", "--artifact", f"{LONG}.onnx"],
    ["harmonize", f"{LONG}.mp4", "m.png", "-o", "o.mp4"],
    ["harmonize", "c.png", "m.png", "-o", f"{LONG}.mp4"],
    ["harmonize", ".", ".", "-o", LONG],
    ["evaluate", "--data", LONG],
    ["train", f"{LONG}.toml"],
    ["benchmark", f"{LONG}.toml"],
    ["check", f"{LONG}.onnx", "--target", "onnxruntime"],
    ["import", f"{LONG}.npz", "--as", "hdnet"],
    ["calibrate", "edge-n", "--set", f"{LONG}.toml", "-o", "o"],
    ["compare", f"{LONG}.onnx"],
    ["harmonize", "\x1b[31mred.png", "m.png", "-o", "o.png"],
    ["harmonize", "\udcff.png", "m.png", "-o", "o.png"],
    ["harmonize", "a\nb.png", "m.png", "-o", "o.png"],
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: " ".join(call[:2])[:24].encode("ascii", "replace").decode())
def test_names_that_no_file_has(call, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    composite, mask = next(iter(sample_files()))
    (tmp_path / "c.png").write_bytes(composite.read_bytes())
    (tmp_path / "m.png").write_bytes(mask.read_bytes())
    assert main(call) in (1, 2, 3)
    (line,) = lines(capsys.readouterr().err)
    assert line.startswith("error: ")
    assert line.isprintable()
    assert {path.name for path in tmp_path.iterdir()} == {"c.png", "m.png"}


@pytest.mark.parametrize("verb", ["harmonize", "harmonize mask", "train", "benchmark", "check", "import", "compare"])
def test_a_pipe_is_no_file(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("p.png", "p.toml", "p.onnx", "p.onnx.json", "p.npz", "p.json"):
        os.mkfifo(name)
    composite, mask = next(iter(sample_files()))
    calls = {
        "harmonize": ["harmonize", "p.png", str(mask), "-o", "o.png"],
        "harmonize mask": ["harmonize", str(composite), "p.png", "-o", "o.png"],
        "train": ["train", "./p.toml"],
        "benchmark": ["benchmark", "--compare", "p.json", "p.json"],
        "check": ["check", "p.onnx", "--target", "onnxruntime"],
        "import": ["import", "p.npz", "--as", "hdnet-lite"],
        "compare": ["compare", "p.onnx"],
    }
    assert main(calls[verb]) in (1, 2)
    assert len(lines(capsys.readouterr().err)) == 1


KILLED = """
import os, sys
from pathlib import Path
import edge_harmony.cli.models as module
from edge_harmony.cli.main import main
from edge_harmony.files.atomic import new_file
def ask(*_):
    with new_file(Path(sys.argv[2]) / "half.bin") as half:
        half.write_bytes(b"half")
        os.kill(os.getpid(), int(sys.argv[1]))
        raise AssertionError("the signal was not delivered")
module.print_json = ask
sys.exit(main(["models", "--json"]))
"""


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signals_end_any_verb_in_one_line(number, status, said, tmp_path):
    call = [sys.executable, "-c", KILLED, str(int(number)), str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert lines(done.stderr) == [f"error: {said}"]
    assert list(tmp_path.iterdir()) == []


TWICE = """
import os, signal
from edge_harmony.cli.console import stopping
from edge_harmony.cli.streams import Terminated
for number, status, ends in ((signal.SIGTERM, 143, Terminated), (signal.SIGINT, 130, KeyboardInterrupt)):
    with stopping() as stop:
        os.kill(os.getpid(), number)
        assert stop.is_set()
        assert stop.exit_status == status
        try:
            os.kill(os.getpid(), number)
        except ends:
            print(number.name)
"""


def test_the_first_signal_asks_and_the_second_ends():
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["SIGTERM", "SIGINT"]


def test_what_a_terminal_would_obey_is_shown():
    assert one_line("a\x1b[2Jb \udcff\n c \u00e9 \u6f22 \U0001f600") == "a\\x1b[2Jb \\udcff c \u00e9 \u6f22 \U0001f600"


def test_long_messages_keep_their_ends():
    line = one_line("begin " + "x" * 100_000_000 + " end; do this")
    assert line.startswith("begin x")
    assert line.endswith("x end; do this")
    assert len(line) < 11_000


@pytest.mark.parametrize(("name", "room"), [("\u00e4" * 5, 3), ("a\udcffb", 2), ("abc", 9), ("\u6f22\u5b57", 5)])
def test_beginnings_of_names(name, room):
    kept = shortened(name, room)
    assert name.startswith(kept)
    assert len(os.fsencode(kept)) <= room
    assert len(kept) == len(name) or len(os.fsencode(name[: len(kept) + 1])) > room


def test_results_have_names_that_are_no_utf8(tmp_path):
    atomic_write(tmp_path / ("\udcff" * 120 + ".png"), b"whole")
    assert len(list(tmp_path.iterdir())) == 1
    assert json.dumps([path.name for path in tmp_path.iterdir()])


@pytest.mark.parametrize("module", ["typer", "edge_harmony.models.registry"])
def test_ctrl_c_while_the_command_or_its_verb_is_loaded(module):
    code = (
        "import sys, importlib.abc\n"
        "class Stops(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stops())\n"
        "sys.argv = ['edge-harmony', 'models']\n"
        "from edge_harmony.__main__ import run\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130
    assert lines(done.stderr) == ["error: interrupted"]


def test_ctrl_c_within_an_evaluation_is_an_exit_status_too(tmp_path):
    """As packages do that evaluate annotations; ``python -m`` ended by the signal."""
    code = (
        "import edge_harmony.cli.verbs as verbs, sys\n"
        "def stops(): raise KeyboardInterrupt\n"
        "def models() -> None: eval('stops()', {'stops': stops})\n"
        "verbs.load_verb = lambda name: models\n"
        "sys.argv = ['edge-harmony', 'models']\n"
        "from edge_harmony.__main__ import run\n"
        "run()\n"
    )
    (tmp_path / "evaluating.py").write_text(code)
    paths = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-m", "evaluating"], env=environment, capture_output=True, text=True)
    assert lines(done.stderr) == ["error: interrupted"]
    assert done.returncode == 130


def test_an_error_that_nobody_reads_still_has_its_status():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*CALL, "no-such-verb"], stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    assert done.returncode == 2
