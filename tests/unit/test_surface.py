"""The promises of `import edge_harmony`: names, signatures, docstrings, and that it is cheap and silent."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edge_harmony

INIT = Path(edge_harmony.__file__)
sys.path.insert(0, str(INIT.parents[1] / "docs"))

from surface import PINNED, definition, surface  # noqa: E402


def test_the_surface_is_the_pinned_one():
    assert surface() == PINNED.read_text(encoding="utf-8"), (
        "if this is meant, see docs/stability.md, then: make surface"
    )


def test_names_for_readers_type_checkers_and_the_interpreter_agree():
    checked = {}
    for node in ast.walk(ast.parse(INIT.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("edge_harmony."):
            checked |= {alias.name: node.module.removeprefix("edge_harmony.") for alias in node.names}
    assert checked == edge_harmony._HOMES
    assert set(edge_harmony.__all__) == {*edge_harmony._HOMES, "__version__"} == set(dir(edge_harmony))
    with pytest.raises(AttributeError, match="has no attribute 'harmonise'"):
        _ = edge_harmony.harmonise


@pytest.mark.parametrize("name", sorted(edge_harmony._HOMES))
def test_every_public_name_can_be_imported_and_is_documented(name):
    value = getattr(edge_harmony, name)
    node = definition(name)
    assert value.__name__ == name
    text = ast.get_docstring(node) or ""
    assert text
    if isinstance(node, ast.FunctionDef):
        arguments = [*node.args.args, *node.args.kwonlyargs]
        undescribed = [a.arg for a in arguments if not re.search(rf"^ +{a.arg}: |``{a.arg}``", text, re.MULTILINE)]
        assert not undescribed


def test_the_import_is_cheap_and_says_nothing():
    code = (
        "import logging, sys\n"
        "import edge_harmony\n"
        "heavy = {'torch', 'numpy', 'cv2', 'onnx', 'onnxruntime', 'pydantic', 'rich'} & set(sys.modules)\n"
        "own = {name for name in sys.modules if name.startswith('edge_harmony.')}\n"
        "assert not heavy | own, heavy | own\n"
        "logging.getLogger('edge_harmony.pipeline').warning('nobody asked to see this')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_library_leaves_the_choice_of_handlers_to_the_program():
    code = (
        "import logging, edge_harmony\n"
        "logger = logging.getLogger('edge_harmony')\n"
        "assert [type(h) for h in logger.handlers] == [logging.NullHandler]\n"
        "assert logger.level == logging.NOTSET and logger.propagate\n"
        "logging.basicConfig(level=logging.INFO, format='%(name)s %(levelname)s')\n"
        "edge_harmony.load_runner('edge-n').close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "edge_harmony.backends.discovery INFO" in done.stderr


def test_the_version_has_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+", edge_harmony.__version__)
    root = INIT.parents[1]
    assert f"## [{edge_harmony.__version__}]" in (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version: {edge_harmony.__version__}\n" in (root / "CITATION.cff").read_text(encoding="utf-8")
    assert '\ndynamic = ["version"]\n' in (root / "pyproject.toml").read_text(encoding="utf-8")


def test_a_loaded_network_is_closed_by_the_with_statement(monkeypatch):
    with edge_harmony.load_runner("edge-n") as runner:
        closed = []
        monkeypatch.setattr(runner, "close", lambda: closed.append(True))
    assert closed == [True]
