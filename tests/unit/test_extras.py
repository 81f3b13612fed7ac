"""Hints name extras that exist and bring what is missing; nothing is looked for in another way."""

import ast
import json
import re
import shlex
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError

import pytest
from packaging.requirements import Requirement

from edge_harmony import extras
from edge_harmony.errors import CapabilityError
from edge_harmony.extras import (
    EXTRAS,
    check_installed,
    install_command,
    install_hint,
    is_installed,
    require,
    signals_held,
)
from edge_harmony.files.toml import tomllib
from tests.unit.test_imports import PACKAGE, ROOT

pytestmark = pytest.mark.lengthy

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = PROJECT["optional-dependencies"]
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "ai_edge_litert": "ai-edge-litert",
    "pynvml": "nvidia-ml-py",
    "cuda": "cuda-bindings",
    "tensorrt_rtx": "tensorrt-rtx-cu13",
    "ray": "ray[data]",
    "pyarrow": "ray[data]",
    "pillow_heif": "pillow-heif",
    "python_multipart": "python-multipart",
    "tensorrt_lean": "tensorrt-lean",
}
"""Names on the package index, where they are not the module's."""


def strings(path):
    """Every text in a file, with the constant parts of f-strings; and whether a part follows that is filled in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield from (part.value for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def hints():
    return [(path.relative_to(ROOT), text) for path in PACKAGE.rglob("*.py") for text in strings(path)]


def test_hints_that_are_written_out_name_extras_that_exist():
    named = [(path, name) for path, text in hints() for name in re.findall(r"edge-harmony\[([\w,-]+)\]", text)]
    for path, name in named:
        assert set(name.split(",")) <= DECLARED.keys(), path
    open_ended = {str(path) for path, text in hints() if text.endswith("edge-harmony[")}
    assert open_ended == {"edge_harmony/extras.py"}  # a name that is filled in comes from EXTRAS


@pytest.mark.parametrize("module", EXTRAS)
def test_every_extra_brings_its_module(module):
    brought = [re.split(r"[><=; ]", requirement)[0] for requirement in DECLARED[EXTRAS[module]]]
    assert DISTRIBUTIONS.get(module, module) in brought
    assert f"[{EXTRAS[module]}]" in install_hint(module)


@pytest.mark.parametrize("extra", ["jetson", "tensorrt", "tensorrt-lean"])
@pytest.mark.parametrize(("python", "major"), [("3.10", 12), ("3.11", 12), ("3.12", 13), ("3.13", 13)])
def test_cuda_bindings_are_of_the_cuda_that_comes_with_a_jetpacks_python(extra, python, major):
    requirements = [
        r for r in map(Requirement, DECLARED[extra]) if r.marker and r.marker.evaluate({"python_version": python})
    ]
    assert [r.name for r in requirements] == ["cuda-bindings"]
    assert f"{major}.9" in requirements[0].specifier
    assert f"{25 - major}.9" not in requirements[0].specifier  # 12 and 13 exclude each other


def test_modules_are_looked_for_in_one_way():
    users = {path.name for path in PACKAGE.rglob("*.py") if "find_spec" in path.read_text(encoding="utf-8")}
    assert users == {"extras.py"}


def test_what_is_missing_is_one_line_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(CapabilityError, match="needs it") as found:
        require("gradio", "the page needs it")
    assert found.value.hint == install_command("demo")
    monkeypatch.setattr(extras, "find_spec", lambda module: None if module == "ray" else object())
    with pytest.raises(CapabilityError, match="Ray"):
        check_installed("Ray is missing", "pyarrow", "ray")
    check_installed("PyArrow is there", "pyarrow")


def test_a_module_below_a_missing_package_is_missing():
    assert not is_installed("no_such_package.part")
    assert is_installed("numpy.linalg")


COMMIT = "0123456789abcdef0123456789abcdef01234567"
ARCHIVE = "https://example.org/edge_harmony-0.2.0-py3-none-any.whl"
REPOSITORY = "https://example.org/edge-harmony.git"


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({}, "pip install 'edge-harmony[video]'"),
        ({"url": ROOT.as_uri(), "dir_info": {}}, f"pip install '{ROOT}[video]'"),
        ({"url": ROOT.as_uri(), "dir_info": {"editable": True}}, f"pip install -e '{ROOT}[video]'"),
        ({"url": "file:///no/such/folder", "dir_info": {}}, "pip install 'edge-harmony[video]'"),
        ({"url": ARCHIVE, "archive_info": {}}, f"pip install 'edge-harmony[video] @ {ARCHIVE}'"),
        (
            {"url": REPOSITORY, "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
            f"pip install 'edge-harmony[video] @ git+{REPOSITORY}@{COMMIT}'",
        ),
    ],
    ids=["index", "folder", "editable", "folder that is gone", "file", "repository"],
)
def test_hints_install_from_where_this_came_from(origin, command, monkeypatch):
    class Installed:
        def read_text(self, name):
            return json.dumps(origin) if origin and name == "direct_url.json" else None

    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed())
    assert install_hint("av") == command
    wanted = shlex.split(command)[-1]
    assert wanted.startswith(str(ROOT)) or Requirement(wanted).extras == {"video"}


def test_without_a_record_hints_name_the_package(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", missing)
    assert install_command("demo") == "pip install 'edge-harmony[demo]'"


def test_signals_wait_for_the_end_of_an_import_that_would_swallow_them():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    done = []

    def imported():
        with signals_held():
            try:
                signal.raise_signal(signal.SIGINT)
                done.append("imported")
            except BaseException:
                done.append("swallowed")
        done.append("went on")

    with pytest.raises(KeyboardInterrupt):
        imported()
    assert done == ["imported"]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_nothing_is_held_in_another_thread():
    def inside():
        with signals_held():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == signal.getsignal(signal.SIGINT)
