"""What is in a package, read back from the file: operations, precisions, weights, inputs and outputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.frontend.milproto import load as milproto
from numpy.typing import NDArray

from edge_harmony.errors import ArtifactError, first_line

_WEIGHTS = "com.apple.CoreML/weights"


@dataclass(frozen=True)
class Contents:
    """A program.

    Attributes:
        operations: how many of each type, constants left out.
        integer_convolutions: convolutions whose weights and whose input are both dequantized from 8 bits.
        convolutions: all of them.
        weights: of the convolutions by name, dequantized, in the program's order.
        inputs: name to what it takes: ``image RGB 256x256`` or ``float 1x3x256x256``.
        outputs: name to shape.
        metadata: what the user may read: author, licence, version, description and our own.
    """

    operations: dict[str, int]
    integer_convolutions: int
    convolutions: int
    weights: dict[str, NDArray[np.float32]]
    inputs: dict[str, str]
    outputs: dict[str, tuple[int, ...]]
    metadata: dict[str, str]


def read_contents(package: Path) -> Contents:
    """Open a package again and list what is in it.

    Raises:
        ArtifactError: it is no package, or damaged.
    """
    try:
        model = ct.models.MLModel(str(package), skip_model_load=True)
        spec = model.get_spec()
        program = milproto.load(spec, spec.specificationVersion, model.weights_dir)
    except Exception as error:  # protobuf, the loader and the file system raise kinds of their own
        raise ArtifactError(f"{package} is no Core ML package ({first_line(error)})", "export it again") from None
    operations = [op for op in program.functions["main"].operations if op.op_type != "const"]
    convolutions = [op for op in operations if op.op_type in ("conv", "conv_transpose")]
    described = spec.description
    return Contents(
        operations=dict(Counter(op.op_type for op in operations)),
        integer_convolutions=sum(_is_integer(op) for op in convolutions),
        convolutions=len(convolutions),
        weights={op.name: _weights(op) for op in convolutions},
        inputs={feature.name: _input(feature.type) for feature in described.input},
        outputs={feature.name: tuple(feature.type.multiArrayType.shape) for feature in described.output},
        metadata={
            "author": described.metadata.author,
            "license": described.metadata.license,
            "version": described.metadata.versionString,
            "description": described.metadata.shortDescription,
            **dict(described.metadata.userDefined),
        },
    )


def _weights(convolution: Any) -> NDArray[np.float32]:
    """A convolution's weights, unpacked where they are stored in fewer bits."""
    values = convolution.weight.val
    if values is None:
        values = convolution.weight.op.materialized_val_inference()
    return np.asarray(values, np.float32)


def _is_integer(convolution: Any) -> bool:
    """Whether both sides come from 8 bits: what Core ML can compute in integers."""
    weight, source = convolution.weight.op, convolution.x.op
    packed = weight is not None and weight.op_type in ("constexpr_affine_dequantize", "constexpr_blockwise_shift_scale")
    return bool(packed and source is not None and source.op_type == "dequantize")


def _input(kind: Any) -> str:
    if kind.WhichOneof("Type") == "imageType":
        image = kind.imageType
        space = {10: "grayscale", 20: "RGB", 30: "BGR"}.get(image.colorSpace, "unknown")
        return f"image {space} {image.height}x{image.width}"
    return f"float {'x'.join(str(size) for size in kind.multiArrayType.shape)}"
