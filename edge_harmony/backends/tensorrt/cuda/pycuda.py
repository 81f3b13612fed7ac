"""CUDA through PyCUDA (https://documen.tician.de/pycuda), where cuda-python is not to be had."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pycuda.driver as driver

from edge_harmony.backends.tensorrt.cuda.api import CudaError, Device, Package, Pinned
from edge_harmony.errors import CapabilityError

_NO_GRAPHS = "PyCUDA captures no graphs"
T = TypeVar("T")


class PyCuda:
    """See :class:`edge_harmony.backends.tensorrt.cuda.api.Cuda`.

    The device's primary context is used, as TensorRT's own calls do. PyCUDA's objects free what they hold when they
    are collected, so they are kept here by their handles.

    Args:
        device: its number.

    Raises:
        CapabilityError: there is no such device, or no driver.
    """

    name: Package = "pycuda"
    has_graphs = False

    def __init__(self, device: int = 0) -> None:
        try:
            driver.init()
            count = driver.Device.count()
        except driver.Error as error:
            raise CapabilityError(
                f"there is no CUDA device ({error})", "use a machine with an NVIDIA GPU and its driver"
            ) from None
        if not 0 <= device < count:
            raise CapabilityError(f"there is no CUDA device {device}", f"choose one of 0 to {count - 1}")
        self._index = device
        self._device: Any = driver.Device(device)
        self._context: Any = self._device.retain_primary_context()
        self._local = threading.local()
        self._kept: dict[int, Any] = {}
        self.activate()

    @staticmethod
    def _call(name: str, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return function(*arguments)
        except driver.MemoryError as error:
            hint = "close what else uses the GPU, or run smaller batches"
            raise CudaError(name, "cudaErrorMemoryAllocation", str(error), hint) from None
        except driver.Error as error:
            raise CudaError(name, type(error).__name__, str(error)) from None

    def activate(self) -> None:
        """See :class:`~edge_harmony.backends.tensorrt.cuda.api.Cuda`; as all methods."""
        if not getattr(self._local, "active", False):
            self._call("cuCtxPushCurrent", self._context.push)
            self._local.active = True

    def device(self) -> Device:
        free, total = self._call("cuMemGetInfo", driver.mem_get_info)
        version = driver.get_driver_version()
        capability = self._device.compute_capability()
        name = f"{version // 1000}.{version % 1000 // 10}"
        return Device(self._index, self._device.name(), tuple(capability), total, free, name)

    def allocate(self, size: int) -> int:
        return self._keep(self._call("cuMemAlloc", driver.mem_alloc, size))

    def free(self, address: int) -> None:
        self._call("cuMemFree", self._kept.pop(address).free)

    def pin(self, size: int) -> Pinned:
        array = self._call("cuMemHostAlloc", driver.pagelocked_empty, size, np.uint8)
        return Pinned(array, int(array.ctypes.data), array)

    def unpin(self, memory: Pinned) -> None:
        self._call("cuMemFreeHost", memory.owner.base.free)

    def copy_to_device(self, address: int, memory: Pinned, size: int, stream: int) -> None:
        queued = self._kept[stream]
        self._call("cuMemcpyHtoDAsync", driver.memcpy_htod_async, address, memory.array[:size], queued)

    def copy_to_host(self, memory: Pinned, address: int, size: int, stream: int) -> None:
        queued = self._kept[stream]
        self._call("cuMemcpyDtoHAsync", driver.memcpy_dtoh_async, memory.array[:size], address, queued)

    def create_stream(self) -> int:
        stream = self._call("cuStreamCreate", driver.Stream, 1)  # CU_STREAM_NON_BLOCKING
        self._kept[stream.handle] = stream
        return int(stream.handle)

    def destroy_stream(self, stream: int) -> None:
        del self._kept[stream]

    def synchronize(self, stream: int) -> None:
        self._call("cuStreamSynchronize", self._kept[stream].synchronize)

    def create_event(self, *, blocking: bool = False) -> int:
        flags = driver.event_flags.BLOCKING_SYNC if blocking else driver.event_flags.DEFAULT
        event = self._call("cuEventCreate", driver.Event, flags)
        self._kept[id(event)] = event
        return id(event)

    def destroy_event(self, event: int) -> None:
        del self._kept[event]

    def record(self, event: int, stream: int) -> None:
        self._call("cuEventRecord", self._kept[event].record, self._kept[stream])

    def wait(self, event: int) -> None:
        self._call("cuEventSynchronize", self._kept[event].synchronize)

    def elapsed(self, start: int, end: int) -> float:
        return float(self._call("cuEventElapsedTime", self._kept[end].time_since, self._kept[start]))

    def begin_capture(self, stream: int) -> None:
        raise CapabilityError(_NO_GRAPHS, "pip install cuda-python, or leave --useCudaGraph out")

    def end_capture(self, stream: int) -> int:
        raise CapabilityError(_NO_GRAPHS, "pip install cuda-python")

    def launch(self, graph: int, stream: int) -> None:
        raise CapabilityError(_NO_GRAPHS, "pip install cuda-python")

    def destroy_graph(self, graph: int) -> None:
        raise CapabilityError(_NO_GRAPHS, "pip install cuda-python")

    def _keep(self, allocation: Any) -> int:
        address = int(allocation)
        self._kept[address] = allocation
        return address
