"""Evaluating a function of a package, operation by operation, with the rounding that its types ask for.

It is written from Apple's description of the operations and reads the program from the package's files, so it is
independent of the network in PyTorch and of the converter: where both agree, the conversion is right. It says nothing
about speed, nor about the unit that a device chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import types

from edge_harmony.backends.coreml.interpreter.elementwise import ELEMENTWISE, Array
from edge_harmony.backends.coreml.interpreter.layout import LAYOUT
from edge_harmony.backends.coreml.interpreter.spatial import SPATIAL
from edge_harmony.backends.coreml.operations import tensors_read
from edge_harmony.backends.coreml.package import PackageFiles
from edge_harmony.errors import CapabilityError, InputError, first_line

OPERATIONS = ELEMENTWISE | SPATIAL | LAYOUT
"""What evaluates an operation, by its type."""

Rounding = Literal["typed", "half", "flush"]
"""``typed`` rounds every result to the type that the program gives it; ``half`` rounds every float to 16 bits;
``flush`` is ``typed``, and numbers of 16 bits below the normal ones become 0, as on the neural engine."""

_HALF_LARGEST, _HALF_LEAST_NORMAL = 65504.0, 2.0**-14
_RGB, _BGR = 20, 30
"""Colour spaces of images (FeatureTypes.proto)."""


class Interpreter:
    """A function of a package, ready to be evaluated.

    An operation computes in 32 bits from inputs of their type, and its result is rounded to its own type: the best that
    hardware of that precision can do.

    Args:
        package: the folder.
        function: its name; None for the default.
        rounding: how results are rounded.

    Attributes:
        problems: of the last call of :meth:`predict`: results that were not finite or exceeded 16 bits, by operation.

    Raises:
        ArtifactError: it is no package, or damaged.
        CapabilityError: the function has operations that are not known here.
        UsageError: there is no such function.
    """

    def __init__(self, package: PackageFiles | Path, function: str | None = None, rounding: Rounding = "typed") -> None:
        opened = package if isinstance(package, PackageFiles) else PackageFiles(package)
        description, program = opened.function(function)
        self._inputs, self._outputs = list(description.input), list(description.output)
        self._operations = [op for op in program.operations if op.op_type != "const"]
        self._rounding = rounding
        self.problems: list[str] = []
        unknown = sorted({op.op_type for op in self._operations} - OPERATIONS.keys())
        if unknown:
            raise CapabilityError(
                f"{opened.path} has operations that are not interpreted: {', '.join(unknown)}", "run it on a Mac"
            )
        self._last_use = {
            value.name: number for number, op in enumerate(self._operations) for value in tensors_read(op)
        }
        self._kept = {feature.name for feature in self._outputs}
        self._weights: dict[str, Array] = {}

    def predict(self, feed: Mapping[str, Any]) -> dict[str, Array]:
        """Evaluate the function.

        Args:
            feed: inputs by name: arrays of floats, or uint8 pictures ``(H, W, 3)`` RGB and ``(H, W)`` where the
                function takes images. Inputs with a default may be left out.

        Returns:
            Outputs by name; images as uint8.

        Raises:
            CapabilityError: an operation has a form that is not known here.
            InputError: an input is missing, or its shape is not one that the function takes.
        """
        self.problems = []
        values: dict[str, Any] = {feature.name: self._taken(feature, feed) for feature in self._inputs}
        for number, op in enumerate(self._operations):
            for name, result in self._evaluated(op, values).items():
                values[name] = result
            for value in tensors_read(op):
                if self._last_use[value.name] == number and value.name not in self._kept:
                    values.pop(value.name, None)
        return {feature.name: _given(feature, values[feature.name]) for feature in self._outputs}

    def _evaluated(self, op: Any, values: Mapping[str, Any]) -> dict[str, Array]:
        (first, *_) = op.outputs
        if first.name in self._weights:
            return {first.name: self._weights[first.name]}
        arguments = {key: _read(value, values) for key, value in op.inputs.items() if value is not None}
        with np.errstate(all="ignore"):  # what overflows is in the problems
            try:
                found = OPERATIONS[op.op_type](**arguments)
            except (NotImplementedError, TypeError) as error:  # a form of it that our exports do not have
                raise CapabilityError(
                    f"this form of the operation {op.op_type} is not interpreted ({first_line(error)})",
                    "run it on a Mac",
                ) from error
        several = found if isinstance(found, list) else [found]
        results = {
            value.name: self._rounded(op, value, np.asarray(one))
            for value, one in zip(op.outputs, several, strict=True)
        }
        if op.op_type.startswith("constexpr"):
            self._weights |= results
        return results

    def _taken(self, feature: Any, feed: Mapping[str, Any]) -> Array:
        """An input as Core ML hands it to the program."""
        if feature.name not in feed:
            if not feature.type.isOptional:
                raise InputError(f"the input {feature.name} is missing", "give it")
            kind = feature.type.multiArrayType
            return np.full(tuple(kind.shape), kind.floatDefaultValue, np.float32)
        value = np.asarray(feed[feature.name])
        if feature.type.WhichOneof("Type") == "imageType":
            return _planes(feature, value)
        array = feature.type.multiArrayType
        if tuple(array.shape) != value.shape:
            raise InputError(f"{feature.name} takes {tuple(array.shape)}, not {value.shape}", "export it for this size")
        half = array.dataType == ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT16
        return value.astype(np.float16 if half else np.float32)

    def _rounded(self, op: Any, value: Any, result: Array) -> Array:
        """The result in the type that the program gives it."""
        if result.dtype.kind != "f":
            return result
        if not np.isfinite(result).all():
            self.problems.append(f"{op.op_type} {value.name} is not finite")
        if self._rounding != "half" and value.dtype is not types.fp16:
            return result.astype(np.float32)
        sizes = np.abs(result.astype(np.float32))
        if (sizes[np.isfinite(sizes)] > _HALF_LARGEST).any():
            self.problems.append(f"{op.op_type} {value.name} exceeds 16 bits")
        with np.errstate(over="ignore"):
            result = result.astype(np.float16)
        if self._rounding == "flush":
            result[np.abs(result.astype(np.float32)) < _HALF_LEAST_NORMAL] = 0
        return result


def _read(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, list | tuple):
        return [_read(one, values) for one in value]
    if value.name in values:
        return values[value.name]
    return value.val if isinstance(value.val, str | bool) else np.asarray(value.val)


def _planes(feature: Any, pixels: Array) -> Array:
    """A picture as a program sees it: levels as floats, ``(1, C, H, W)``."""
    image = feature.type.imageType
    height, width = pixels.shape[:2]
    if not _fits(image, height, width):
        raise InputError(f"{feature.name} does not take pictures of {width}x{height}", "export it for this size")
    if image.colorSpace == _BGR:
        pixels = pixels[..., ::-1]
    planes = pixels.transpose(2, 0, 1)[None] if image.colorSpace in (_RGB, _BGR) else pixels[None, None]
    return planes.astype(np.float32)


def _fits(image: Any, height: int, width: int) -> bool:
    kind = image.WhichOneof("SizeFlexibility")
    if kind == "enumeratedSizes":
        return any((size.height, size.width) == (height, width) for size in image.enumeratedSizes.sizes)
    if kind != "imageSizeRange":
        return (image.height, image.width) == (height, width)
    ranges = ((image.imageSizeRange.heightRange, height), (image.imageSizeRange.widthRange, width))
    return all(one.lowerBound <= size and not size > one.upperBound >= 0 for one, size in ranges)


def _given(feature: Any, value: Array) -> Array:
    """An output as Core ML returns it."""
    if feature.type.WhichOneof("Type") != "imageType":
        return value
    levels = np.rint(np.clip(value[0].astype(np.float32), 0, 255)).astype(np.uint8)
    if feature.type.imageType.colorSpace == _BGR:
        levels = levels[::-1]
    return levels.transpose(1, 2, 0) if len(levels) == 3 else levels[0]
