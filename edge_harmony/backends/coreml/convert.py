"""Weights to Core ML packages (ML programs): float, 8-bit from the trained ranges, or palettized weights.

https://apple.github.io/coremltools/docs-guides
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import coremltools as ct
import torch
from torch import nn

from edge_harmony.artifact import (
    IOSpec,
    Manifest,
    Precision,
    artifact_name,
    make_folder,
    new_folder,
    sha256_of,
    write_manifest,
)
from edge_harmony.backends.onnx.export import METADATA_KEY, OUTPUT_NAMES, exportable
from edge_harmony.backends.quiet import quiet
from edge_harmony.errors import CapabilityError, UsageError, first_line
from edge_harmony.models.registry import find_model
from edge_harmony.models.state import read_weights

Minimum = Literal["iOS16", "iOS17", "iOS18"]
Inputs = Literal["tensor", "image"]
_FIRST_WITH_INTEGERS = "iOS17"
_INT8_OPSETS = ("iOS17", "iOS18")
_LOGGERS = ("coremltools", "torch.export")
_HALF = {"conv", "conv_transpose", "relu", "leaky_relu", "upsample_bilinear", "max_pool", "quantize", "dequantize"}
_IF_ALL_HALF = {"add", "concat"}


def convert(
    name: str,
    weights_path: Path,
    folder: Path,
    *,
    precision: Precision = "fp16",
    size: tuple[int, int] = (256, 256),
    minimum: Minimum = "iOS17",
    inputs: Inputs = "tensor",
    palette_bits: Literal[4, 6, 8] | None = None,
    keep_float: Collection[str] = (),
) -> Path:
    """Convert a network and write ``<name>-<HxW>-<precision>.mlpackage`` with its manifest.

    Args:
        name: of the network in the registry.
        weights_path: its weights.
        folder: where to; created if need be.
        precision: what the program computes in; ``int8`` quantizes weights and activations by the trained ranges and
            computes the rest in 16 bits.
        size: working size (height, width).
        minimum: the oldest system that will run it (iOS 17 is macOS 14); ``int8`` needs iOS 17.
        inputs: ``tensor``, float RGB and mask in [0, 1]; or ``image``, 8-bit pictures, RGB and grayscale, which Core ML
            scales to [0, 1] itself.
        palette_bits: store weights as indices into palettes of this many bits (float precisions only).
        keep_float: layers of an ``int8`` network that stay float.

    Returns:
        The package, a folder.

    Raises:
        ArtifactError: the weights do not fit or hold no ranges.
        CapabilityError: the network cannot be quantized, or coremltools cannot convert it.
        UsageError: options that contradict each other.
    """
    if precision == "int8" and minimum not in _INT8_OPSETS:
        raise UsageError(
            f"8-bit programs need {_FIRST_WITH_INTEGERS}, not {minimum}", "choose fp16, or a newer minimum"
        )
    if precision == "int8" and palette_bits is not None:
        raise UsageError("palettes are for float programs", "choose fp16, or leave the palette out")
    weights = read_weights(weights_path)
    model = exportable(name, weights, precision, keep_float)
    output = str(model.output)
    with quiet(*_LOGGERS):
        converted = _converted(name, decomposed(model, size), size, precision, minimum, inputs, OUTPUT_NAMES[output])
        if palette_bits is not None:
            converted = _palettized(converted, palette_bits)
    spec = IOSpec(height=size[0], width=size[1], output=output)  # type: ignore[arg-type]
    description: dict[str, Any] = {
        "model": name,
        "precision": precision,
        "flavour": "signed" if precision == "int8" else None,
        "io": spec.model_dump(mode="json"),
        "weights_sha256": sha256_of(weights_path),
        "recipe_sha256": weights.recipe_sha256,
        "float_layers": sorted(keep_float),
    }
    package = {"minimum": minimum, "inputs": inputs, "palette_bits": palette_bits}
    _describe(converted, name, description | {"engine": package})
    path = make_folder(folder) / artifact_name(name, *size, precision, ".mlpackage")
    with new_folder(path) as temporary, quiet(*_LOGGERS):
        converted.save(str(temporary))
    versions = {p: importlib.metadata.version(p) for p in ("edge-harmony", "coremltools", "torch")}
    manifest = Manifest(**description, backend="coreml", file_sha256=sha256_of(path), versions=versions, engine=package)
    write_manifest(path, manifest)
    return path


def decomposed(model: nn.Module, size: tuple[int, int]) -> torch.export.ExportedProgram:
    """The program that is converted: core ATen operators, one picture."""
    inputs = (torch.rand(1, 3, *size), torch.rand(1, 1, *size).round())
    with quiet(*_LOGGERS):
        return torch.export.export(model.eval(), inputs).run_decompositions({})


def _converted(
    name: str,
    program: torch.export.ExportedProgram,
    size: tuple[int, int],
    precision: Precision,
    minimum: Minimum,
    inputs: Inputs,
    output: str,
) -> Any:
    arguments: dict[str, Any] = {}
    if inputs == "image":
        arguments["inputs"] = [
            ct.ImageType("composite", (1, 3, *size), scale=1 / 255, color_layout=ct.colorlayout.RGB),
            ct.ImageType("mask", (1, 1, *size), scale=1 / 255, color_layout=ct.colorlayout.GRAYSCALE),
        ]
    try:
        return ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target[minimum],
            compute_precision=_compute_precision(precision),
            outputs=[ct.TensorType(name=output)],
            skip_model_load=True,
            **arguments,
        )
    except Exception as error:  # coremltools raises ValueError, NotImplementedError, RuntimeError, KeyError ...
        raise CapabilityError(
            f"coremltools {ct.__version__} cannot convert {name} ({first_line(error)})",
            "update coremltools, or choose another network",
        ) from None


def _compute_precision(precision: Precision) -> Any:
    """16 bits for convolutions and what follows them among features, as in typed FP16 ONNX files.

    Masked statistics add up tens of thousands of pixels and their squares, which half precision does not hold.
    """
    if precision == "fp32":
        return ct.precision.FLOAT32
    chosen: dict[str, bool] = {}

    def in_half(operation: Any) -> bool:
        if operation is None:
            return False
        if operation.name not in chosen:
            is_weight = operation.op_type.startswith("constexpr")
            chosen[operation.name] = (
                is_weight
                or operation.op_type in _HALF
                or (operation.op_type in _IF_ALL_HALF and all(in_half(before) for before in _producers(operation)))
            )
        return chosen[operation.name]

    return ct.transform.FP16ComputePrecision(op_selector=in_half)


def _producers(operation: Any) -> list[Any]:
    """The operations that make the tensors it reads; an input of the program counts as one that does not fit."""
    groups = [values if isinstance(values, list | tuple) else (values,) for values in operation.inputs.values()]
    read = [value for group in groups for value in group]
    made = [value.op for value in read if value is not None and value.rank > 0]
    return [before for before in made if before is None or before.op_type != "const"]


def _palettized(converted: Any, bits: int) -> Any:
    if find_spec("sklearn") is None:
        raise CapabilityError(
            "palettes need scikit-learn, which is not installed", "pip install 'edge-harmony[coreml]'"
        )
    import coremltools.optimize.coreml as cto

    chosen = cto.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=512)
    return cto.palettize_weights(converted, cto.OptimizationConfig(global_config=chosen))


def _describe(converted: Any, name: str, description: dict[str, Any]) -> None:
    entry = find_model(name)
    spec = converted.get_spec()
    converted.author = "edge-harmony"
    converted.license = "MIT"
    converted.version = importlib.metadata.version("edge-harmony")
    converted.short_description = f"Image harmonization with {name}: {entry.summary}"
    told = {
        "composite": "The composite picture, RGB",
        "mask": "The foreground's mask, 1 (white) in the foreground",
    }
    for feature in spec.description.input:
        converted.input_description[feature.name] = told[feature.name]
    for feature in spec.description.output:
        converted.output_description[feature.name] = "What is applied to the picture; see the io of edge_harmony"
    converted.user_defined_metadata[METADATA_KEY] = json.dumps(description, sort_keys=True)
