"""Every file keeps the order of imports in docs/architecture.md, and the checker finds violations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "edge_harmony"


class Import(NamedTuple):
    """One import: which module imports which, where, and whether only type checkers follow it."""

    importer: str
    imported: str
    line: int
    for_types: bool


def read_order(document: str) -> list[list[str]]:
    """Rooms by level, from the top down, as the document lists them between its markers."""
    block = re.search(r"<!-- order of imports -->\n(.*?)<!-- /order of imports -->", document, re.DOTALL)
    assert block, "the document has no order of imports"
    return [line.split() for line in block[1].splitlines() if line.strip()]


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted names, from the package's own on, and files."""
    files = sorted(package.rglob("*.py"))
    names = (".".join((package.name, *file.relative_to(package).with_suffix("").parts)) for file in files)
    return dict(zip((name.removesuffix(".__init__") for name in names), files, strict=True))


def imports_of(name: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """All imports of modules of the package, those inside functions too."""
    package = name.partition(".")[0]
    tree = ast.parse(path.read_text())
    for_types = {
        id(node)
        for check in ast.walk(tree)
        if isinstance(check, ast.If) and ast.unparse(check.test).endswith("TYPE_CHECKING")
        for statement in check.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            found = [f"{base}.{alias.name}" for alias in node.names]
            found = [full if full in modules else base for full in found]
        for imported in found:
            if imported.partition(".")[0] == package:
                yield Import(name, imported, node.lineno, id(node) in for_types)


def room_of(module: str) -> str:
    """The file or folder at the package's root that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def complaints(package: Path, order: list[list[str]]) -> list[str]:
    """Violations of the order: rooms missing on one side, imports up or sideways, circular imports."""
    level = {room: k for k, rooms in enumerate(order) for room in rooms}
    modules = modules_of(package)
    rooms = {room_of(name) for name in modules}
    wrong = [f"{room} is not in the order" for room in sorted(rooms - level.keys())]
    wrong += [f"{room} is in the order and not in the package" for room in sorted(level.keys() - rooms)]
    followed: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for found in imports_of(name, path, modules):
            ours, theirs = room_of(name), room_of(found.imported)
            # the door names for type checkers what it loads when asked for: any room, and none of them with itself
            is_door = found.for_types and ours == "__init__"
            if ours != theirs and not is_door and level.get(ours, -1) >= level.get(theirs, len(order)):
                wrong.append(f"{name}, line {found.line}: {ours} imports {theirs}")
            if not found.for_types:  # what only type checkers follow is never executed, and closes no circle
                followed[name].add(found.imported)
    return wrong + [" > ".join(circle) for circle in circles(followed)]


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, each circle as a path that ends where it begins."""
    found: list[list[str]] = []
    done: set[str] = set()

    def follow(name: str, path: list[str]) -> None:
        if name in path:
            found.append([*path[path.index(name) :], name])
        elif name not in done:
            for following in sorted(arrows.get(name, ())):
                follow(following, [*path, name])
            done.add(name)

    for name in arrows:
        follow(name, [])
    return found


def test_the_package_keeps_the_order():
    order = read_order((ROOT / "docs" / "architecture.md").read_text())
    assert complaints(PACKAGE, order) == []


def test_every_room_is_listed_once():
    rooms = [room for level in read_order((ROOT / "docs" / "architecture.md").read_text()) for room in level]
    assert len(rooms) == len(set(rooms))


def test_every_room_has_a_row_in_the_table():
    document = (ROOT / "docs" / "architecture.md").read_text()
    cells = re.findall(r"^\| (`.*?) \|", document, re.MULTILINE)
    named = {name.rstrip("/") for cell in cells for name in cell.split("`")}
    assert {room for level in read_order(document) for room in level if not room.startswith("__")} <= named


def test_few_files_lie_at_the_door():
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "__main__", "errors", "extras", "harmonizer"}


ORDER = [["top"], ["left", "right"], ["low"], ["__init__"]]


def write(root: Path, **files: str) -> Path:
    """A package in the order above, with other or more files; ``a__b`` is the file ``a/b.py``."""
    package = root / "pkg"
    sound = {
        "__init__": "",
        "top": "from pkg.left.a import A\nimport pkg.right\nfrom pkg import low\nimport pkg\nimport os.path\n",
        "left____init__": "",
        "left__a": "from .b import B\nfrom ..low import x\nA = 1",
        "left__b": "from pkg.low import y\nB = 2",
        "right____init__": "",
        "low": "x = y = 1",
    }
    for name, text in (sound | files).items():
        path = package / (name.replace("__", "/", 1) + ".py" if not name.startswith("__") else f"{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def test_the_checker_takes_what_is_in_order(tmp_path):
    assert complaints(write(tmp_path), ORDER) == []


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"low": "from pkg.top import z"}, "pkg.low, line 1: low imports top"),
        ({"low": "import pkg.left.b"}, "pkg.low, line 1: low imports left"),
        ({"low": "from pkg import top"}, "pkg.low, line 1: low imports top"),
        ({"low": "from . import top"}, "pkg.low, line 1: low imports top"),
        ({"low": "def f():\n    from pkg.left import b\n"}, "pkg.low, line 2: low imports left"),
        ({"right__c": "from pkg.left.a import A"}, "pkg.right.c, line 1: right imports left"),
        ({"right__c": "from ..left import a"}, "pkg.right.c, line 1: right imports left"),
        ({"right____init__": "from ..left import a"}, "pkg.right, line 1: right imports left"),
        ({"__init__": "from pkg.low import x"}, "pkg, line 1: __init__ imports low"),
        ({"attic": ""}, "attic is not in the order"),
        ({"attic__a": ""}, "attic is not in the order"),
        ({"low": "from pkg.attic import a", "attic": ""}, "attic is not in the order"),
        (
            {"low": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pkg.top import z"},
            "pkg.low, line 3: low imports top",
        ),
    ],
)
def test_the_checker_finds_imports_against_the_order(tmp_path, files, says):
    assert says in complaints(write(tmp_path, **files), ORDER)


def test_the_checker_finds_rooms_that_are_gone(tmp_path):
    wrong = complaints(write(tmp_path), [*ORDER, ["cellar"]])
    assert wrong == ["cellar is in the order and not in the package"]


@pytest.mark.parametrize("text", ["from pkg.left.a import A", "def f():\n    import pkg.left.a", "from . import a"])
def test_the_checker_finds_circles_within_a_room(tmp_path, text):
    wrong = complaints(write(tmp_path, left__b=text), ORDER)
    assert wrong == ["pkg.left.a > pkg.left.b > pkg.left.a"]


def test_what_only_type_checkers_follow_closes_no_circle_and_opens_the_door(tmp_path):
    only = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pkg.left.a import A\n"
    assert complaints(write(tmp_path, left__b=only, __init__=only), ORDER) == []


def test_a_document_without_the_order_is_refused():
    with pytest.raises(AssertionError, match="no order"):
        read_order("# Architecture\n")
