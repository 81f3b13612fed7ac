"""The table of the campaign of faults."""

from __future__ import annotations

from typing import Any

from docs.tabulated.results import result, text_of

_MIB = 1 << 20


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
    lines += ["", *_endurance(content)]
    lines += ["| found | what it was | what was done |", "|---|---|---|"]
    lines += [f"| {row['by']} | {row['what']} | {row['mended']} |" for row in content["findings"]]
    return text_of(lines)


def _endurance(content: dict[str, Any]) -> list[str]:
    """What long streams, a crowd and lost parts of clusters did, as far as they are recorded."""
    lines = []
    if "stream" in content:
        lines += [
            "| frames of 64 x 48 | frames | exceptions | MiB: first, last, largest | open files | threads |",
            "|---|---:|---:|---:|---:|---:|",
            *(_stream_row(way, held) for way, held in content["stream"].items()),
            "",
        ]
    if crowd := content.get("crowd"):
        lines += [
            f"Crowd: {crowd['requests']} requests to the demo page, {crowd['hostile']} of them hostile: "
            f"{crowd['answers']} answered as they should be, at most {crowd['memory'] / _MIB:.0f} MiB more than after "
            "the first picture.",
            "",
        ]
    if "losses" in content:
        lines += ["| Ray loses | pictures | results | each once |", "|---|---:|---:|---|"]
        for row in content["losses"]:
            once = "yes" if row["each once"] else "no"
            lines.append(f"| {row['lost']} | {row['pictures']:,} | {row['results']:,} | {once} |")
        lines.append("")
    return lines


def _stream_row(way: str, held: dict[str, Any]) -> str:
    levels = ("first", "last", "largest")
    mib = ", ".join(f"{held['memory'][level] / _MIB:.1f}" for level in levels)
    files, threads = (", ".join(str(held[what][level]) for level in levels) for what in ("descriptors", "threads"))
    return f"| {way} | {held['frames']:,} | {held['broken']} | {mib} | {files} | {threads} |"
