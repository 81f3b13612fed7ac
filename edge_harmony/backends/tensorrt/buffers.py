"""The memory of an engine's inputs and outputs, on the host and on the device, and how their elements lie in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_harmony.backends.tensorrt.cuda.api import Pinned
from edge_harmony.errors import CapabilityError

if TYPE_CHECKING:
    import tensorrt as trt

    from edge_harmony.backends.tensorrt.bridge import TensorRT

_DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
}


@dataclass
class Buffer:
    """One input or output: page-locked memory of the host, and memory of the device.

    Where host and device share their memory (Tegra), both are the same bytes and nothing is copied.

    Attributes:
        name: of the tensor.
        dtype: of its elements.
        is_input: whether it goes in.
        padding: None where its elements lie in C order; otherwise the dimension that is filled up and to a multiple of
            what. Such engines are for timing only.
        shape: as it is now.
        host: page-locked; None until a shape is known.
        address: on the device; 0 until a shape is known.
        capacity: bytes of both.
    """

    name: str
    dtype: np.dtype[Any]
    is_input: bool
    padding: tuple[int, int] | None = None
    shape: tuple[int, ...] = ()
    host: Pinned | None = None
    address: int = 0
    capacity: int = 0

    @property
    def size(self) -> int:
        """Bytes in use."""
        return math.prod(self._stored) * self.dtype.itemsize

    @property
    def _stored(self) -> tuple[int, ...]:
        if self.padding is None:
            return self.shape
        dimension, multiple = self.padding
        filled = -(-self.shape[dimension] // multiple) * multiple
        return (*self.shape[:dimension], filled, *self.shape[dimension + 1 :])

    @property
    def pinned(self) -> Pinned:
        """The page-locked memory."""
        if self.host is None:
            raise RuntimeError(f"{self.name} has no memory yet")
        return self.host

    @property
    def array(self) -> NDArray[Any]:
        """The page-locked memory, in the tensor's shape, filled up where it is."""
        return self.pinned.array[: self.size].view(self.dtype).reshape(self._stored)


def make_buffer(tensorrt: TensorRT, plan: trt.ICudaEngine, name: str) -> Buffer:
    """The buffer of a tensor, without a shape and without memory.

    Raises:
        CapabilityError: NumPy lacks the type of its elements.
    """
    dtype = _dtype(name, plan.get_tensor_dtype(name))
    is_input = plan.get_tensor_mode(name) == tensorrt.get("TensorIOMode.INPUT")
    return Buffer(name, dtype, is_input, _padding(tensorrt, plan, name))


def _padding(tensorrt: TensorRT, plan: trt.ICudaEngine, name: str) -> tuple[int, int] | None:
    """The dimension whose elements are packed and their number, ``(0, 1)`` for another order; None for C order."""
    if not tensorrt.has("TensorFormat.LINEAR"):  # the lean runtime names no formats
        return None
    if plan.get_tensor_format(name) == tensorrt.get("TensorFormat.LINEAR"):
        return None
    dimension = int(plan.get_tensor_vectorized_dim(name))
    return (dimension, int(plan.get_tensor_components_per_element(name))) if dimension >= 0 else (0, 1)


def _dtype(name: str, kind: Any) -> np.dtype[Any]:
    if kind.name not in _DTYPES:
        raise CapabilityError(f"the tensor {name} is {kind.name}, which NumPy lacks", f"use {', '.join(_DTYPES)}")
    return np.dtype(_DTYPES[kind.name])
