"""The README's tables, drawn from the registry, the cards and the committed results: python -m tests.tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edge_harmony.models.registry import MODELS, weights_folder

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "0.1.0" / "latency--1-thread.json"


def networks_table() -> str:
    """Sizes of all networks; quality of the shipped ones."""
    lines = ["| network | parameters | GFLOP at 256 x 256 | PSNR dB | fMSE |", "|---|---:|---:|---:|---:|"]
    for entry in MODELS.values():
        card = weights_folder() / f"{entry.name}.json"
        quality = json.loads(card.read_text())["quality"] if card.is_file() else None
        scores = f"{quality['psnr']:.2f} | {quality['fmse']:.1f}" if quality else "- | -"
        lines.append(f"| `{entry.name}` | {entry.parameters / 1e6:.3f} M | {entry.flops / 1e9:.2f} | {scores} |")
    quality = json.loads((weights_folder() / "edge-s.json").read_text())["quality"]
    composite = quality["composite"]
    lines.append(f"| *composite, unharmonized* | | | {composite['psnr']:.2f} | {composite['fmse']:.1f} |")
    note = f"\nINT8, {quality['images']} test pictures of LB-Harmony at native size; means over pictures.\n"
    return "\n".join(lines) + "\n" + note


def speed_table() -> str:
    """Ratios and medians of the committed run."""
    result = json.loads(RESULT.read_text())
    lines = ["| one picture at 256 x 256 | median ms | times faster (quartiles) |", "|---|---:|---:|"]
    for name, row in result["network"].items():
        spread = f"{row['times_faster']:.1f} ({row['times_faster_q25']:.1f}-{row['times_faster_q75']:.1f})"
        lines.append(f"| {name} | {row['median_ms']:.1f} | {spread} |")
    for name, row in result["pipeline"].items():
        if name.startswith("pipeline"):
            lines.append(f"| whole {name}, a third of it foreground | {row['median_ms']:.0f} | |")
    machine = result["machine"]
    note = (
        f"\nOne thread, {machine['cpu']} ({', '.join(machine['features'])}), ONNX Runtime "
        f"{result['versions']['onnxruntime']}, {result['rounds']} interleaved rounds; `benchmarks/latency.py`. "
        "This CPU has no integer dot product (VNNI): INT8 is computed exactly there, but no faster than FP32.\n"
    )
    return "\n".join(lines) + "\n" + note


def main() -> None:
    """Write the tables into the README."""
    path = ROOT / "README.md"
    text = path.read_text()
    for name, table in (("networks", networks_table()), ("speed", speed_table())):
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{table}\g<2>", text, flags=re.DOTALL)
    path.write_text(text)


if __name__ == "__main__":
    main()
