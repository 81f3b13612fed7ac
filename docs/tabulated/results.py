"""Committed results, and how their numbers are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_harmony.benchmark.result import Result, read_result

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "0.1.0"


def result(name: str) -> dict[str, Any]:
    """A committed result."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content


def suite(name: str) -> Result:
    """A committed result of a suite."""
    return read_result(RESULTS / f"{name}.json")


def spread(row: dict[str, float], key: str) -> str:
    """Median and quartiles of a ratio."""
    return f"{row[key]:.1f} ({row[f'{key}_q25']:.1f}-{row[f'{key}_q75']:.1f})"


def machine(content: dict[str, Any]) -> str:
    """The machine of a result."""
    facts = content["machine"]
    return f"{facts['cpu']} ({', '.join(facts['features'])})"


def row_of(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def text_of(lines: Sequence[str], note: str = "") -> str:
    """A table, or several with empty lines between them, and the note below."""
    return "\n".join(lines) + "\n" + note
