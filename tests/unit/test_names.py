"""Names of the package: no two public types share one, and all spell colour in one way."""

import ast
from collections import defaultdict

import pytest

from tests.unit.test_imports import ROOT


def public_types(tree):
    """Classes, and names in capitals-and-small that stand for a type, at the top of a file."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name) and t.id != t.id.upper())


def clashes(files):
    """Names that several files define, and these files."""
    homes = defaultdict(list)
    for path, text in files.items():
        for name in set(public_types(ast.parse(text))):
            if name[0].isupper():
                homes[name].append(path)
    return {name: paths for name, paths in homes.items() if len(paths) > 1}


def test_no_two_public_types_share_a_name():
    files = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / "edge_harmony").rglob("*.py")
    }
    assert len(files) > 100
    assert clashes(files) == {}


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("class Engine: ...", "class Engine: ...", {"Engine"}),
        ("class Picture: ...", "Picture = NDArray[np.uint8]", {"Picture"}),
        ("Mode = Literal['a']", "Mode = Literal['b']", {"Mode"}),
        ("class _Layer: ...", "class _Layer: ...", set()),
        ("SUFFIXES = ('.a',)", "SUFFIXES = ('.b',)", set()),
        ("from a import Engine", "class Engine: ...", set()),
    ],
)
def test_the_check_finds_what_clashes(first, second, found):
    assert set(clashes({"a.py": first, "b.py": second})) == found


def own_names(tree):
    """What a file defines: functions, classes, arguments and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_colour_has_one_spelling():
    found = []
    for path in (ROOT / "edge_harmony").rglob("*.py"):
        names = [path.stem, *own_names(ast.parse(path.read_text(encoding="utf-8")))]
        found += [f"{path.name}: {name}" for name in names if "color" in name.lower()]
    assert found == []


def test_names_are_found_wherever_they_are_given():
    text = "def f(color_a, *, b=1):\n    for color_c in b: color_d = (color_e := other_color.color_f)\nclass Color: ..."
    assert {name for name in own_names(ast.parse(text)) if "color" in name.lower()} == {
        "color_a", "color_c", "color_d", "color_e", "Color"
    }  # fmt: skip
