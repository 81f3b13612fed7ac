"""CUDA through PyCUDA (https://documen.tician.de/pycuda), with graphs from the driver's own library.

PyCUDA keeps a stack of contexts for every thread and aborts the process when a thread ends, or the process, while its
stack is not empty. So the context is pushed before every call of PyCUDA and popped after it. TensorRT knows nothing of
that stack: for its calls :meth:`PyCuda.activate` makes the context current in the driver.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pycuda.driver as driver

from edge_harmony.backends.tensorrt.cuda.api import Device, Package, Pinned, cuda_error, unless_lost
from edge_harmony.backends.tensorrt.cuda.libcuda import DriverLibrary
from edge_harmony.errors import CapabilityError

T = TypeVar("T")


class PyCuda:
    """See :class:`edge_harmony.backends.tensorrt.cuda.api.Cuda`.

    The device's primary context is used, as TensorRT uses it. PyCUDA's objects free what they hold when they are
    collected, so they are kept here by their handles; what is left at the end of the process is freed before CUDA ends.
    After the context is lost they are never collected: PyCUDA would abort the process.

    Args:
        device: its number.

    Raises:
        CapabilityError: there is no such device, or no driver.
    """

    name: Package = "pycuda"

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
        _keep_for_ever(self._context)  # PyCUDA's destructor calls cuCtxDetach, which primary contexts do not have
        self._library = DriverLibrary()
        self._handle = self._library.primary_context(device)
        self._kept: dict[int, Any] = {}
        weakref.finalize(self, _release, self._context, self._kept)
        self.activate()

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            self._context.push()
            try:
                return function(*arguments)
            finally:
                driver.Context.pop()
        except driver.Error as error:
            call, _, said = str(error).partition(" failed: ")  # "cuMemAlloc failed: out of memory"
            kind = "CUDA_ERROR_OUT_OF_MEMORY" if isinstance(error, driver.MemoryError) else type(error).__name__
            raise cuda_error(call, kind, said) from None

    def activate(self) -> None:
        """See :class:`~edge_harmony.backends.tensorrt.cuda.api.Cuda`; as all methods."""
        with unless_lost():
            self._library.make_current(self._handle)

    def device(self) -> Device:
        free, total = self._call(driver.mem_get_info)
        version = driver.get_driver_version()
        capability = self._device.compute_capability()
        name = f"{version // 1000}.{version % 1000 // 10}"
        integrated = bool(self._device.get_attribute(driver.device_attribute.INTEGRATED))
        return Device(self._index, self._device.name(), tuple(capability), total, free, name, integrated)

    def allocate(self, size: int) -> int:
        allocation = self._call(driver.mem_alloc, size)
        address = int(allocation)
        self._kept[address] = allocation
        return address

    def free(self, address: int) -> None:
        with unless_lost():
            self._call(self._kept[address].free)
            del self._kept[address]

    def pin(self, size: int) -> Pinned:
        array = self._call(driver.pagelocked_empty, size, np.uint8)
        address = int(array.ctypes.data)
        self._kept[address] = array.base
        return Pinned(array, address, array)

    def unpin(self, memory: Pinned) -> None:
        with unless_lost():
            self._call(self._kept[memory.address].free)
            del self._kept[memory.address]

    def copy_to_device(self, address: int, memory: Pinned, size: int, stream: int) -> None:
        queued = self._kept[stream]
        self._call(driver.memcpy_htod_async, address, memory.array[:size], queued)

    def copy_to_host(self, memory: Pinned, address: int, size: int, stream: int) -> None:
        queued = self._kept[stream]
        self._call(driver.memcpy_dtoh_async, memory.array[:size], address, queued)

    def create_stream(self) -> int:
        stream = self._call(driver.Stream, 1)  # CU_STREAM_NON_BLOCKING
        self._kept[stream.handle] = stream
        return int(stream.handle)

    def destroy_stream(self, stream: int) -> None:
        with unless_lost():
            self._call(self._kept.__delitem__, stream)

    def synchronize(self, stream: int) -> None:
        self._call(self._kept[stream].synchronize)

    def create_event(self, *, blocking: bool = False) -> int:
        flags = driver.event_flags.BLOCKING_SYNC if blocking else driver.event_flags.DEFAULT
        event = self._call(driver.Event, flags)
        self._kept[id(event)] = event
        return id(event)

    def destroy_event(self, event: int) -> None:
        with unless_lost():
            self._call(self._kept.__delitem__, event)

    def record(self, event: int, stream: int) -> None:
        self._call(self._kept[event].record, self._kept[stream])

    def wait(self, event: int) -> None:
        self._call(self._kept[event].synchronize)

    def stream_wait(self, stream: int, event: int) -> None:
        self._call(self._kept[stream].wait_for_event, self._kept[event])

    def elapsed(self, start: int, end: int) -> float:
        return float(self._call(self._kept[end].time_since, self._kept[start]))

    def begin_capture(self, stream: int) -> None:
        self._library.begin_capture(stream)

    def end_capture(self, stream: int) -> int:
        return self._library.end_capture(stream)

    def launch(self, graph: int, stream: int) -> None:
        self._library.launch(graph, stream)

    def destroy_graph(self, graph: int) -> None:
        with unless_lost():
            self._library.destroy_graph(graph)


def _release(context: Any, kept: dict[int, Any]) -> None:
    """Free PyCUDA's objects with their context pushed: without it they warn and leak."""
    try:
        context.push()
    except driver.Error:  # the context is lost, and its memory with it; destructors of C++ would raise, which aborts
        _keep_for_ever(kept)
        return
    try:
        kept.clear()
    finally:
        driver.Context.pop()


def _keep_for_ever(thing: object) -> None:
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
