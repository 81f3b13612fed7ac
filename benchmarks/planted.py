"""Check that the harness finds planted changes and no others: slow-downs, identical builds, a loss of accuracy.

    python benchmarks/planted.py -o benchmarks/results/0.1.0/planted.json

Needs the extra [train].
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from edge_harmony.benchmark.budget import Budget, exit_code
from edge_harmony.benchmark.environment import environment
from edge_harmony.benchmark.run import run_suite
from edge_harmony.benchmark.suite import ContenderSpec, Effort, Suite
from edge_harmony.export.onnx import export_onnx
from edge_harmony.files.atomic import sha256_of, write_json
from edge_harmony.files.manifest import read_manifest, write_manifest
from edge_harmony.models.registry import bundled_weights
from edge_harmony.models.weights_file import read_weights, restore, save_weights

EFFORT = Effort(warm_up=3, least_count=150, least_seconds=1, most_seconds=3, tight=0.01)
TOLERANCE = 0.05
SLOWER = """
import time
from edge_harmony.backends.discovery import load_runner
from edge_harmony.pipeline.harmonize import harmonize_pixels

def load(checkpoint):
    runner = load_runner("edge-n", backend="onnxruntime", precision="int8", threads=1)
    def run(composite, mask):
        began = time.perf_counter()
        result = harmonize_pixels(runner, composite, mask)
        until = time.perf_counter() + {more} * (time.perf_counter() - began)
        while time.perf_counter() < until:
            pass
        return result
    return run
"""


def entry(folder: Path, name: str, more: float) -> ContenderSpec:
    path = folder / f"{name}.py"
    path.write_text(SLOWER.replace("{more}", str(more)))
    return ContenderSpec(peer="file", checkout=path, label=name)


def timed(folder: Path, repetitions: int) -> list[dict[str, Any]]:
    """Compare an identical build, and one that takes 20 % longer, with the old one, repeatedly."""
    entries = [entry(folder, "old", 0.0), entry(folder, "identical", 0.0), entry(folder, "slower by 20 %", 0.2)]
    rows = []
    for _ in range(repetitions):
        suite = Suite(name="planted", baseline="old", tolerance=TOLERANCE, contenders=entries, effort=EFFORT)
        result = run_suite(suite)
        for m in result.measurements[1:]:
            row = {"contender": m.contender.name, "ratio": m.ratio.estimate, "low": m.ratio.low, "high": m.ratio.high}
            rows.append(row | {"verdict": m.verdict.value, "exit_code": int(exit_code(result))})
            print(rows[-1], flush=True)
    return rows


def spoiled(folder: Path) -> dict[str, Any]:
    """Check edge-n, with its head rounded to a 32nd of its largest weight, against the parity of the real network."""
    weights = bundled_weights("edge-n")
    network = restore("edge-n", read_weights(weights))
    head = network.head.weight.data
    step = head.abs().max() / 32
    network.head.weight.data = (head / step).round() * step
    path = folder / "spoiled.safetensors"
    save_weights(path, network, name="edge-n", options=read_weights(weights).options)
    artifact = export_onnx("edge-n", path, folder / "spoiled", precision="fp32")
    claimed = read_manifest(artifact).model_copy(update={"weights_sha256": sha256_of(weights)})
    write_manifest(artifact, claimed)  # its manifest claims the real weights
    entries = [
        ContenderSpec(model="edge-n", precision="fp32"),
        ContenderSpec(artifact=artifact, weights=weights, label="spoiled"),
    ]
    suite = Suite(name="planted", baseline=entries[0].name, contenders=entries, effort=Effort(most_seconds=1))
    budget = Budget(limits=[{"contender": "*", "min_parity_psnr": 60}])
    result = run_suite(suite, budget=budget)
    checks = {m.contender.name: m.checks[0] for m in result.measurements}
    return {
        "exit_code": int(exit_code(result, budget)),
        "parity": {name: check.found for name, check in checks.items()},
        "verdicts": {name: check.verdict.value for name, check in checks.items()},
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    where = environment().model_dump(mode="json")
    with tempfile.TemporaryDirectory() as folder:
        result = {"environment": where, "tolerance": TOLERANCE, "accuracy": spoiled(Path(folder))}
        result["repetitions"] = timed(Path(folder), arguments.repetitions)
    write_json(arguments.output, result)
    print(json.dumps(result["accuracy"], indent=2))


if __name__ == "__main__":
    main()
