"""Networks in PyTorch to LiteRT models: the traced program, operator by operator, with the trained scales.

Tensors with four axes have their channels last in the file, as LiteRT's kernels compute (NHWC); PyTorch's program has
them second (NCHW). An operator between a dequantization and a quantization becomes one that computes in 8 bits, where
LiteRT has a kernel for it; everything else computes in 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from torch.ao.quantization.fx import _decomposed  # noqa: F401  (registers torch.ops.quantized_decomposed)
from torch.fx import Node

from edge_harmony.backends.litert.flatfile import FlatFile
from edge_harmony.errors import CapabilityError

ATEN = torch.ops.aten
LEVELS = torch.ops.quantized_decomposed
ROUND, UNROUND = LEVELS.quantize_per_tensor.default, LEVELS.dequantize_per_tensor.default
UNROUND_CHANNELS = LEVELS.dequantize_per_channel.default
TO_LAST, TO_SECOND = (0, 2, 3, 1), (0, 3, 1, 2)
"""Orders of axes that move the channels of PyTorch's order to the end, and back."""


@dataclass(frozen=True)
class Value:
    """A tensor of the file.

    Attributes:
        number: in the file.
        shape: in PyTorch's order of axes.
        scale: of signed 8-bit levels; None if it is float.
    """

    number: int
    shape: tuple[int, ...]
    scale: float | None = None


@dataclass(frozen=True)
class LayerWeights:
    """Weights of a layer as the program has them.

    Attributes:
        layer: name of the layer.
        value: float, or integer levels.
        scales: of the levels, one for each output channel; None for float weights.
    """

    layer: str
    value: NDArray[Any]
    scales: NDArray[np.float32] | None

    def in_float(self) -> NDArray[np.float32]:
        """The weights in 32 bits, whatever their form."""
        if self.scales is None:
            return self.value.astype(np.float32)
        return self.value.astype(np.float32) * self.scales.reshape(-1, *[1] * (self.value.ndim - 1))


Translation = Callable[["Translator", Node], "Value | None"]
TRANSLATIONS: dict[Any, Translation] = {}
"""What each operator of PyTorch becomes; filled by :func:`translates`."""


def translates(*targets: Any) -> Callable[[Translation], Translation]:
    """Register a function as the translation of some operators of PyTorch."""

    def register(translation: Translation) -> Translation:
        TRANSLATIONS.update(dict.fromkeys(targets, translation))
        return translation

    return register


class Translator:
    """A program on its way into a file.

    Args:
        program: a network that was exported with decompositions; its inputs are ``composite`` and ``mask``.
        half: store the weights of layers in 16 bits; they are converted when the file is loaded.

    Attributes:
        file: what has been written of it.
    """

    def __init__(self, program: torch.export.ExportedProgram, *, half: bool) -> None:
        self.file = FlatFile()
        self._half = half
        self._nodes = list(program.graph.nodes)
        signature = program.graph_signature
        self._names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self._names |= signature.inputs_to_lifted_tensor_constants
        self._stored = {**program.state_dict, **program.constants}
        self._values: dict[Node, Value] = {}
        self._in_float: dict[Node, Value] = {}

    def translate(self) -> tuple[dict[str, int], Value]:
        """Write all operators; returns the numbers of the inputs by their names, and the output.

        Raises:
            CapabilityError: the network has an operator that is not translated.
        """
        inputs: dict[str, int] = {}
        for node in self._nodes:
            if node.op == "placeholder" and node.name not in self._names:
                self._values[node] = self.new(node, node.meta["val"].shape)
                inputs[node.name] = self._values[node].number
            elif node.op == "output":
                ((result,),) = arguments(node)
                return inputs, self.real(result)
            elif node.op == "call_function" and node not in self._values:
                translation = TRANSLATIONS.get(node.target)
                if translation is None:
                    raise CapabilityError(
                        f"LiteRT files cannot hold this network: {node.target} is not translated",
                        "choose a network of the edge family, or a target of another runtime",
                    )
                made = translation(self, node)
                if made is not None:
                    self._values[node] = made
        raise AssertionError("a program without an output")

    def real(self, node: Node) -> Value:
        """The value of a node in 32 bits; dequantized, and constants written, when they are asked for first."""
        if node in self._in_float:
            return self._in_float[node]
        if node.target == UNROUND:
            levels = self._values[arguments(node)[0]]
            made = self.emit("DEQUANTIZE", node, [levels], levels.shape, schema.DequantizeOptionsT())
        elif node.name in self._names:
            made = self.constant(node, self.stored(node).astype(np.float32))
        else:
            return self._values[node]
        self._in_float[node] = made
        return made

    def levels(self, node: Any) -> Value | None:
        """The 8-bit levels that a node dequantizes; None if it does not."""
        return self._values.get(arguments(node)[0]) if isinstance(node, Node) and node.target == UNROUND else None

    def rounding(self, node: Node) -> tuple[Node, Node | None] | None:
        """How the result of an operator is rounded to 8 bits: by which node, and after which ReLU, if any.

        None if it is read in float.
        """
        relu = None
        reader = _only_reader(node)
        if reader is not None and reader.target == ATEN.relu.default:
            relu, reader = reader, _only_reader(reader)
        return (reader, relu) if reader is not None and reader.target == ROUND else None

    def settle(self, nodes: Sequence[Node | None], value: Value) -> None:
        """Record that nodes need no operators of their own: an operator before them has their value."""
        self._values.update({node: value for node in nodes if node is not None})

    def emit(
        self,
        kind: str,
        node: Node,
        inputs: Sequence[Value | int],
        shape: Sequence[int],
        options: Any = None,
        *,
        scale: float | None = None,
        version: int = 1,
        name: str = "",
    ) -> Value:
        """Write an operator, and the tensor for its result.

        Args:
            kind: its name in the format.
            node: what it is made of.
            inputs: values, or numbers of tensors.
            shape: of the result, in PyTorch's order.
            options: of the operator.
            scale: of the result's 8-bit levels; None for a float.
            version: of the operator.
            name: of the result; by default the node's.
        """
        result = self.new(node, shape, scale, name)
        numbers = [value.number if isinstance(value, Value) else value for value in inputs]
        self.file.operator(kind, numbers, result.number, options, version)
        return result

    def new(self, node: Node, shape: Sequence[int], scale: float | None = None, name: str = "") -> Value:
        """A tensor for a result."""
        dtype = np.float32 if scale is None else np.int8
        number = self.file.tensor(name or node.name, in_file(shape), dtype, scale)
        return Value(number, tuple(shape), scale)

    def constant(self, node: Node, value: NDArray[np.float32]) -> Value:
        """A constant in PyTorch's order of axes."""
        stored = value.transpose(TO_LAST) if value.ndim == 4 else value
        return Value(self.file.constant(node.name, stored), value.shape)

    def number(self, value: float) -> Value:
        """A float constant without axes, which every shape is broadcast with."""
        return Value(self.file.constant("number", np.array(value, np.float32)), ())

    def integers(self, *values: int) -> int:
        """A list of integers, as operators take shapes and axes."""
        return self.file.constant("integers", np.array(values, np.int32))

    def weights(self, node: Node) -> LayerWeights:
        """The weights that a layer reads, as they are stored."""
        source, scales = node, None
        if node.target == UNROUND_CHANNELS:
            source, of_channels = arguments(node)[:2]
            scales = self.stored(of_channels).astype(np.float32)
        return LayerWeights(self._names[source.name].rpartition(".")[0], self.stored(source), scales)

    def float_weights(self, layer: str, value: NDArray[np.float32]) -> int:
        """Weights of a layer that computes in float, in the file's order of axes."""
        if not self._half:
            return self.file.constant(layer, value)
        stored = self.file.constant(f"{layer}.half", value.astype(np.float16))
        whole = self.file.tensor(f"{layer}.weight", value.shape)
        return self.file.operator("DEQUANTIZE", [stored], whole, schema.DequantizeOptionsT(), version=3)

    def stored(self, node: Node) -> NDArray[Any]:
        """A parameter, a buffer or another constant of the program."""
        tensor: torch.Tensor = self._stored[self._names[node.name]]
        return tensor.detach().numpy()


def in_file(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape in the file's order of axes."""
    return tuple(shape[k] for k in TO_LAST) if len(shape) == 4 else tuple(shape)


def axis_in_file(axis: int, rank: int) -> int:
    """The number of an axis in the file."""
    axis %= rank
    return TO_LAST.index(axis) if rank == 4 else axis


def arguments(node: Node, *defaults: Any) -> tuple[Any, ...]:
    """A node's positional arguments, without the types that torch gives them; ``defaults`` stand for those left out."""
    return (*node.args, *defaults[len(node.args) :])


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of a node's value."""
    return tuple(node.meta["val"].shape)


def _only_reader(node: Node) -> Node | None:
    readers = list(node.users)
    return readers[0] if len(readers) == 1 else None
