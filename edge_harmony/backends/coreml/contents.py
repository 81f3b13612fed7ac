"""What is in a package, read back from the file: operations, precisions, weights, inputs and outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from coremltools.converters.mil.mil import types
from numpy.typing import NDArray

from edge_harmony.backends.coreml.islands import wide_islands
from edge_harmony.backends.coreml.package import PackageFiles
from edge_harmony.inspection.findings import Arithmetic, LayerReport

_CONVOLUTIONS = {"conv", "conv_transpose"}
_CONVERTERS = {"quantize", "dequantize", "cast"}
_ACTIVATIONS = {"relu", "leaky_relu"}
_PACKED = {"constexpr_affine_dequantize", "constexpr_blockwise_shift_scale"}
_NAMED = 6


@dataclass(frozen=True)
class Contents:
    """A function of a package: its only one, called ``main``, or one of several.

    Attributes:
        functions: names of all functions of the package, the default first.
        operations: how many of each type, constants left out.
        integer_convolutions: convolutions whose weights and whose input are both dequantized from 8 bits.
        convolutions: all of them.
        weights: of the convolutions by name, dequantized, in the program's order.
        inputs: name to what it takes: ``image RGB 256x256``, ``image RGB 256x256 to 4096x4096`` (height x width),
            ``image RGB 1080x1920, 1920x1080``, ``float 1x3x256x256``, or ``float 1, 1 unless given`` if it is optional.
        outputs: name to what it returns, in the notation of ``inputs``.
        metadata: what the user may read: author, licence, version, description and our own.
        specification: version of Core ML's format; 8 is that of iOS 17.
        layers: the convolutions in the program's order, then what else computes in 16 bits and in 32.
        islands: operations in 32 bits by name, in connected groups; none if nothing computes in 16 bits.
    """

    functions: tuple[str, ...]
    operations: dict[str, int]
    integer_convolutions: int
    convolutions: int
    weights: dict[str, NDArray[np.float32]]
    inputs: dict[str, str]
    outputs: dict[str, str]
    metadata: dict[str, str]
    specification: int
    layers: tuple[LayerReport, ...]
    islands: tuple[tuple[str, ...], ...]


def read_contents(package: Path, function: str | None = None) -> Contents:
    """Open a package again and list what is in a function of it; without a name, in the default.

    Raises:
        ArtifactError: it is no package, or damaged.
        UsageError: there is no such function in it.
    """
    opened = PackageFiles(package)
    described, program = opened.function(function)
    operations = [op for op in program.operations if op.op_type != "const"]
    convolutions = [op for op in operations if op.op_type in _CONVOLUTIONS]
    metadata = opened.specification.description.metadata
    return Contents(
        functions=opened.functions,
        operations=dict(Counter(op.op_type for op in operations)),
        integer_convolutions=sum(_is_integer(op) for op in convolutions),
        convolutions=len(convolutions),
        weights={op.name: _weights(op) for op in convolutions},
        inputs={feature.name: _kind(feature.type) for feature in described.input},
        outputs={feature.name: _kind(feature.type) for feature in described.output},
        metadata={
            "author": metadata.author,
            "license": metadata.license,
            "version": metadata.versionString,
            "description": metadata.shortDescription,
            **dict(metadata.userDefined),
        },
        specification=opened.specification.specificationVersion,
        layers=(*(_layer(op) for op in convolutions), *_others(operations)),
        islands=tuple(map(tuple, wide_islands(operations))),
    )


def _layer(convolution: Any) -> LayerReport:
    """A convolution, with the activation that alone reads it, and why it is not computed in 8 bits."""
    readers = convolution.outputs[0].child_ops
    joined = len(readers) == 1 and readers[0].op_type in _ACTIVATIONS
    kind = f"{convolution.op_type} + {readers[0].op_type}" if joined else convolution.op_type
    if _is_integer(convolution):
        return LayerReport(convolution.name, kind, "int8", "")
    weight, source = convolution.weight.op, convolution.x.op
    reason = "its weights are not stored in 8 bits"
    if weight is not None and weight.op_type == "constexpr_lut_to_dense":
        reason = "its weights come from a palette, and are unpacked before it computes"
    elif weight is not None and weight.op_type in _PACKED:
        made = "an input of the package" if source is None else f"from {source.op_type}"
        reason = f"its input is not dequantized from 8 bits: it is {made}"
    return LayerReport(convolution.name, kind, _arithmetic(convolution), reason)


def _others(operations: Iterable[Any]) -> Iterator[LayerReport]:
    """What is no convolution and computes in floating point, gathered by its precision."""
    kinds: dict[Arithmetic, Counter[str]] = {"fp16": Counter(), "float": Counter()}
    for op in operations:
        name = types.builtin_to_string(op.outputs[0].dtype)
        computes = op.op_type not in _CONVOLUTIONS | _CONVERTERS and not op.op_type.startswith("constexpr")
        if computes and name in ("fp16", "fp32"):
            kinds[_arithmetic(op)][op.op_type] += 1
    for precision, counted in kinds.items():
        if counted:
            shown = ", ".join(name for name, _ in counted.most_common(_NAMED)) + (
                ", ..." if len(counted) > _NAMED else ""
            )
            reason = f"typed in {16 if precision == 'fp16' else 32} bits"
            yield LayerReport(f"{sum(counted.values())} others", shown, precision, reason)


def _arithmetic(operation: Any) -> Arithmetic:
    return "fp16" if types.builtin_to_string(operation.outputs[0].dtype) == "fp16" else "float"


def _weights(convolution: Any) -> NDArray[np.float32]:
    """A convolution's weights, unpacked where they are stored in fewer bits."""
    values = convolution.weight.val
    if values is None:
        values = convolution.weight.op.materialized_val_inference()
    return np.asarray(values, np.float32)


def _is_integer(convolution: Any) -> bool:
    """Whether both sides come from 8 bits: what Core ML can compute in integers."""
    weight, source = convolution.weight.op, convolution.x.op
    packed = weight is not None and weight.op_type in _PACKED
    return bool(packed and source is not None and source.op_type == "dequantize")


def _kind(kind: Any) -> str:
    if kind.WhichOneof("Type") == "imageType":
        image = kind.imageType
        space = {10: "grayscale", 20: "RGB", 30: "BGR"}.get(image.colorSpace, "unknown")
        sizes = f"{image.height}x{image.width}"
        if image.WhichOneof("SizeFlexibility") == "enumeratedSizes":
            sizes = ", ".join(f"{size.height}x{size.width}" for size in image.enumeratedSizes.sizes)
        if image.WhichOneof("SizeFlexibility") == "imageSizeRange":
            high, wide = image.imageSizeRange.heightRange, image.imageSizeRange.widthRange
            sizes = f"{high.lowerBound}x{wide.lowerBound} to {high.upperBound}x{wide.upperBound}"
        return f"image {space} {sizes}"
    default = f", {kind.multiArrayType.floatDefaultValue:g} unless given" if kind.isOptional else ""
    return f"float {'x'.join(str(size) for size in kind.multiArrayType.shape)}{default}"
