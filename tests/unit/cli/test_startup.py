"""What the command line imports: nothing heavy for help, only what a verb needs for a light verb."""

import gc
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import edge_harmony.cli
from edge_harmony.cli.main import main
from edge_harmony.cli.verbs import VERBS, Verbs, load_verb
from edge_harmony.samples import sample_files

pytestmark = pytest.mark.lengthy

HEAVY = {"av", "cv2", "gradio", "numpy", "onnx", "onnxruntime", "openvino", "PIL", "ray", "torch"}
HELP = {"__main__", "cli", "errors"}
MODELS = HELP | {"export", "extras", "files", "models"}
"""Rooms of the package, or files at its door, that a call may import."""

AFTER = """
import sys
from edge_harmony.cli.main import main
status = main(sys.argv[1:])
print(*sorted(sys.modules), file=sys.stderr)
sys.exit(status)
"""


def imported(*call):
    """Modules in a process of its own after a call; and its output."""
    done = subprocess.run([sys.executable, "-c", AFTER, *call], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if call else 2), done.stderr
    return set(done.stderr.splitlines()[-1].split()), done.stdout


@pytest.mark.parametrize("call", [["--help"], ["--version"], []], ids=" ".join)
def test_help_imports_nothing_heavy_and_no_verb(call):
    modules, _ = imported(*call)
    assert not modules & (HEAVY | {"pydantic", "rich"})
    ours = {name for name in modules if name.startswith("edge_harmony")}
    assert {name.split(".")[1] for name in ours if "." in name} <= HELP
    assert {name for name in ours if name.startswith("edge_harmony.cli.")} == {
        "edge_harmony.cli.flags",
        "edge_harmony.cli.main",
        "edge_harmony.cli.streams",
        "edge_harmony.cli.verbs",
    }


def test_models_imports_nothing_of_pictures_and_networks():
    modules, said = imported("models", "--json")
    assert '"edge-s"' in said
    assert not modules & (HEAVY | {"pydantic"})
    ours = {name for name in modules if name.startswith("edge_harmony.")}
    assert {name.split(".")[1] for name in ours} <= MODELS
    assert "edge_harmony.models.registry" in ours


def test_one_picture_imports_nothing_of_folders_and_videos(tmp_path):
    composite, mask = next(iter(sample_files()))
    modules, _ = imported("harmonize", str(composite), str(mask), "-o", str(tmp_path / "result.png"), "--quiet")
    ours = {name for name in modules if name.startswith("edge_harmony.")}
    assert "edge_harmony.harmonizer" in ours
    assert {name for name in ours if name.split(".")[1] in ("folder", "video")} == {
        "edge_harmony.video",
        "edge_harmony.video.names",
    }
    assert not modules & {"multiprocessing", "torch"}


def test_help_of_a_verb_imports_no_other_verb():
    modules, _ = imported("models", "--help")
    verbs = {f"edge_harmony.cli.{load_verb(name).__name__}" for name in VERBS}
    assert modules & verbs == {"edge_harmony.cli.models"}


def test_the_list_of_verbs_is_that_of_their_own_help():
    for name, line in VERBS.items():
        first = inspect.getdoc(load_verb(name)).split("\n\n")[0]
        assert line == " ".join(first.split()), name


def test_every_verb_has_a_file_and_every_file_a_verb():
    files = {path.stem for path in Path(edge_harmony.cli.__file__).parent.glob("*.py")}
    others = {"__init__", "build_flags", "build_tables", "console", "flags", "harmonize_many", "main"}
    others |= {"plain_progress", "streams", "trtexec", "until_stopped", "verbs"}
    assert {load_verb(name).__name__ for name in VERBS} == files - others


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.split("Verbs:")[1].splitlines() if line[2:3].strip()] == list(VERBS)
    assert main([]) == 2
    assert capsys.readouterr().out.split("Verbs:")[1] == shown.split("Verbs:")[1]


def test_a_misspelt_verb_is_answered_with_the_nearest(capsys):
    assert main(["modls"]) == 2
    assert "models" in capsys.readouterr().err
    with pytest.raises(KeyError):
        load_verb("modls")


def test_garbage_is_looked_for_again_once_a_verb_is_loaded():
    assert gc.isenabled()
    load_verb("models")
    assert gc.isenabled()
    with pytest.raises(KeyError):
        load_verb("modls")
    assert gc.isenabled()


def test_verbs_cannot_be_added_past_the_list():
    commands = Verbs(name="edge-harmony").commands
    with pytest.raises(TypeError, match="VERBS"):
        commands["more"] = None
    with pytest.raises(TypeError, match="VERBS"):
        del commands["models"]
    assert "models" in commands
    assert len(commands) == len(VERBS)
