"""The CUDA calls of a runner: device and pinned memory, streams, events, graphs; implemented on two packages.

Addresses and handles are plain integers, as TensorRT takes them. All calls act on the device that :meth:`Cuda.activate`
made current in the calling thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_harmony.errors import EdgeHarmonyError

Package = Literal["cuda-python", "pycuda"]


NO_DEVICE = frozenset({"CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_STUB_LIBRARY", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"})
"""Errors of ``cuInit`` on a machine without a usable GPU."""

_LOST = (
    "illegal memory access",
    "unspecified launch failure",
    "launch timed out",
    "device-side assert",
    "illegal instruction",
    "misaligned address",
    "address space",
    "invalid program counter",
    "hardware stack error",
    "uncorrectable ECC error",
)
"""Texts of the errors after which every further call in the context fails with the same error."""


class CudaError(EdgeHarmonyError):
    """A call to CUDA failed.

    Attributes:
        name: CUDA's name of the error, such as ``CUDA_ERROR_OUT_OF_MEMORY``; the name of its class in PyCUDA.
        is_lost: the context cannot be used any more, and all that was allocated in it is gone.
    """

    def __init__(self, call: str, name: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{call} failed: {message} ({name})", hint)
        self.name = name
        self.is_lost = any(text in message for text in _LOST)


def cuda_error(call: str, name: str, message: str) -> CudaError:
    """A failed call, with the way out where there is one."""
    if name == "CUDA_ERROR_OUT_OF_MEMORY":
        return CudaError(call, name, message, "close what else uses the GPU, or run smaller batches")
    error = CudaError(call, name, message)
    if error.is_lost:
        error.hint = "no further call can succeed in this process: start it again"
    return error


@contextmanager
def unless_lost() -> Iterator[None]:
    """For calls that give something back: once the context is lost there is nothing to give back, and no error."""
    try:
        yield
    except CudaError as error:
        if not error.is_lost:
            raise


@dataclass(frozen=True)
class Device:
    """A CUDA device.

    Attributes:
        index: its number.
        name: such as ``Orin`` or ``NVIDIA GeForce RTX 4090``.
        capability: compute capability, major and minor.
        memory: bytes in all.
        free: bytes that are free now.
        driver: CUDA version of the driver, such as ``12.6``.
        integrated: whether it shares the host's memory, as on a Jetson.
    """

    index: int
    name: str
    capability: tuple[int, int]
    memory: int
    free: int
    driver: str
    integrated: bool = False

    @property
    def sm(self) -> str:
        """Such as ``sm87``."""
        return f"sm{self.capability[0]}{self.capability[1]}"


@dataclass(frozen=True)
class Pinned:
    """Page-locked host memory: copies between it and the device run while the host does something else.

    Attributes:
        array: its bytes.
        address: of the first byte.
        owner: the package's object that keeps the memory alive, if there is one.
    """

    array: NDArray[np.uint8]
    address: int
    owner: Any = None


class Cuda(Protocol):
    """CUDA on one device, through one of the packages.

    All methods raise :class:`CudaError` where CUDA does. Once an error has ended the context, :meth:`activate` and
    those that give something back do nothing, so that cleaning up does not hide the first error.
    """

    name: Package

    def activate(self) -> None:
        """Make the device current in this thread. Every entry into this package from outside does so again: another
        engine, or the caller's own code, may have made another device current meanwhile.
        """

    def device(self) -> Device:
        """The device; makes it current."""

    def allocate(self, size: int) -> int:
        """Allocate ``size`` bytes on the device; returns their address."""

    def free(self, address: int) -> None:
        """Give device memory back."""

    def pin(self, size: int) -> Pinned:
        """Allocate ``size`` bytes of page-locked host memory, which the device reaches under the same address.

        Host memory that CUDA allocates is mapped where addresses are unified: on all 64-bit systems, Jetsons included
        (CUDA driver API, "Unified Addressing").
        """

    def unpin(self, memory: Pinned) -> None:
        """Give page-locked memory back; its array must not be used afterwards."""

    def copy_to_device(self, address: int, memory: Pinned, size: int, stream: int) -> None:
        """Queue a copy of the first ``size`` bytes on a stream."""

    def copy_to_host(self, memory: Pinned, address: int, size: int, stream: int) -> None:
        """Queue a copy of the first ``size`` bytes on a stream."""

    def create_stream(self) -> int:
        """Create a stream that does not synchronize with the default stream."""

    def destroy_stream(self, stream: int) -> None:
        """Give a stream back."""

    def synchronize(self, stream: int) -> None:
        """Wait until all work on the stream is done."""

    def create_event(self, *, blocking: bool = False) -> int:
        """Create an event that records the time. A thread that waits for a blocking event sleeps, else it spins."""

    def destroy_event(self, event: int) -> None:
        """Give an event back."""

    def record(self, event: int, stream: int) -> None:
        """Queue an event on a stream."""

    def wait(self, event: int) -> None:
        """Wait until an event has happened."""

    def stream_wait(self, stream: int, event: int) -> None:
        """What is queued on the stream from now on begins after an event that was queued on another one."""

    def elapsed(self, start: int, end: int) -> float:
        """Milliseconds between two events that have happened."""

    def begin_capture(self, stream: int) -> None:
        """From now on what this thread queues on the stream is recorded, and not run.

        Memory must not be allocated before :meth:`end_capture`.
        """

    def end_capture(self, stream: int) -> int:
        """End the capture; returns the graph, ready to be launched."""

    def launch(self, graph: int, stream: int) -> None:
        """Queue a graph on a stream."""

    def destroy_graph(self, graph: int) -> None:
        """Give a graph back."""
