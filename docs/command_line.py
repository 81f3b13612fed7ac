"""Write ``docs/command-line.md`` from the verbs' own help: make docs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from edge_harmony.cli.main import app

PAGE = Path(__file__).parent / "command-line.md"
SHARED = ("--verbose", "--quiet", "--json", "--help")

HEAD = """# The command line

<!-- Written by docs/command_line.py from the verbs' own help: make docs -->

Every verb takes `--json` (one JSON object on stdout), `--verbose` or `-v` and `--quiet` ([logging](logging.md)), and
`--help`. Results go to stdout; errors, notes and progress to stderr. An error is one line that says what to do.

| exit status | meaning |
|---:|---|
| 0 | ok |
| 1 | failure: an input cannot be used, or something broke |
| 2 | usage: the call is wrong |
| 3 | capability: this machine or installation lacks something; the error says how to get it |
| 4 | accuracy out of budget |
| 5 | latency, memory or energy out of budget |
| 6 | inconclusive: the measurements are too noisy |
| 130 | stopped by Ctrl-C |
| 143 | stopped by SIGTERM |

"""


def page() -> str:
    """The page's text."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return HEAD + "\n".join("\n".join(_verb(name, command)) for name, command in commands.items())


def _verb(name: str, command: Any) -> Iterable[str]:
    usage = ["edge-harmony", name, *(_usage(p) for p in command.params if _is_argument(p)), "[OPTIONS]"]
    yield f"## `{name}`\n"
    yield from (f"{inspect.cleandoc(paragraph)}\n" for paragraph in (command.help or "").split("\n\n"))
    yield f"    {' '.join(usage)}\n"
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        if not set(parameter.opts) & set(SHARED) and not getattr(parameter, "hidden", False):
            panels.setdefault(parameter.rich_help_panel or "", []).append(parameter)
    for panel, parameters in panels.items():
        yield f"| {panel or 'Options'} | | default |"
        yield "|---|---|---|"
        yield from map(_row, parameters)
        yield ""


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _usage(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper()
    return str(name) if parameter.required else f"[{name}]"


def _row(parameter: Any) -> str:
    names = [_usage(parameter)] if _is_argument(parameter) else parameter.opts
    shown = "/".join([*names, *parameter.secondary_opts])
    text = re.sub(r"\s+", " ", parameter.help or "").replace("|", "\\|")
    return f"| `{shown}` | {text} | {_default(parameter)} |"


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    return f"`{value}`" if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "" else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
