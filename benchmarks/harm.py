"""Gain and harm of the shipped networks, plain and without a leak at the rim.

    python benchmarks/harm.py --data ROOT -o benchmarks/results/0.1.0/harm.json

Scores every shipped network on the test split at native size: plain, sealed by 2 and by 4, moved, and relit
and sealed by 2. Rows in the file that were measured with the shipped weights are kept, so a stopped run can go on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provenance import provenance

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.data.iharmony4 import Triplet, read_split
from edge_harmony.files.atomic import sha256_of, write_json
from edge_harmony.models.weights_file import resolve_weights
from edge_harmony.quality.evaluation import evaluate
from edge_harmony.quality.preparation import PLAIN, SEALED, Preparation

NETWORKS = {
    "edge-n": "int8",
    "edge-s": "int8",
    "edge-m": "int8",
    "edge-l": "int8",
    "hdnet-lite": "fp32",
    "fmm-lite": "fp32",
    "rcl-lite": "fp32",
}
PREPARATIONS = (PLAIN, SEALED, Preparation(sealed=4), Preparation(moved=True), Preparation(sealed=2, relit=True))
LABELS = [preparation.label for preparation in PREPARATIONS]


def row_of(
    model: str, precision: str, preparation: Preparation, scores: dict[str, Any], samples: int
) -> dict[str, Any]:
    """A row of the file, from an evaluation."""
    return {
        "model": model,
        "weights_sha256": sha256_of(resolve_weights(model)),
        "precision": precision,
        "preparation": preparation.label,
        "images": scores["images"],
        "left_out": samples - scores["images"],
        "psnr": round(scores["psnr"], 4),
        "composite_psnr": round(scores["composite"]["psnr"], 4),
        "fmse": round(scores["fmse"], 4),
        "composite_fmse": round(scores["composite"]["fmse"], 4),
        **{key: round(value, 4) for key, value in scores["harm"].items()},
    }


def evaluated(
    request: ExportRequest, weights: Path, samples: Sequence[Triplet], preparations: Sequence[Preparation]
) -> dict[str, dict[str, Any]]:
    """Scores in ONNX Runtime of a file exported from weights, by the label of each preparation."""
    with tempfile.TemporaryDirectory() as folder:
        artifact = get_backend("onnxruntime").build(request, weights, Path(folder))
        with load_runner(
            request.model, backend="onnxruntime", precision=request.precision, artifact=artifact
        ) as runner:
            return {one.label: evaluate(runner, samples, preparation=one) for one in preparations}


def measured(model: str, precision: str, preparation: Preparation, samples: list[Triplet]) -> dict[str, Any]:
    """The row of a network: for INT8 what ships has the bytes of the file that is exported here."""
    found = evaluated(ExportRequest(model, precision), resolve_weights(model), samples, (preparation,))
    return row_of(model, precision, preparation, found[preparation.label], len(samples))


def main() -> None:
    """Measure what is missing and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="root of the iHarmony4 layout")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    samples = read_split(arguments.data, "test")
    rows: list[dict[str, Any]] = json.loads(arguments.output.read_text())["rows"] if arguments.output.is_file() else []
    for model in arguments.networks:
        for preparation in PREPARATIONS:
            mine = [row for row in rows if (row["model"], row["preparation"]) == (model, preparation.label)]
            if mine and mine[0]["weights_sha256"] == sha256_of(resolve_weights(model)):
                continue
            rows = [row for row in rows if row not in mine]
            rows.append(measured(model, NETWORKS[model], preparation, samples))
            print(json.dumps(rows[-1]), flush=True)
            rows.sort(key=lambda row: (list(NETWORKS).index(row["model"]), LABELS.index(row["preparation"])))
            write_json(
                arguments.output,
                {
                    **provenance("onnxruntime", "opencv-python"),
                    "set": "LB-Harmony test, native size",
                    "rows": rows,
                },
            )


if __name__ == "__main__":
    main()
