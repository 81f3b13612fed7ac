"""The project around the code: targets, generated files, hosted CI."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_make_help_lists_every_target():
    # without the variables that `make test` hands to us, by which make would know that it runs within make
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(["make", "help"], cwd=ROOT, env=outside, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in shown.splitlines()} == TARGETS
    assert all(len(line.split()) > 1 for line in shown.splitlines())


@pytest.mark.parametrize(
    "path", [ROOT / ".ci" / "run", ROOT / "README.md", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=str
)
def test_targets_that_are_named_exist(path):
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"`make ([a-z-]+)|^ {0,4}make ([a-z -]+?)(?: *#.*)?$", text, re.MULTILINE)
    assert {word for pair in named for part in pair for word in part.split()} <= TARGETS


def test_hosted_ci_runs_the_makefile_only():
    steps = re.findall(r"- run: (.*)", WORKFLOW)
    assert steps
    for step in steps:
        command, *words = step.split()
        assert command == "make"
        assert {word for word in words if "=" not in word} <= TARGETS


def test_hosted_ci_tries_the_versions_that_are_named():
    named = set(re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PYPROJECT))
    matrices = re.findall(r"python: \[(.*)\]", WORKFLOW)
    assert matrices
    assert all(set(re.findall(r"3\.\d+", matrix)) == named for matrix in matrices)
    assert f'requires-python = ">={min(named, key=lambda v: int(v[2:]))}"' in PYPROJECT


def test_the_page_of_the_command_line_is_fresh():
    from command_line import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "make docs"


def test_the_published_schema_is_fresh():
    from schema import PUBLISHED, text

    assert PUBLISHED.read_text(encoding="utf-8") == text(), "make schema"


def test_every_page_has_its_place_in_the_site():
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for path in (ROOT / "docs").rglob("*.md"):
        assert re.search(rf"[ :]{re.escape(path.relative_to(ROOT / 'docs').as_posix())}$", config, re.MULTILINE), path


def test_the_exit_statuses_of_the_page_are_those_of_the_code():
    from command_line import PAGE

    from edge_harmony.errors import ExitCode

    rows = re.findall(r"^\| (\d+) \| (\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == [*ExitCode, 130, 143]
