"""CUDA through NVIDIA's cuda-python (https://nvidia.github.io/cuda-python/cuda-bindings)."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np
from cuda.bindings import runtime as cudart

from edge_harmony.backends.tensorrt.cuda.api import CudaError, Device, Package, Pinned
from edge_harmony.errors import CapabilityError

_NO_DEVICE = {
    "cudaErrorInsufficientDriver",
    "cudaErrorNoDevice",
    "cudaErrorInitializationError",
    "cudaErrorStubLibrary",
}
_HINTS = {"cudaErrorMemoryAllocation": "close what else uses the GPU, or run smaller batches"}


class CudaPython:
    """See :class:`edge_harmony.backends.tensorrt.cuda.api.Cuda`.

    Args:
        device: its number.

    Raises:
        CapabilityError: there is no such device, or no driver.
    """

    name: Package = "cuda-python"
    has_graphs = True

    def __init__(self, device: int = 0) -> None:
        self._index = device
        self._local = threading.local()
        try:
            count = self._call(cudart.cudaGetDeviceCount)
        except CudaError as error:
            if error.name in _NO_DEVICE:
                raise CapabilityError(
                    f"there is no CUDA device ({error.message})", "use a machine with an NVIDIA GPU and its driver"
                ) from None
            raise
        if not 0 <= device < count:
            raise CapabilityError(f"there is no CUDA device {device}", f"choose one of 0 to {count - 1}")
        self.activate()

    @staticmethod
    def _call(function: Any, *arguments: Any) -> Any:
        status, *results = function(*arguments)
        if status != cudart.cudaError_t.cudaSuccess:
            message = cudart.cudaGetErrorString(status)[1].decode()
            raise CudaError(function.__name__, status.name, message, _HINTS.get(status.name))
        return results[0] if len(results) == 1 else tuple(results)

    def activate(self) -> None:
        """See :class:`~edge_harmony.backends.tensorrt.cuda.api.Cuda`; as all methods."""
        if not getattr(self._local, "active", False):
            self._call(cudart.cudaSetDevice, self._index)
            self._local.active = True

    def device(self) -> Device:
        properties = self._call(cudart.cudaGetDeviceProperties, self._index)
        free, total = self._call(cudart.cudaMemGetInfo)
        driver = self._call(cudart.cudaDriverGetVersion)
        return Device(
            self._index,
            properties.name.split(b"\0")[0].decode(),
            (properties.major, properties.minor),
            total,
            free,
            f"{driver // 1000}.{driver % 1000 // 10}",
        )

    def allocate(self, size: int) -> int:
        return int(self._call(cudart.cudaMalloc, size))

    def free(self, address: int) -> None:
        self._call(cudart.cudaFree, address)

    def pin(self, size: int) -> Pinned:
        address = int(self._call(cudart.cudaHostAlloc, size, cudart.cudaHostAllocDefault))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        return Pinned(array, address)

    def unpin(self, memory: Pinned) -> None:
        self._call(cudart.cudaFreeHost, memory.address)

    def copy_to_device(self, address: int, memory: Pinned, size: int, stream: int) -> None:
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call(cudart.cudaMemcpyAsync, address, memory.address, size, kind, stream)

    def copy_to_host(self, memory: Pinned, address: int, size: int, stream: int) -> None:
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call(cudart.cudaMemcpyAsync, memory.address, address, size, kind, stream)

    def create_stream(self) -> int:
        return int(self._call(cudart.cudaStreamCreateWithFlags, cudart.cudaStreamNonBlocking))

    def destroy_stream(self, stream: int) -> None:
        self._call(cudart.cudaStreamDestroy, stream)

    def synchronize(self, stream: int) -> None:
        self._call(cudart.cudaStreamSynchronize, stream)

    def create_event(self, *, blocking: bool = False) -> int:
        flags = cudart.cudaEventBlockingSync if blocking else cudart.cudaEventDefault
        return int(self._call(cudart.cudaEventCreateWithFlags, flags))

    def destroy_event(self, event: int) -> None:
        self._call(cudart.cudaEventDestroy, event)

    def record(self, event: int, stream: int) -> None:
        self._call(cudart.cudaEventRecord, event, stream)

    def wait(self, event: int) -> None:
        self._call(cudart.cudaEventSynchronize, event)

    def elapsed(self, start: int, end: int) -> float:
        return float(self._call(cudart.cudaEventElapsedTime, start, end))

    def begin_capture(self, stream: int) -> None:
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call(cudart.cudaStreamBeginCapture, stream, mode)

    def end_capture(self, stream: int) -> int:
        graph = self._call(cudart.cudaStreamEndCapture, stream)
        try:
            return int(self._call(cudart.cudaGraphInstantiate, graph, 0))
        finally:
            self._call(cudart.cudaGraphDestroy, graph)

    def launch(self, graph: int, stream: int) -> None:
        self._call(cudart.cudaGraphLaunch, graph, stream)

    def destroy_graph(self, graph: int) -> None:
        self._call(cudart.cudaGraphExecDestroy, graph)
