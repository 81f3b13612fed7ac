"""Every name of TensorRT that the package uses, against the real binding surfaces of six versions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_harmony.backends.tensorrt as package
from edge_harmony.backends.tensorrt.bridge import VERSIONS as SPANS
from edge_harmony.backends.tensorrt.bridge import Span
from tests.fakes.tensorrt import VERSIONS, surface

FILES = sorted(Path(package.__path__[0]).rglob("*.py"))
SURFACES = {version: surface(version) for version in VERSIONS}
KNOWN = {kind for names in SURFACES.values() for kind in names}


def exists(version: str, name: str) -> bool:
    kind, _, member = name.partition(".")
    names = SURFACES[version]
    return kind in names and (not member or member in names[kind])


def annotated(node: ast.expr | None) -> str | None:
    """``X`` of the annotation ``trt.X``."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "trt":
        return node.attr
    return None


def place(node: ast.expr) -> str | None:
    """A variable or an attribute of ``self``, by its text."""
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else None


def names_by_annotation(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Attributes of what is annotated as ``trt.X``, as ``X.attribute``."""
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    for scope in scopes:
        kinds: dict[str, str] = {}
        for node in ast.walk(scope):
            if (
                isinstance(node, ast.AnnAssign)
                and (kind := annotated(node.annotation))
                and (name := place(node.target))
            ):
                kinds[name] = kind
            if isinstance(node, ast.FunctionDef):
                kinds |= {a.arg: k for a in node.args.args + node.args.kwonlyargs if (k := annotated(a.annotation))}
        for node in ast.walk(scope):
            if isinstance(node, ast.Attribute) and (name := place(node.value)) in kinds:
                yield node.lineno, f"{kinds[name]}.{node.attr}"


def names_by_string(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Strings that name something of TensorRT: ``X`` or ``X.member`` where some version has a class ``X``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            kind, dot, member = node.value.partition(".")
            if kind in KNOWN and (not dot or member.isidentifier()):
                yield node.lineno, node.value


def uses(source: str) -> set[str]:
    tree = ast.parse(source)
    return {name for _, name in (*names_by_annotation(tree), *names_by_string(tree))}


def faults(source: str) -> list[str]:
    """Names that a version lacks although nothing says so."""
    return [
        f"{name} is not in {version}"
        for name in sorted(uses(source))
        for version in VERSIONS
        if name not in SPANS and not exists(version, name)
    ]


def expected(version: str, span: Span) -> bool:
    if version.startswith("rtx"):
        return span.rtx
    number = tuple(map(int, version.split(".")))
    return span.since is not None and number >= span.since and (span.until is None or number < span.until)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_name_is_there(path):
    assert faults(path.read_text()) == []


@pytest.mark.parametrize("name", sorted(SPANS))
def test_spans_say_which_versions_have_a_name(name):
    assert {version: exists(version, name) for version in VERSIONS} == {
        version: expected(version, SPANS[name]) for version in VERSIONS
    }


def test_no_span_is_left_over():
    used = set().union(*(uses(path.read_text()) for path in FILES if path.stem != "bridge"))
    assert sorted(SPANS.keys() - used) == []


def test_the_walk_sees_enough():
    used = set().union(*(uses(path.read_text()) for path in FILES if path.stem != "bridge"))
    for name in ("Builder.create_network", "IExecutionContext.execute_async_v3", "ICudaEngine.num_io_tensors"):
        assert name in used
    for name in ("BuilderFlag.TF32", "OnnxParser.parse_from_file", "ITimingCache.serialize", "Runtime.DLA_core"):
        assert name in used
    assert len(used) > 80


@pytest.mark.parametrize(
    "planted",
    [
        "def f(builder: trt.Builder):\n    builder.build_engine()",
        "def f(tensorrt):\n    config: trt.IBuilderConfig = make()\n    config.max_workspace_size = 1",
        "class A:\n    def f(self):\n        self.c: trt.IExecutionContext = f()\n        self.c.execute_async_v2([])",
        "def f(tensorrt):\n    tensorrt.get('BuilderFlag.FP17')",
        "def f(tensorrt):\n    tensorrt.get('BuilderFlag.REJECT_EMPTY_ALGORITHMS')",
        "NAMES = {'int8': 'MemoryPoolType.DLA_SRAM'}",
    ],
)
def test_a_wrong_name_is_found(planted):
    assert faults(planted)
