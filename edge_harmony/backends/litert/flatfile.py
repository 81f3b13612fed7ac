"""A LiteRT model as it is written: tensors, operators and their options, packed as a flat buffer.

The format is that of https://ai.google.dev/edge/litert (``schema.fbs``), whose Python classes are in ai-edge-litert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

SIGNATURE = "serving_default"
"""The name under which interpreters find the inputs and outputs by their names."""
_IDENTIFIER, _VERSION = b"TFL3", 3
_ALIGNMENT = 16  # bytes; schema.fbs asks for it, since interpreters read constants where they lie in the file
_LARGEST_OLD_CODE = 127  # larger codes are in a field of their own
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
}
_SIGNED_SINCE = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "ADD": 2, "PAD": 2, "DEQUANTIZE": 2}
"""The version of an operator that knows signed 8 bits, where it is not the first."""


class AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # generated code has no types
    """A constant's bytes; the class in ai-edge-litert packs them without alignment."""

    def Pack(self, builder: Any) -> Any:  # named by the generated code
        """Append the buffer to a builder."""
        data = None
        if self.data is not None:
            builder.StartVector(1, len(self.data), _ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class FlatFile:
    """A model of one graph that grows operator by operator, in the order in which they will run."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[tuple[str, int], int] = {}
        self._buffers: list[Any] = [AlignedBuffer()]  # by convention, tensors that are computed name the first one
        self._constants: dict[tuple[Any, ...], int] = {}

    def tensor(self, name: str, shape: Sequence[int], dtype: type = np.float32, scale: float | None = None) -> int:
        """Add a tensor that is fed or computed; returns its number.

        Args:
            name: for people.
            shape: in the file's own order of axes.
            dtype: NumPy's name of its type.
            scale: of 8-bit levels, with zero point 0.
        """
        scales = None if scale is None else np.array([scale], np.float32)
        return self._add(name, shape, dtype, 0, scales, 0)

    def constant(self, name: str, value: NDArray[Any], scales: NDArray[np.float32] | None = None, axis: int = 0) -> int:
        """Add a constant; returns its number. Equal ones are stored once.

        Args:
            name: for people.
            value: float32, float16, int32 or int8.
            scales: one, or one for each index of ``axis``; for integer levels, with zero point 0.
            axis: of the scales.
        """
        content = np.ascontiguousarray(value)
        of_scales = None if scales is None else (scales.tobytes(), axis)
        key = (content.dtype.str, content.shape, content.tobytes(), of_scales)
        if key not in self._constants:
            self._buffers.append(AlignedBuffer(data=content.tobytes()))
            number = self._add(name, content.shape, content.dtype.type, len(self._buffers) - 1, scales, axis)
            self._constants[key] = number
        return self._constants[key]

    def operator(self, kind: str, inputs: Iterable[int], output: int, options: Any = None, version: int = 1) -> int:
        """Add an operator; returns its output.

        Args:
            kind: its name in the format's ``BuiltinOperator``.
            inputs: numbers of tensors.
            output: number of a tensor.
            options: an object of its class of options, if it has one.
            version: the first version of the operator that does what is asked of it.
        """
        inputs = list(inputs)
        signed = self._tensors[inputs[0]].type == schema.TensorType.INT8
        key = kind, max(version, _SIGNED_SINCE.get(kind, 1) if signed else 1)
        code = self._codes.setdefault(key, len(self._codes))
        added = schema.OperatorT(opcodeIndex=code, inputs=inputs, outputs=[output])
        if options is not None:
            added.builtinOptions = options
            added.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self._operators.append(added)
        return output

    def packed(
        self, inputs: Mapping[str, int], outputs: Mapping[str, int], description: str, metadata: Mapping[str, str]
    ) -> bytes:
        """The file's bytes, equal for equal content.

        Args:
            inputs: names and numbers of the tensors that are fed.
            outputs: names and numbers of the results.
            description: one line for people.
            metadata: texts by name.
        """
        entries = []
        for name, text in metadata.items():
            self._buffers.append(AlignedBuffer(data=text.encode()))
            entries.append(schema.MetadataT(name=name, buffer=len(self._buffers) - 1))
        graph = schema.SubGraphT(
            tensors=self._tensors,
            inputs=list(inputs.values()),
            outputs=list(outputs.values()),
            operators=self._operators,
            name="main",
        )
        signature = schema.SignatureDefT(
            inputs=[schema.TensorMapT(name, number) for name, number in inputs.items()],
            outputs=[schema.TensorMapT(name, number) for name, number in outputs.items()],
            signatureKey=SIGNATURE,
        )
        model = schema.ModelT(
            version=_VERSION,
            operatorCodes=[_operator_code(*key) for key in self._codes],
            subgraphs=[graph],
            description=description,
            buffers=self._buffers,
            metadata=entries,
            signatureDefs=[signature],
        )
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())

    def _add(
        self,
        name: str,
        shape: Sequence[int],
        dtype: type,
        buffer: int,
        scales: NDArray[np.float32] | None,
        axis: int,
    ) -> int:
        quantization = None
        if scales is not None:
            zeros = np.zeros(len(scales), np.int64)
            quantization = schema.QuantizationParametersT(scale=scales, zeroPoint=zeros, quantizedDimension=axis)
        kind = _TYPES[np.dtype(dtype)]
        self._tensors.append(
            schema.TensorT(shape=list(shape), type=kind, buffer=buffer, name=name, quantization=quantization)
        )
        return len(self._tensors) - 1


def _operator_code(kind: str, version: int) -> Any:
    code = getattr(schema.BuiltinOperator, kind)
    return schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, _LARGEST_OLD_CODE), version=version)
