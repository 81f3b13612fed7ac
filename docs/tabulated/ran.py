"""The tables of what has run where, from ``docs/what_ran.toml``."""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict

from docs.tabulated.results import ROOT, row_of, text_of
from edge_harmony.files.toml import read_toml

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Row(BaseModel):
    """What a backend or an example was seen to do, in words of the page's legend.

    Attributes:
        what: the artifacts, or the program.
        where: the program that did it.
        never_on: where it has not run.
        shown_by: tests (``file`` or ``file::test``), results and pages of the repository that show it.
    """

    model_config = _STRICT

    what: str
    where: str
    never_on: str
    shown_by: tuple[str, ...]

    def machines(self) -> list[str]:
        """The machine of the first result under ``shown_by``; empty if there is none."""
        for name in self.shown_by:
            if name.endswith(".json"):
                content = json.loads((ROOT / name).read_text())
                facts = content.get("machine") or content["environment"]
                more = [facts[key] for key in ("gpu", "board") if facts.get(key)]
                return [" ".join([facts["system"], facts["cpu"], *more])]
        return []


class Artifacts(Row):
    """A row of artifacts; ``targets`` are patterns of their targets' names."""

    backend: str
    targets: tuple[str, ...] = ()
    converted: str
    loaded: str
    compared: str


class Example(Row):
    """A row of an example; ``folder`` lies in ``examples``."""

    folder: str
    compiled: str
    ran: str


class WhatRan(BaseModel):
    """All rows."""

    model_config = _STRICT

    artifacts: tuple[Artifacts, ...]
    examples: tuple[Example, ...]


def what_ran() -> WhatRan:
    """The rows of the page."""
    return read_toml(ROOT / "docs" / "what_ran.toml", WhatRan)


def artifacts_that_ran_table() -> str:
    """Backends and targets: what was converted, loaded and compared, and where."""
    lines = [
        "| backend | targets | what | converted | loaded | predicted and compared | by what, on what | never on |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in what_ran().artifacts:
        targets = ", ".join(f"`{pattern}`" for pattern in row.targets) or "-"
        where = "; ".join([row.where, *row.machines()])
        cells = (row.what, row.converted, row.loaded, row.compared, where, row.never_on)
        lines.append(row_of(f"`{row.backend}`", targets, *cells))
    return text_of(lines)


def examples_that_ran_table() -> str:
    """Examples: which were compiled, which ran, and where."""
    lines = ["| example | what | compiled | run | by what, on what | never on |", "|---|---|---|---|---|---|"]
    for row in what_ran().examples:
        folder = f"[`{row.folder}`](../examples/{row.folder})"
        lines.append(row_of(folder, row.what, row.compiled, row.ran, row.where, row.never_on))
    return text_of(lines)
