"""Draw ``docs/images/pareto.png``: quality against work and INT8 latency in the ablation, and of the shipped weights.

python docs/plot_pareto.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from edge_harmony.models.registry import MODELS, weights_folder

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "0.1.0" / "ablation--edge-family.json"
PICTURE = ROOT / "docs" / "images" / "pareto.png"
NAMED = {
    "affine 1/8",
    "edge-s",
    "edge-m",
    "global affine",
    "gain 1/2",
    "affine 1/4",
    "difference 1/2",
    "none at all",
}
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#8d6a9f", "#d9a404", "#3a3a3a", "#17a2a2", "#b5838d", "#6c757d")


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The Pareto front of cost and error, sorted by cost."""
    kept: list[tuple[float, float]] = []
    for cost, error in sorted(points):
        if not kept or error < kept[-1][1]:
            kept.append((cost, error))
    return kept


def logarithmic(axes: Any, costs: list[float]) -> None:
    """A logarithmic axis with plain numbers, and room for labels at its right end."""
    axes.set_xscale("log")
    axes.set_xlim(0.9 * min(costs), 1.6 * max(costs))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25, which="both", linewidth=0.5)


def panel(axes: Any, rows: list[dict[str, Any]], cost: str, scale: float, label: str, colours: dict[str, str]) -> None:
    """One scatter plot with its front."""
    ceiling = 1.12 * rows[0]["composite_fmse"]
    shown = [row for row in rows if row.get(cost) is not None]
    for group, colour in colours.items():
        part = [row for row in shown if row["group"] == group and row["fmse"] <= ceiling]
        axes.scatter(
            [r[cost] * scale for r in part], [r["fmse"] for r in part], s=34, color=colour, label=group, zorder=3
        )
        beyond = [row[cost] * scale for row in shown if row["group"] == group and row["fmse"] > ceiling]
        axes.scatter(beyond, [ceiling] * len(beyond), s=34, color=colour, marker="^", zorder=3)  # off the scale
    line = front([(row[cost] * scale, row["fmse"]) for row in shown])
    axes.step(*zip(*line, strict=True), where="post", color="#999999", linewidth=1, zorder=2)
    for row in shown:
        if row["name"] in NAMED:
            at = (row[cost] * scale, row["fmse"])
            axes.annotate(row["name"], at, xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.axhline(rows[0]["composite_fmse"], color="#999999", linestyle=":", linewidth=1)
    logarithmic(axes, [row[cost] * scale for row in shown])
    axes.annotate("composite", (axes.get_xlim()[1], rows[0]["composite_fmse"]), ha="right", va="bottom", fontsize=8)
    axes.set_xlabel(label)


def shipped(axes: Any) -> None:
    """The shipped weights on the test split; the composite as a line."""
    cards = [
        json.loads(path.read_text())
        for path in sorted(weights_folder().glob("*.json"))
        if path.suffixes[:1] != [".onnx"]
    ]
    points = [(MODELS[card["name"]].flops * 1e-9, card["quality"]["fmse"], card["name"]) for card in cards]
    axes.scatter([x for x, _, _ in points], [y for _, y, _ in points], s=34, color=COLOURS[0], zorder=3)
    for cost, error, name in points:
        axes.annotate(name, (cost, error), xytext=(5, 4), textcoords="offset points", fontsize=8)
    composite = cards[0]["quality"]["composite"]["fmse"]
    axes.axhline(composite, color="#999999", linestyle=":", linewidth=1)
    axes.annotate("composite", (points[0][0], composite), ha="left", va="bottom", fontsize=8)
    logarithmic(axes, [cost for cost, _, _ in points])
    axes.set_xlabel("GFLOP at the size that the network works at")
    axes.set_ylabel("fMSE on LB-Harmony test, shipped weights")


def main() -> None:
    """Read, draw, write."""
    result = json.loads(RESULT.read_text())
    rows = result["rows"]
    groups = dict.fromkeys(row["group"] for row in rows)
    colours = dict(zip(groups, COLOURS, strict=False))
    figure, (left, right, last) = plt.subplots(1, 3, figsize=(15, 5), constrained_layout=True)
    right.sharey(left)
    panel(left, rows, "flops", 1e-9, "GFLOP at 256 x 256", colours)
    panel(
        right, rows, "int8_of_reference", 1.0, "INT8 latency in ONNX Runtime, one thread: share of affine 1/8", colours
    )
    left.set_ylabel(f"fMSE on held-out pictures after {rows[0]['images']:,} images")
    shipped(last)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(groups), fontsize=8)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
