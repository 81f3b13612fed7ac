"""`--verbose` and `--quiet`: every verb has them, and stderr follows."""

import logging
import re

import pytest
import typer

from edge_harmony.cli.console import log_to_stderr
from edge_harmony.cli.main import app, main
from edge_harmony.samples import sample_files

pytestmark = pytest.mark.lengthy

VERBS = sorted(typer.main.get_command(app).commands)


@pytest.fixture(autouse=True)
def _level_as_before():
    yield
    logging.getLogger("edge_harmony").setLevel(logging.WARNING)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_both(verb, capsys):
    options = {name for p in typer.main.get_command(app).commands[verb].params for name in p.opts}
    assert {"--verbose", "-v", "--quiet", "--json"} <= options
    assert main([verb, "--help"]) == 0
    assert "--quiet" in capsys.readouterr().out


def test_both_together_are_refused(capsys):
    assert main(["models", "--verbose", "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("error: --verbose and --quiet contradict")


def harmonize(tmp_path, *more):
    composite, mask = next(iter(sample_files()))
    return main(["harmonize", str(composite), str(mask), "-o", str(tmp_path / "a.jpg"), "--model", "edge-n", *more])


def test_verbose_says_what_is_loaded_and_written(capsys, tmp_path):
    assert harmonize(tmp_path, "-v") == 0
    told = capsys.readouterr().err
    assert "backend onnxruntime" in told
    assert f"wrote {tmp_path / 'a.jpg'}, " in told
    assert harmonize(tmp_path) == 0
    (line,) = capsys.readouterr().err.splitlines()  # the next call starts from the default again
    assert re.fullmatch(rf"wrote {re.escape(str(tmp_path))}/a\.jpg: \d+x\d+, \d+\.\d\d MB, in \d+\.\d s", line)
    assert harmonize(tmp_path, "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_verbose_shows_where_an_error_was_raised(capsys):
    assert main(["harmonize", "none.jpg", "none.png", "-o", "x.png", "-v"]) == 2
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.splitlines()[-1].startswith("error: ")
    assert main(["harmonize", "none.jpg", "none.png", "-o", "x.png"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_warning_is_one_line_that_no_terminal_obeys(capsys):
    log_to_stderr()
    logging.getLogger("edge_harmony.x").warning("the tag \x1b]0;title\x07 of\n%s is left out", "a\x1b[2J.mp4")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("the tag \\x1b]0;title\\x07 of a\\x1b[2J.mp4 is left out")


def test_quiet_leaves_errors_and_results_only(capsys, tmp_path):
    folders = []
    for name in ("composites", "masks"):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
    composite, mask = next(iter(sample_files()))
    (folders[0] / "good.jpg").write_bytes(composite.read_bytes())
    (folders[1] / "good.png").write_bytes(mask.read_bytes())
    (folders[0] / "bad.jpg").write_bytes(b"no picture")
    (folders[1] / "bad.png").write_bytes(mask.read_bytes())
    call = ["harmonize", *map(str, folders), "-o", str(tmp_path / "o"), "--model", "edge-n", "--json", "--quiet"]
    assert main(call) == 1
    shown = capsys.readouterr()
    assert [line.split(":")[0] for line in shown.err.splitlines()] == ["error"]
    assert '"done": 1' in shown.out


def test_quiet_silences_warnings(capsys, tmp_path):
    composite, _ = next(iter(sample_files()))
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros(cv2.imread(str(composite)).shape[:2], np.uint8))
    call = ["harmonize", str(composite), str(tmp_path / "empty.png"), "-o", str(tmp_path / "a.png")]
    assert main(call) == 0
    assert "the mask is empty" in capsys.readouterr().err
    assert main([*call, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_warning_is_one_line_however_long(capsys):
    assert main(["models"]) == 0
    capsys.readouterr()
    logging.getLogger("edge_harmony").warning("%s", "word " * 60)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split()[0] == "WARNING"
