"""Convert a network to a Core ML program, to see that its integer operations survive; runs on Linux too.

    python export/core_ml_convert.py edge-s --precision int8 -o out

A plain script until there is a Core ML backend. Needs the extra [train] and coremltools.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import coremltools as ct
import torch

from edge_harmony.artifact import make_folder
from edge_harmony.backends.onnx.export import OUTPUT_NAMES, exportable
from edge_harmony.models.registry import bundled_weights
from edge_harmony.models.state import read_weights

SIZE = (256, 256)


def main() -> int:
    """Convert, count, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="int8")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    weights = read_weights(arguments.weights or bundled_weights(arguments.model))
    model = exportable(arguments.model, weights, arguments.precision)
    inputs = (torch.rand(1, 3, *SIZE), torch.rand(1, 1, *SIZE).round())
    program = torch.export.export(model.eval(), inputs).run_decompositions({})
    single = arguments.precision == "fp32"
    converted = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=ct.precision.FLOAT32 if single else ct.precision.FLOAT16,
        outputs=[ct.TensorType(name=OUTPUT_NAMES[str(model.output)])],
    )
    path = make_folder(arguments.output) / f"{arguments.model}-{arguments.precision}.mlpackage"
    converted.save(str(path))
    main_function = converted.get_spec().mlProgram.functions["main"]
    block = main_function.block_specializations[main_function.opset]
    counts = Counter(operation.type for operation in block.operations if operation.type != "const")
    size = sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    report = {"package": str(path), "bytes": size, "coremltools": ct.__version__, "operations": dict(counts)}
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
