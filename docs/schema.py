"""Write the JSON schema of benchmark results, which ``edge_harmony.benchmark.result`` defines: make schema."""

from __future__ import annotations

import json
from pathlib import Path

from edge_harmony.benchmark.result import schema

PUBLISHED = Path(__file__).parent / "benchmark-result.schema.json"


def text() -> str:
    """The schema's file."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    PUBLISHED.write_text(text(), encoding="utf-8")
