"""CUDA through NVIDIA's cuda-bindings (https://nvidia.github.io/cuda-python/cuda-bindings): its driver API.

The runtime API of cuda-bindings refuses drivers that are older than the package (status 35 on JetPack 6, where pip may
choose cuda-bindings 13). The driver API has no such limit; see docs/decisions/0016-the-drivers-api.md.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from cuda.bindings import driver

from edge_harmony.backends.tensorrt.cuda.api import (
    NO_DEVICE,
    CudaError,
    Device,
    Package,
    Pinned,
    cuda_error,
    unless_lost,
)
from edge_harmony.backends.tensorrt.cuda.libcuda import DriverLibrary
from edge_harmony.errors import CapabilityError, first_line


class CudaPython:
    """See :class:`edge_harmony.backends.tensorrt.cuda.api.Cuda`.

    The device's primary context is used, as TensorRT uses it through the runtime API. It is retained for as long as
    the process lives, as the runtime retains it.

    Args:
        device: its number.

    Raises:
        CapabilityError: there is no such device, no driver, or one that this cuda-bindings cannot call.
    """

    name: Package = "cuda-python"

    def __init__(self, device: int = 0) -> None:
        try:
            self._call(driver.cuInit, 0)
            count = self._call(driver.cuDeviceGetCount)
        except CudaError as error:
            if error.name in NO_DEVICE:
                raise CapabilityError(
                    f"there is no CUDA device ({error.message})", "use a machine with an NVIDIA GPU and its driver"
                ) from None
            raise
        if not 0 <= device < count:
            raise CapabilityError(f"there is no CUDA device {device}", f"choose one of 0 to {count - 1}")
        self._index = device
        self._device = self._call(driver.cuDeviceGet, device)
        self._context = self._call(driver.cuDevicePrimaryCtxRetain, self._device)
        self._library = DriverLibrary()
        self.activate()

    @staticmethod
    def _call(function: Any, *arguments: Any) -> Any:
        try:
            status, *results = function(*arguments)
        except RuntimeError as error:  # no libcuda at all, or one without this function
            raise _unusable(error) from None
        if status != driver.CUresult.CUDA_SUCCESS:
            message = driver.cuGetErrorString(status)[1] or b"unknown error"
            raise cuda_error(function.__name__, status.name, message.decode())
        return results[0] if len(results) == 1 else tuple(results)

    def activate(self) -> None:
        """See :class:`~edge_harmony.backends.tensorrt.cuda.api.Cuda`; as all methods."""
        with unless_lost():
            self._call(driver.cuCtxSetCurrent, self._context)

    def device(self) -> Device:
        self.activate()
        name = self._call(driver.cuDeviceGetName, 256, self._device)
        kinds = driver.CUdevice_attribute
        capability = tuple(
            int(self._call(driver.cuDeviceGetAttribute, kind, self._device))
            for kind in (
                kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
            )
        )
        free, total = self._call(driver.cuMemGetInfo)
        version = int(self._call(driver.cuDriverGetVersion))
        return Device(
            self._index,
            name.split(b"\0")[0].decode(),
            (capability[0], capability[1]),
            total,
            free,
            f"{version // 1000}.{version % 1000 // 10}",
            bool(self._call(driver.cuDeviceGetAttribute, kinds.CU_DEVICE_ATTRIBUTE_INTEGRATED, self._device)),
        )

    def allocate(self, size: int) -> int:
        return int(self._call(driver.cuMemAlloc, size))

    def free(self, address: int) -> None:
        with unless_lost():
            self._call(driver.cuMemFree, address)

    def pin(self, size: int) -> Pinned:
        address = int(self._call(driver.cuMemHostAlloc, size, 0))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        return Pinned(array, address)

    def unpin(self, memory: Pinned) -> None:
        with unless_lost():
            self._call(driver.cuMemFreeHost, memory.address)

    def copy_to_device(self, address: int, memory: Pinned, size: int, stream: int) -> None:
        self._call(driver.cuMemcpyHtoDAsync, address, memory.address, size, stream)

    def copy_to_host(self, memory: Pinned, address: int, size: int, stream: int) -> None:
        self._call(driver.cuMemcpyDtoHAsync, memory.address, address, size, stream)

    def create_stream(self) -> int:
        flags = driver.CUstream_flags.CU_STREAM_NON_BLOCKING.value
        return int(self._call(driver.cuStreamCreate, flags))

    def destroy_stream(self, stream: int) -> None:
        with unless_lost():
            self._call(driver.cuStreamDestroy, stream)

    def synchronize(self, stream: int) -> None:
        self._call(driver.cuStreamSynchronize, stream)

    def create_event(self, *, blocking: bool = False) -> int:
        kinds = driver.CUevent_flags
        flags = kinds.CU_EVENT_BLOCKING_SYNC if blocking else kinds.CU_EVENT_DEFAULT
        return int(self._call(driver.cuEventCreate, flags.value))

    def destroy_event(self, event: int) -> None:
        with unless_lost():
            self._call(driver.cuEventDestroy, event)

    def record(self, event: int, stream: int) -> None:
        self._call(driver.cuEventRecord, event, stream)

    def wait(self, event: int) -> None:
        self._call(driver.cuEventSynchronize, event)

    def stream_wait(self, stream: int, event: int) -> None:
        self._call(driver.cuStreamWaitEvent, stream, event, 0)

    def elapsed(self, start: int, end: int) -> float:
        return self._library.elapsed(start, end)

    def begin_capture(self, stream: int) -> None:
        self._library.begin_capture(stream)

    def end_capture(self, stream: int) -> int:
        return self._library.end_capture(stream)

    def launch(self, graph: int, stream: int) -> None:
        self._library.launch(graph, stream)

    def destroy_graph(self, graph: int) -> None:
        with unless_lost():
            self._library.destroy_graph(graph)


def _unusable(error: RuntimeError) -> CapabilityError:
    said = first_line(error)
    if "Function" in said:
        return CapabilityError(
            f"cuda-bindings is newer than the driver ({said})",
            "pip install 'cuda-bindings<13', or install a newer driver",
        )
    return CapabilityError(f"there is no CUDA driver ({said})", "install NVIDIA's driver")
