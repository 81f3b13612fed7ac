"""The page of what ran where: every backend, target and example is on it, and what shows its rows is there."""

import re
from fnmatch import fnmatchcase

import pytest

from docs.tabulated.ran import what_ran
from docs.tabulated.results import ROOT
from edge_harmony.backends.targets import read_target

RAN = what_ran()
ROWS = [*RAN.artifacts, *RAN.examples]
TARGETS = sorted(path.stem for path in (ROOT / "export" / "targets").glob("*.toml"))
PAGES = ("README.md", *(f"docs/{name}.md" for name in ("coreml", "litert", "web", "jetson", "tensorrt", "triton")))


def name_of(row):
    return f"{getattr(row, 'backend', None) or row.folder}: {row.what}"


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_in_one_row_of_its_backend(target):
    rows = [row for row in RAN.artifacts if any(fnmatchcase(target, pattern) for pattern in row.targets)]
    assert [row.backend for row in rows] == [read_target(target).backend]


def test_patterns_name_targets():
    patterns = [pattern for row in RAN.artifacts for pattern in row.targets]
    assert [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in TARGETS)] == []


def test_every_backend_has_a_row():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (registered,) = re.findall(r'entry-points."edge_harmony.backends"]\n((?:[\w-]+ = .*\n)+)', project)
    assert {row.backend for row in RAN.artifacts} == {line.split(" = ")[0] for line in registered.splitlines()}


def test_every_example_has_a_row():
    assert {row.folder for row in RAN.examples} == {path.name for path in (ROOT / "examples").iterdir()}


def test_every_program_of_the_cpp_example_has_a_row():
    programs = re.findall(r"add_executable\(([\w-]+)", (ROOT / "examples/cpp/CMakeLists.txt").read_text())
    assert [row.what for row in RAN.examples if row.folder == "cpp"] == [f"`{program}`" for program in programs]


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_what_shows_a_row_is_there(row):
    for shown in row.shown_by:
        file, _, test = shown.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not test or re.search(rf"^def {test}\(", text, re.MULTILINE), shown


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_what_is_said_to_have_run_is_shown(row):
    done = (row.converted, row.loaded, row.compared) if row in RAN.artifacts else (row.compiled, row.ran)
    assert bool(row.shown_by) == any(word not in ("no", "-") for word in done)


@pytest.mark.parametrize("row", [row for row in RAN.artifacts if row.targets], ids=name_of)
def test_a_device_on_which_nothing_was_measured_is_named(row):
    """Until a result of a machine with a GPU, or of a board, is committed."""
    machines = row.machines()
    assert machines, "the first result names the machine"
    platforms = {read_target(name).platform for name in TARGETS for one in row.targets if fnmatchcase(name, one)}
    if platforms != {"cpu"} and machines[0].startswith("Linux x86_64"):
        assert row.never_on not in ("", "-")


@pytest.mark.parametrize("page", PAGES)
def test_pages_of_targets_lead_to_it(page):
    assert re.search(r"\]\((docs/)?what-ran\.md\)", (ROOT / page).read_text(encoding="utf-8")), page
