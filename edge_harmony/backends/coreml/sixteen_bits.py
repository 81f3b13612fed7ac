"""Which operations of a program compute in 16 bits.

The neural engine computes in 16 bits and in 8. Wherever a program changes to 32 bits, an iPhone leaves the engine and
comes back later, so a program should change as seldom as its numbers allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import coremltools as ct
from coremltools.converters.mil.mil import types
from torch import nn

from edge_harmony.backends.coreml.operations import tensors_read
from edge_harmony.files.manifest import Precision
from edge_harmony.models.layers.conv_unit import FloatIsland

Extent = Literal["all", "between", "features"]
"""``all`` operations; those ``between`` the first and the last convolution; or ``features``, the convolutions with the
activations, sums and resizes of what they return."""
_CONVOLUTIONS = {"conv", "conv_transpose"}
_ALWAYS = {*_CONVOLUTIONS, "quantize", "dequantize"}
_AFTER_HALF = {"relu", "leaky_relu", "upsample_bilinear", "max_pool", "add", "concat"}


def fits_half(network: nn.Module) -> bool:
    """Whether every value of a network stays within 16 bits for every mask: its float islands say so of themselves."""
    return all(layer.fits_half for layer in network.modules() if isinstance(layer, FloatIsland))


def compute_precision(precision: Precision, extent: Extent) -> Any:
    """What coremltools calls the compute precision: which operations are in 16 bits.

    Args:
        precision: of the package; ``fp32`` has nothing in 16 bits.
        extent: what is in 16 bits otherwise. Pre- and post-processing of a whole pipeline must stay in 32 bits, since
            16 bits do not tell the levels of a picture apart, and positions in it still less. Sums over a whole map
            exceed the range of 16 bits, and so do the masked statistics of networks that do not :func:`fits_half`.
    """
    if precision == "fp32":
        return ct.precision.FLOAT32
    if extent == "all":
        return ct.precision.FLOAT16
    inner: dict[int, Any] = {}  # by identity; the operations are kept, so that no later one has the identity of another

    def chosen(operation: Any) -> bool:
        if extent == "between" and not inner:  # the first call, before any operation is replaced
            inner.update((id(each), each) for each in _between_convolutions(operation.enclosing_block.operations))
        if id(operation) in inner or operation.op_type in _ALWAYS or operation.op_type.startswith("constexpr"):
            return True
        producers = list(_producers(operation))
        return operation.op_type in _AFTER_HALF and bool(producers) and all(map(_is_half, producers))

    return ct.transform.FP16ComputePrecision(op_selector=chosen)


def _between_convolutions(operations: list[Any]) -> Iterator[Any]:
    """Operations that read what a convolution has made and make what a convolution reads, and the convolutions."""
    after: set[int] = set()
    before: set[int] = set()
    for operation in operations:
        if operation.op_type in _CONVOLUTIONS or any(id(each) in after for each in _producers(operation)):
            after.add(id(operation))
    for operation in reversed(operations):
        if operation.op_type in _CONVOLUTIONS or id(operation) in before:
            before.add(id(operation))
            before.update(map(id, filter(None, _producers(operation))))
    return (operation for operation in operations if id(operation) in after & before)


def _producers(operation: Any) -> Iterator[Any]:
    """The operations that make the tensors it reads; None for an input of the program. Constants are left out."""
    for value in tensors_read(operation):
        if value.rank > 0 and (value.op is None or value.op.op_type != "const"):
            yield value.op


def _is_half(operation: Any) -> bool:
    """Whether a tensor comes in 16 bits, before coremltools' cast back to the type that it had."""
    while operation is not None and operation.op_type == "cast":
        operation = operation.x.op
    return operation is not None and operation.outputs[0].dtype is types.fp16
