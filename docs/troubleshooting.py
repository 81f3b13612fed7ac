"""The site's page of errors, read from the code that raises them: what was wrong, and what to do.

docs/mkdocs_hooks.py adds it to the site; ``python docs/troubleshooting.py`` prints it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_harmony import errors
from edge_harmony.errors import EdgeHarmonyError, ExitCode

PACKAGE = Path(errors.__file__).parent
KINDS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, EdgeHarmonyError)
}
STATUSES = {
    ExitCode.USAGE: "The call is wrong",
    ExitCode.FAILURE: "An input cannot be used, or something broke",
    ExitCode.CAPABILITY: "This machine or installation lacks something",
    ExitCode.ACCURACY: "The accuracy is out of budget",
    ExitCode.COST: "Latency, memory or energy is out of budget",
}
"""Headings by exit status, in the page's order."""

HEAD = """# Errors, and what to do

Every error is one line: what was wrong, a semicolon, and what to do. This page lists them, from the code, by exit
status and part of the package; `…` stands for a name or value. Search it for the words that do not change.

What is not an error but looks wrong:

- Nothing changes: the mask is empty or white where the background is (`--invert-mask`), or `--strength` is 0.
- The background changes: it does not, bit for bit; a soft mask blends along its edge.
- The first run takes long: loops over pixels are compiled once per machine ([start-up](startup.md)).
- INT8 is no faster than FP32: the CPU lacks integer dot products ([eight bits](quantization.md)).

More is logged with `--verbose`; `edge-harmony doctor` says what this machine can do and what is missing.
"""


@dataclass(frozen=True)
class Entry:
    """An error that the code raises.

    Attributes:
        status: exit status.
        room: part of the package.
        message: with ``…`` for what is filled in.
        hint: what to do; empty if the message says it.
    """

    status: ExitCode
    room: str
    message: str
    hint: str


def entries() -> list[Entry]:
    """Every error whose message is written where it is raised, each once."""
    found: dict[Entry, None] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
                message, hint = _text(node.args[0]), _text(node.args[1]) if len(node.args) > 1 else ""
                if message.strip("… "):
                    found[Entry(KINDS[node.func.id].exit_code, room, message, hint)] = None
    return list(found)


def page() -> str:
    """The page's text."""
    return HEAD + "".join(f"\n{line}" for line in _lines()) + "\n"


def _lines() -> Iterator[str]:
    listed = entries()
    for status, heading in STATUSES.items():
        of_status = [entry for entry in listed if entry.status == status]
        if not of_status:
            continue
        yield f"## {heading} (exit status {int(status)})\n"
        for room in sorted({entry.room for entry in of_status}):
            yield f"### {room}, {status.name.lower()}\n"
            yield "| error | what to do |"
            yield "|---|---|"
            yield from (f"| {_cell(e.message)} | {_cell(e.hint)} |" for e in of_status if e.room == room)
            yield ""


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value) if node.value is not None else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return _text(node.body)
    return "…"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


if __name__ == "__main__":
    print(page())
