"""Weights to Core ML packages (ML programs): float, 8-bit from the trained ranges, or palettized weights.

https://apple.github.io/coremltools/docs-guides
"""

from __future__ import annotations

import importlib.metadata
import json
import uuid
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import coremltools as ct

import edge_harmony
from edge_harmony.backends.coreml.options import Minimum, PackageInputs, Size
from edge_harmony.backends.coreml.program import LOGGERS, network_program, palettized, pipeline_program
from edge_harmony.errors import UsageError, parsing
from edge_harmony.export.prepare import METADATA_KEY, OUTPUT_NAMES, describe, exportable
from edge_harmony.export.quiet import quiet
from edge_harmony.files.atomic import make_folder, new_folder, sha256_of
from edge_harmony.files.manifest import Manifest, Precision, artifact_name, write_manifest
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import read_weights
from edge_harmony.models.whole_pipeline import PlanarPipeline

_INTEGERS_SINCE, _FUNCTIONS_SINCE = "iOS17", "iOS18"
_CONTENTS = "Manifest.json"
"""Of a package: where its parts are."""
_MEANINGS = {
    "composite": "The composite picture, RGB",
    "picture": "The composite picture, RGB",
    "mask": "The foreground's mask, 1 (white) in the foreground",
    "strength": "Share of the change, 0 to 1.5; 1, what the network predicts, unless it is given",
    "harmonized": "The harmonized picture, RGB",
}
_GRID = "What is applied to the picture; see the io of edge_harmony"


def convert(
    name: str,
    weights_path: Path,
    folder: Path,
    *,
    precision: Precision = "fp16",
    size: Size | None = None,
    more_sizes: Sequence[Size] = (),
    minimum: Minimum = "iOS17",
    inputs: PackageInputs = "tensor",
    palette_bits: Literal[4, 6, 8] | None = None,
    keep_float: Collection[str] = (),
    whole_pipeline: bool = False,
    picture_sizes: Sequence[Size] = (),
) -> Path:
    """Convert a network and write ``<name>-<HxW>-<precision>.mlpackage`` with its manifest.

    Args:
        name: of the network in the registry.
        weights_path: its weights.
        folder: where to; created if need be.
        precision: what the program computes in; ``int8`` quantizes weights and activations by the trained ranges and
            computes the rest in 16 bits.
        size: working size (height, width); None for the network's own.
        more_sizes: others that the package takes besides: each is a function of the package called ``h192w256``, with
            ``size`` as the default, and all share the weights; needs iOS 18.
        minimum: the oldest system that will run it (iOS 17 is macOS 14); ``int8`` needs iOS 17.
        inputs: ``tensor``, float RGB and mask in [0, 1]; or ``image``, 8-bit pictures, RGB and grayscale, which Core ML
            scales to [0, 1] itself.
        palette_bits: store weights as indices into palettes of this many bits (float precisions only).
        keep_float: layers of an ``int8`` network that stay float.
        whole_pipeline: convert the whole pipeline around the network (:mod:`edge_harmony.models.whole_pipeline`), 8-bit
            pictures in and out; the package's name ends in ``-whole``.
        picture_sizes: sizes of these pictures; one, or several as functions (iOS 18); none for any size from the
            working size to :data:`~edge_harmony.backends.coreml.program.LARGEST_PICTURE`.

    Returns:
        The package, a folder.

    Raises:
        ArtifactError: the weights do not fit or hold no ranges.
        CapabilityError: the network cannot be quantized or has no whole pipeline, or coremltools cannot convert it.
        UsageError: options that contradict each other.
    """
    size = size or find_model(name).size
    sizes: list[Size | None] = [size, *more_sizes]
    if whole_pipeline:
        sizes = list(picture_sizes) or [None]
    _check(precision, minimum, palette_bits, sizes)
    if whole_pipeline and more_sizes:
        raise UsageError("a whole pipeline has one working size", "leave more_sizes out, or --whole-pipeline")
    weights = read_weights(weights_path)
    model = exportable(name, weights, precision, keep_float)
    whole = PlanarPipeline(model, size) if whole_pipeline else None
    output = str((whole or model).output)
    programs: dict[str, Any] = {}
    for one in sizes:
        if whole is not None:
            program = pipeline_program(whole, one, precision, minimum)
        else:
            program = network_program(model, one or size, precision, minimum, inputs, OUTPUT_NAMES[output])
        programs[_function(one)] = palettized(program, palette_bits) if palette_bits is not None else program
    description = describe(name, weights, weights_path, output, size, precision, "signed", keep_float)
    package = {
        "minimum": minimum,
        "inputs": "image" if whole_pipeline else inputs,
        "palette_bits": palette_bits,
        "functions": list(programs) if len(programs) > 1 else [],
    }
    path = make_folder(folder) / artifact_name(name, *size, precision, ".mlpackage", whole_pipeline=whole_pipeline)
    with new_folder(path) as temporary:
        _save(_described(_package(programs, temporary.parent), name, description | {"engine": package}), temporary)
    versions = {"edge-harmony": edge_harmony.__version__}
    versions |= {package: importlib.metadata.version(package) for package in ("coremltools", "torch")}
    manifest = Manifest(**description, backend="coreml", file_sha256=sha256_of(path), versions=versions, engine=package)
    write_manifest(path, manifest)
    return path


def _check(precision: Precision, minimum: Minimum, palette_bits: int | None, sizes: Sequence[Size | None]) -> None:
    if precision == "int8" and minimum < _INTEGERS_SINCE:
        raise UsageError(f"8-bit programs need {_INTEGERS_SINCE}, not {minimum}", "choose fp16, or a newer minimum")
    if precision == "int8" and palette_bits is not None:
        raise UsageError("palettes are for float programs", "choose fp16, or leave the palette out")
    if len(sizes) > 1 and minimum < _FUNCTIONS_SINCE:
        raise UsageError(
            f"packages for several sizes need {_FUNCTIONS_SINCE}, not {minimum}", "choose one size, or a newer minimum"
        )
    if len(set(sizes)) < len(sizes):
        raise UsageError("a size is named twice", "name every size once")


def _function(size: Size | None) -> str:
    """The name of a package's function for a size."""
    return "main" if size is None else f"h{size[0]}w{size[1]}"


def _package(programs: dict[str, Any], scratch: Path) -> Any:
    """One program as it is, or several as functions of one with common weights; the first is the default."""
    if len(programs) == 1:
        return next(iter(programs.values()))
    functions = ct.utils.MultiFunctionDescriptor()
    for name, program in programs.items():
        _save(program, scratch / f"{name}.mlpackage")
        functions.add_function(str(scratch / f"{name}.mlpackage"), src_function_name="main", target_function_name=name)
    functions.default_function_name = next(iter(programs))
    with quiet(*LOGGERS):
        ct.utils.save_multifunction(functions, str(scratch / "functions.mlpackage"))
    return ct.models.MLModel(str(scratch / "functions.mlpackage"), skip_model_load=True)


def _described(converted: Any, name: str, description: dict[str, Any]) -> Any:
    """The converted model with author, licence, version and description in its metadata."""
    spec = converted.get_spec()
    metadata = spec.description.metadata
    metadata.author, metadata.license = "edge-harmony", "MIT"
    metadata.versionString = edge_harmony.__version__
    metadata.shortDescription = f"Image harmonization with {name}: {find_model(name).summary}"
    metadata.userDefined[METADATA_KEY] = json.dumps(description, sort_keys=True)
    for function in spec.description.functions or (spec.description,):
        for feature in (*function.input, *function.output):
            feature.shortDescription = _MEANINGS.get(feature.name, _GRID)
    return ct.models.MLModel(spec, weights_dir=converted.weights_dir, skip_model_load=True)


def _save(program: Any, path: Path) -> None:
    with quiet(*LOGGERS), parsing(f"cannot write {path}", "free space or choose another folder", UsageError):
        program.save(str(path))
    settle_names(path)


def settle_names(package: Path) -> None:
    """Name the parts of a package by their paths: coremltools draws names at random, and equal packages are one hash.

    Args:
        package: its ``Manifest.json`` lists the parts under identifiers (UUIDs).
    """
    path = package / _CONTENTS
    contents = json.loads(path.read_bytes())
    entries = sorted(contents["itemInfoEntries"].items(), key=lambda entry: str(entry[1]["path"]))
    names = {drawn: str(uuid.uuid5(uuid.NAMESPACE_URL, part["path"])) for drawn, part in entries}
    contents["itemInfoEntries"] = {names[drawn]: part for drawn, part in entries}
    contents["rootModelIdentifier"] = names[contents["rootModelIdentifier"]]
    path.write_text(json.dumps(contents, indent=4) + "\n", encoding="utf-8")
