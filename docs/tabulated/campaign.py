"""The table of the campaign of faults."""

from __future__ import annotations

from docs.tabulated.results import result, text_of


def faults_tables() -> str:
    """What the campaign of faults tried, and what it found."""
    content = result("faults")
    lines = ["| | tried | ended in a result | ended in a line | faults |", "|---|---:|---:|---:|---:|"]
    for part in ("inputs", "accidents"):
        rows = content[part]["kinds"]
        for kind, row in sorted(rows.items()):
            lines.append(f"| {kind} | {row['tried']:,} | {row['read']:,} | {row['refused']:,} | {row['faults']} |")
        total = {key: sum(row[key] for row in rows.values()) for key in ("tried", "read", "refused", "faults")}
        lines.append(
            f"| **{part}** | **{total['tried']:,}** | **{total['read']:,}** | **{total['refused']:,}** "
            f"| **{total['faults']}** |"
        )
    tried = {part: sum(row["tried"] for row in content[part]["kinds"].values()) for part in ("inputs", "accidents")}
    lines += [
        "",
        f"Campaign {content['campaign']}, {content['date']}, {content['version']}: {tried['inputs']:,} of its",
    ]
    lines[-1] += f" 10,000 inputs and {tried['accidents']:,} of its 1,000 accidents."
    lines += ["", "| found | what it was | what was done |", "|---|---|---|"]
    lines += [f"| {row['by']} | {row['what']} | {row['mended']} |" for row in content["findings"]]
    return text_of(lines)
