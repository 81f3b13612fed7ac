"""No two public types of the package share a name, so that a name says which is meant wherever it is read."""

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
