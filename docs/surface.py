"""The public names and their signatures, read from the source without importing it: make surface."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import edge_harmony

PINNED = Path(__file__).parents[1] / "tests" / "data" / "public_surface.txt"


def surface() -> str:
    """One line for each public name, and one for each public member of a class, in order of the names."""
    lines = ["# What edge_harmony promises, see docs/stability.md. Renew with: make surface"]
    for name in sorted(edge_harmony._HOMES, key=str.lower):
        lines += _described(name, definition(name))
    return "\n".join(lines) + "\n"


def definition(name: str) -> ast.FunctionDef | ast.ClassDef:
    """The source of a public name.

    Raises:
        LookupError: its module does not define it.
    """
    found = find_spec(f"edge_harmony.{edge_harmony._HOMES[name]}")
    assert found is not None
    assert found.origin is not None
    for node in ast.parse(Path(found.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
    raise LookupError(f"{found.origin} does not define {name}")


def _described(name: str, node: ast.FunctionDef | ast.ClassDef) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        yield f"{name}{_signature(node)}"
        return
    yield f"class {name}({', '.join(ast.unparse(base) for base in node.bases)})"
    for part in node.body:
        yield from (f"    {name}.{line}" for line in _member(part))


def _member(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef) and _is_public(node.name):
        kinds = [ast.unparse(decorator) for decorator in node.decorator_list]
        text = f"{node.name}: {ast.unparse(node.returns)}" if "property" in kinds and node.returns else ""
        yield " ".join([text or node.name + _signature(node), *(f"[{kind}]" for kind in kinds)])
    elif isinstance(node, ast.AnnAssign | ast.Assign):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if _is_public(ast.unparse(target)) or ast.unparse(node).endswith("KW_ONLY"):
            yield ast.unparse(node)


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__enter__", "__exit__")


def _signature(node: ast.FunctionDef) -> str:
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){returned}"


if __name__ == "__main__":
    PINNED.write_text(surface(), encoding="utf-8")
