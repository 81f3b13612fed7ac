"""Draw ``docs/images/apply-linear.svg``: time of the apply step against the size of the foreground.

python docs/plot_apply.py
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "0.1.0"
PICTURE = ROOT / "docs" / "images" / "apply-linear.svg"


def main() -> None:
    """Draw."""
    matplotlib.rcParams["svg.hashsalt"] = "edge-harmony"
    figure, axes = plt.subplots(figsize=(6.4, 3.6), constrained_layout=True)
    for name, colour, marker in (("1-thread", "#1b6ca8", "o"), ("2-threads", "#c8553d", "s")):
        content = json.loads((RESULTS / f"full-resolution--{name}.json").read_text())
        x, y = content["foreground_megapixels"], content["apply_ms"]
        axes.plot(x, y, marker, color=colour, label=name.replace("-", " "))
        line = [content["ms_of_the_rest"] + content["ms_a_megapixel"] * value for value in (0, max(x))]
        axes.plot((0, max(x)), line, color=colour, linewidth=1)
    axes.set_xlabel("foreground, megapixels")
    axes.set_ylabel("apply step, ms")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
