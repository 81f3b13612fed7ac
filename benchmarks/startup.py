"""What a call costs before it works: whole processes beside one that imports NumPy, OpenCV and ONNX Runtime.

    python benchmarks/startup.py -o benchmarks/results/0.1.0/startup.json
    python benchmarks/startup.py --rounds 3 --check -o out/startup.json     # make startup

Every round starts every contender once, in a new order. Seconds are those from the start of the process to its end, and
those that it kept cores busy; memory is the peak of its resident pages. The sizes on
disk are those of the packages that the base install brings. ``--check`` fails where a call exceeds its
budget; budgets are ratios of busy cores and of memory, which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import quartiles
from provenance import provenance

from edge_harmony.files.atomic import write_json
from edge_harmony.samples import sample_files

BASE = "import numpy, cv2, onnxruntime"
"""The libraries that every run of a network loads, which is what the other processes are compared with."""
NAMED_PARTS = 7
"""Packages whose size is listed by itself; the others are summed."""
BUDGET = {
    "--version": (0.8, 0.4),
    "--help": (0.8, 0.4),
    "models": (1.1, 0.5),
    "harmonize, 256 x 256, PNG": (5.1, 2.4),
    "harmonize, 1920 x 1080, JPEG": (5.6, 2.8),
}
"""The most seconds of busy cores and memory a call may take, relative to :data:`BASE`: about half more than now."""
MOST_MEGABYTES = 430
"""The most that the base install may take on disk."""


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds to its end, seconds of busy cores, and its peak of memory in MiB."""

    seconds: float
    cpu_seconds: float
    mib: float


_MEASURES = """
import json, os, sys, time
start = time.perf_counter()
out = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
process = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ, file_actions=[out])
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - start
unit = 2**20 if sys.platform == "darwin" else 2**10  # getrusage(2): bytes on macOS, KiB on Linux
if status:
    sys.exit(f"{sys.argv[1:]} failed")
print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit]))
"""
"""Runs in a process of its own, which stays small: on Linux the peak of a child begins with that of its parent."""


def cost_of(arguments: list[str]) -> Cost:
    """Run Python with these arguments to its end."""
    call = [sys.executable, "-S", "-c", _MEASURES, *arguments]
    done = subprocess.run(call, stdout=subprocess.PIPE, check=True)
    return Cost(*json.loads(done.stdout))


def base_packages() -> list[str]:
    """Distributions that ``pip install edge-harmony`` brings here, edge-harmony not among them."""
    found: set[str] = set()
    waiting = ["edge-harmony"]
    while waiting:
        for requirement in distribution(waiting.pop()).requires or []:
            name = re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
            if "extra ==" in requirement or name in found:
                continue
            try:
                distribution(name)
            except PackageNotFoundError:  # for another system or version of Python
                continue
            found.add(name)
            waiting.append(name)
    return sorted(found)


def megabytes(package: str) -> float:
    """Size on disk of a distribution's files."""
    files = [Path(str(file.locate())) for file in distribution(package).files or []]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def sizes() -> dict[str, float]:
    """MB on disk of the largest packages of the base install, and of the others together."""
    every = dict(sorted(((name, megabytes(name)) for name in base_packages()), key=lambda item: -item[1]))
    named = dict(list(every.items())[:NAMED_PARTS])
    rest = {f"{len(every) - len(named)} others": sum(every.values()) - sum(named.values())}
    return {name: round(size, 1) for name, size in (named | rest).items()} | {"all": round(sum(every.values()), 1)}


def make_pictures(folder: Path) -> dict[str, list[str]]:
    """A composite and its mask as PNG of 256 x 256 and as JPEG of 1920 x 1080, from a shipped sample."""
    composite, mask = (cv2.imread(str(path)) for path in next(iter(sample_files())))
    calls = {}
    for label, size, suffix in (("256 x 256, PNG", (256, 256), ".png"), ("1920 x 1080, JPEG", (1920, 1080), ".jpg")):
        names = [str(folder / f"{kind}{size[0]}{suffix}") for kind in ("composite", "mask", "result")]
        names[1] = str(Path(names[1]).with_suffix(".png"))
        for name, picture in zip(names, (composite, mask), strict=False):
            cv2.imwrite(name, cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        calls[label] = ["-m", "edge_harmony", "harmonize", *names[:2], "-o", names[2], "--quiet"]
    return calls


def measure(rounds: int) -> dict[str, list[Cost]]:
    """The cost of every contender in every round."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = make_pictures(Path(folder))
        calls = {
            BASE: ["-c", BASE],
            "--version": ["-m", "edge_harmony", "--version"],
            "--help": ["-m", "edge_harmony", "--help"],
            "models": ["-m", "edge_harmony", "models"],
            **{f"harmonize, {label}": call for label, call in pictures.items()},
        }
        costs: dict[str, list[Cost]] = {name: [] for name in calls}
        for call in calls.values():
            cost_of(call)  # files of the packages come into the system's memory
        shuffler = random.Random(0)
        for _ in range(rounds):
            order = list(calls)
            shuffler.shuffle(order)
            for name in order:
                costs[name].append(cost_of(calls[name]))
    return costs


def excesses(result: dict[str, Any]) -> list[str]:
    """A line for every part of a result that is over its budget."""
    found = []
    for name, limits in BUDGET.items():
        for key, unit, limit in zip(("cpu_of_base", "mib_of_base"), ("seconds", "memory"), limits, strict=True):
            value = result["rows"][name][key]
            if value > limit:
                found.append(f"{name}: {value} times the {unit} of {result['base']!r}; its budget is {limit}")
    if result["megabytes"]["all"] > MOST_MEGABYTES:
        found.append(f"the base install: {result['megabytes']['all']} MB on disk; its budget is {MOST_MEGABYTES}")
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a call exceeds its budget")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    costs = measure(arguments.rounds)
    rows = {}
    for name, found in costs.items():
        medians = {key: round(float(np.median([asdict(cost)[key] for cost in found])), 3) for key in asdict(found[0])}
        ratios = {
            of: quartiles(of, [getattr(c, key) for c in found], [getattr(c, key) for c in costs[BASE]])
            for of, key in (("of_base", "seconds"), ("cpu_of_base", "cpu_seconds"), ("mib_of_base", "mib"))
        }
        rows[name] = medians | ratios["of_base"] | ratios["cpu_of_base"] | ratios["mib_of_base"]
    facts = {"base": BASE, "rounds": arguments.rounds, "rows": rows}
    packages = ("numpy", "opencv-python", "onnxruntime", "typer", "pydantic", "rich")
    result = {**provenance(*packages), **facts, "megabytes": sizes()}
    write_json(arguments.output, result)
    print(json.dumps(result, indent=2))
    if arguments.check and (over := excesses(result)):
        sys.exit("\n".join(over))


if __name__ == "__main__":
    main()
