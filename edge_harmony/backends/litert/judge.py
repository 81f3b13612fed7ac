"""A LiteRT file judged by its own contents: what computes in 8 bits, what in float and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edge_harmony.backends.litert.contents import read_model
from edge_harmony.errors import ArtifactError, parsing
from edge_harmony.inspection.findings import Finding, Inspection, LayerReport

UNKNOWN = [
    "which operations a GPU or an accelerator takes from the CPU: its delegate decides on the device, LiteRT's "
    "benchmark_model shows it",
    "whether float operations are computed in 16 bits: a GPU does so unless the app forbids it, a CPU only if the app "
    "asks for it",
]
"""What no file tells."""
WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
_CONVERTERS = {"QUANTIZE", "DEQUANTIZE"}
_NAMED = 6
_KINDS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_ACTIVATIONS = {code: name for name, code in vars(schema.ActivationFunctionType).items() if not name.startswith("_")}
_INT8, _FLOAT16 = schema.TensorType.INT8, schema.TensorType.FLOAT16


@dataclass(frozen=True)
class Operation:
    """An operator of a file.

    Attributes:
        name: of its result.
        kind: in the notation of the format.
        activation: what it applies to its result, such as ``RELU``; empty if nothing.
        inputs: types of its inputs by the numbers of the format; None for one that is left out.
        result: the type of its result.
        of_constant: whether its first input is stored in the file.
        weights: the type in which its weights are stored; None if it has none.
    """

    name: str
    kind: str
    activation: str
    inputs: tuple[int | None, ...]
    result: int
    of_constant: bool
    weights: int | None

    @property
    def is_integer(self) -> bool:
        """Whether it computes in 8 bits: its inputs, weights and result are levels."""
        count = 2 if self.kind in WEIGHTED else 1
        return self.result == _INT8 and all(each == _INT8 for each in self.inputs[:count])


def read_operations(path: Path) -> list[Operation]:
    """The operators of a file, in their order.

    Raises:
        ArtifactError: it is no LiteRT file, or damaged.
    """
    model = read_model(path)
    with parsing(f"{path} is damaged", "export it again", ArtifactError):
        (graph,) = model.subgraphs
        return list(_operations(model, graph))


def judge_file(path: Path, precision: str | None) -> Inspection:
    """Judge a file.

    Args:
        path: of the file.
        precision: what the target wants; None where no target is named.

    Raises:
        ArtifactError: it is no LiteRT file, or damaged.
    """
    operations = read_operations(path)
    return Inspection(
        layers=list(_layers(operations)),
        findings=list(_misfits(operations, precision)),
        reformats=[f"{each.name} ({each.kind})" for each in operations if _converts(each)],
        unknown=list(UNKNOWN),
    )


def _operations(model: Any, graph: Any) -> Iterator[Operation]:
    tensors = graph.tensors
    makers = {number: operator for operator in graph.operators for number in operator.outputs}
    stored = {number for number, tensor in enumerate(tensors) if model.buffers[tensor.buffer].data is not None}

    def stored_type(number: int) -> int:
        maker = makers.get(number)  # weights in 16 bits come through a conversion
        return tensors[maker.inputs[0] if maker is not None else number].type

    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = _KINDS.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")
        activation = _ACTIVATIONS.get(getattr(operator.builtinOptions, "fusedActivationFunction", 0), "NONE")
        result = tensors[operator.outputs[0]]
        yield Operation(
            name=result.name.decode(errors="replace"),
            kind=kind,
            activation="" if activation == "NONE" else activation,
            inputs=tuple(tensors[number].type if number >= 0 else None for number in operator.inputs),
            result=result.type,
            of_constant=operator.inputs[0] in stored,
            weights=stored_type(operator.inputs[1]) if kind in WEIGHTED else None,
        )


def _converts(operation: Operation) -> bool:
    """Whether it takes an activation, and no stored weights, from levels to floats or back."""
    return operation.kind in _CONVERTERS and not operation.of_constant


def _layers(operations: list[Operation]) -> Iterator[LayerReport]:
    """Layers with weights and what else computes in 8 bits, in the file's order; then the rest, gathered."""
    rest: Counter[str] = Counter()
    quantized = any(each.is_integer for each in operations)
    for each in operations:
        kind = f"{each.kind} + {each.activation}" if each.activation else each.kind
        if each.kind in _CONVERTERS:
            continue
        if each.is_integer:
            yield LayerReport(each.name, kind, "int8", "")
        elif each.kind in WEIGHTED:
            yield LayerReport(each.name, kind, "float", _why_float(each, quantized))
        else:
            rest[each.kind] += 1
    if rest:
        shown = ", ".join(kind for kind, _ in rest.most_common(_NAMED)) + (", ..." if len(rest) > _NAMED else "")
        reason = "masked statistics, and what is computed from them"
        yield LayerReport(f"{sum(rest.values())} others", shown, "float", reason)


def _why_float(operation: Operation, quantized: bool) -> str:
    if operation.weights == _FLOAT16:
        return "its weights are stored in 16 bits, and it computes in 32"
    if not quantized:
        return "the file is not quantized"
    if operation.kind == "FULLY_CONNECTED":
        return "it computes from masked statistics, which are float at every precision"
    return "its result is read in float"


def _misfits(operations: list[Operation], precision: str | None) -> Iterator[Finding]:
    layers = [each for each in operations if each.kind in WEIGHTED]
    integer = sum(each.is_integer for each in layers)
    fix = "export it for this target"
    if precision == "int8" and not integer:
        yield Finding("the file", "no layer computes in 8 bits", fix, False)
    if precision not in (None, "int8") and integer:
        problem = f"{integer} of {len(layers)} layers compute in 8 bits, and the target is {precision}"
        yield Finding("the file", problem, fix, False)
    if precision == "fp16" and not any(each.weights == _FLOAT16 for each in layers):
        yield Finding("the file", "no weights are stored in 16 bits", fix, False)
