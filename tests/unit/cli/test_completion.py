"""Completion in shells: verbs, options, and the scripts."""

import os
import subprocess
import sys

import pytest

from edge_harmony.cli.verbs import VERBS

pytestmark = pytest.mark.lengthy

PROGRAM = "import sys; sys.argv[0] = 'edge-harmony'; from edge_harmony.__main__ import run; run()"


def complete(line):
    words = line.split(" ")
    asked = {"_EDGE_HARMONY_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.stdout.split()


def test_verbs_and_options_are_completed():
    assert complete("edge-harmony ") == list(VERBS)
    assert complete("edge-harmony se") == ["sensitivity", "selftest", "serve"]
    assert complete("edge-harmony --ver") == ["--version"]
    assert complete("edge-harmony harmonize --back") == ["--backend", "--background"]


@pytest.mark.parametrize(
    ("shell", "says"), [("bash", "complete -o"), ("zsh", "#compdef edge-harmony"), ("fish", "complete")]
)
def test_scripts_for_shells(shell, says):
    command = [sys.executable, "-c", PROGRAM, "--show-completion", shell]
    done = subprocess.run(
        command,
        env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert says in done.stdout
    assert "_EDGE_HARMONY_COMPLETE" in done.stdout
