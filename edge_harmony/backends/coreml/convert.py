"""Weights to Core ML packages (ML programs): float, 8-bit from the trained ranges, or palettized weights.

https://apple.github.io/coremltools/docs-guides
"""

from __future__ import annotations

import importlib.metadata
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import coremltools as ct

import edge_harmony
from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.coreml.options import PackageOptions, Size
from edge_harmony.backends.coreml.package import CONTENTS, specification_file
from edge_harmony.backends.coreml.program import LARGEST_PICTURE, LOGGERS, network_program, palettized, pipeline_program
from edge_harmony.errors import UsageError, parsing
from edge_harmony.export.prepare import METADATA_KEY, OUTPUT_NAMES, describe, exportable
from edge_harmony.export.quiet import quiet
from edge_harmony.files.atomic import make_folder, new_folder, sha256_of
from edge_harmony.files.manifest import Manifest, Precision, write_manifest
from edge_harmony.models.registry import find_model
from edge_harmony.models.weights_file import read_weights
from edge_harmony.models.whole_pipeline import PlanarPipeline

"""Of a package: where its parts are."""
_DATE = "com.github.apple.coremltools.conversion_date"
_MEANINGS = {
    "composite": "The composite picture, RGB",
    "picture": "The composite picture, RGB",
    "mask": "The foreground's mask, 1 (white) in the foreground",
    "strength": "Share of the change, 0 to 1.5; 1, what the network predicts, unless it is given",
    "harmonized": "The harmonized picture, RGB",
}
_OUTPUTS = {
    "rgb": "The foreground in its new colours, planar RGB in [0, 1]",
    "difference": "A difference per cell for red, green and blue: y = x + m d, with x in [0, 1] and m the mask",
    "gain": "Per cell a gain for red, green and blue, then an offset for each: y = x + m (a x + t), x in [0, 1]",
    "affine": "Per cell a 3 x 3 matrix, row by row, then an offset for red, green and blue: y = x + m (A x + t), with "
    "x in [0, 1] and m the mask; bilinear between the centres of cells",
}
"""The layout of a network's output along its channels; pictures are applied at their own size."""


def convert(request: ExportRequest, weights_path: Path, folder: Path) -> Path:
    """Convert a network and write the package with its manifest.

    ``int8`` quantizes weights and activations by the trained ranges, and computes the rest as ``fp16`` does. Several
    working sizes, or sizes of pictures, are functions of one package called ``h192w256`` and so on, which share the
    weights; the first is the default.

    Args:
        request: what to convert; its options are :class:`~edge_harmony.backends.coreml.options.PackageOptions`.
        weights_path: weights of the network.
        folder: where to; created if need be.

    Returns:
        The package, a folder, under the name that
        :meth:`~edge_harmony.backends.coreml.options.PackageOptions.name_of` gives it.

    Raises:
        ArtifactError: the weights do not fit or hold no ranges.
        CapabilityError: the network cannot be quantized or has no whole pipeline, or coremltools cannot convert it.
        UsageError: options that contradict each other.
    """
    options: PackageOptions = request.options or PackageOptions()
    options.check(request)
    size, precision = request.working_size, cast(Precision, request.precision)
    weights = read_weights(weights_path)
    model = exportable(request.model, weights, precision, request.keep_float)
    whole = PlanarPipeline(model, size) if request.whole_pipeline else None
    output = str((whole or model).output)
    programs: dict[str, Any] = {}
    for one in options.sizes(request):
        if whole is not None:
            several = options.picture_sizes if options.enumerated else ()
            program = pipeline_program(whole, one, precision, options.minimum, several)
        else:
            program = network_program(
                model, one or size, precision, options.minimum, options.inputs, OUTPUT_NAMES[output]
            )
        bits = options.palette_bits
        programs[_function(one)] = palettized(program, bits) if bits is not None else program
    description = describe(request.model, weights, weights_path, output, size, precision, "signed", request.keep_float)
    package: dict[str, Any] = {
        "minimum": options.minimum,
        "inputs": "image" if whole is not None else options.inputs,
        "palette_bits": options.palette_bits,
        "functions": list(programs) if len(programs) > 1 else [],
    }
    if whole is not None:
        package["picture_sizes"] = options.picture_sizes
        package["largest_picture"] = None if options.picture_sizes else LARGEST_PICTURE
    path = make_folder(folder) / options.name_of(request)
    with new_folder(path) as temporary:
        converter = dict(next(iter(programs.values())).user_defined_metadata)
        program = _package(programs, temporary.parent)
        _save(_described(program, request.model, description | {"engine": package}, converter), temporary)
    versions = {"edge-harmony": edge_harmony.__version__}
    versions |= {package: importlib.metadata.version(package) for package in ("coremltools", "torch")}
    manifest = Manifest(**description, backend="coreml", file_sha256=sha256_of(path), versions=versions, engine=package)
    write_manifest(path, manifest)
    return path


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


def _described(converted: Any, name: str, description: dict[str, Any], converter: Mapping[str, str]) -> Any:
    """The converted model with author, licence, version and description in its metadata.

    ``converter`` is what coremltools says of itself and of torch, which packages of several functions lose. The date of
    the conversion is left out: equal packages are equal files on any day.
    """
    spec = converted.get_spec()
    metadata = spec.description.metadata
    metadata.author, metadata.license = "edge-harmony", "MIT"
    metadata.versionString = edge_harmony.__version__
    metadata.shortDescription = f"Image harmonization with {name}: {find_model(name).summary}"
    metadata.userDefined.clear()
    for key, value in converter.items():
        if key != _DATE:
            metadata.userDefined[key] = value
    metadata.userDefined[METADATA_KEY] = json.dumps(description, sort_keys=True)
    for function in spec.description.functions or (spec.description,):
        for feature in function.input:
            feature.shortDescription = _MEANINGS[feature.name]
        for feature in function.output:
            feature.shortDescription = _OUTPUTS.get(str(description["io"]["output"]), _MEANINGS["harmonized"])
    return ct.models.MLModel(spec, weights_dir=converted.weights_dir, skip_model_load=True)


def _save(program: Any, path: Path) -> None:
    with quiet(*LOGGERS), parsing(f"cannot write {path}", "free space or choose another folder", UsageError):
        program.save(str(path))
        _settle_order(path)
    settle_names(path)


def _settle_order(package: Path) -> None:
    """Write the specification's maps in the order of their keys: protobuf has another order in every process."""
    model = specification_file(package)
    specification = ct.proto.Model_pb2.Model()
    specification.ParseFromString(model.read_bytes())
    model.write_bytes(specification.SerializeToString(deterministic=True))


def settle_names(package: Path) -> None:
    """Name the parts of a package by their paths: coremltools draws names at random, and equal packages are one hash.

    Args:
        package: its ``Manifest.json`` lists the parts under identifiers (UUIDs).
    """
    path = package / CONTENTS
    contents = json.loads(path.read_bytes())
    entries = sorted(contents["itemInfoEntries"].items(), key=lambda entry: str(entry[1]["path"]))
    names = {drawn: str(uuid.uuid5(uuid.NAMESPACE_URL, part["path"])) for drawn, part in entries}
    contents["itemInfoEntries"] = {names[drawn]: part for drawn, part in entries}
    contents["rootModelIdentifier"] = names[contents["rootModelIdentifier"]]
    path.write_text(json.dumps(contents, indent=4) + "\n", encoding="utf-8")
