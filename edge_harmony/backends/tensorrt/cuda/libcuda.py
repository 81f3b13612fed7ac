"""The CUDA driver's own library, for what the two packages lack or bind to one version of it.

PyCUDA captures no graphs. cuda-bindings 13 calls ``cuEventElapsedTime_v2``, which drivers before CUDA 12.8 (JetPack 6)
lack; the first form of that call is in all of them.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from edge_harmony.backends.tensorrt.cuda.api import CudaError, cuda_error
from edge_harmony.errors import CapabilityError

_CAPTURE_MODE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL of cuda.h
_NAME = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


class DriverLibrary:
    """``libcuda``, called directly.

    https://docs.nvidia.com/cuda/cuda-driver-api

    Raises:
        CapabilityError: NVIDIA's driver is not installed.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_NAME)
        except OSError as error:
            raise CapabilityError(f"there is no CUDA driver ({error})", "install NVIDIA's driver") from None

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise cuda_error(name, self._text("cuGetErrorName", status), self._text("cuGetErrorString", status))

    def _text(self, function: str, status: int) -> str:
        found = ctypes.c_char_p()
        getattr(self._library, function)(status, ctypes.byref(found))
        return found.value.decode() if found.value else f"status {status}"

    def primary_context(self, index: int) -> int:
        """The primary context of a device, kept for as long as the process lives; PyCUDA 2022 does not show its own."""
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuDeviceGet", ctypes.byref(device), index)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        return int(context.value or 0)

    def make_current(self, context: int) -> None:
        """Make a context the calling thread's current one, in place of the one that was."""
        self._call("cuCtxSetCurrent", ctypes.c_void_p(context))

    def elapsed(self, start: int, end: int) -> float:
        """Milliseconds between two events that have happened."""
        result = ctypes.c_float()
        self._call("cuEventElapsedTime", ctypes.byref(result), ctypes.c_void_p(start), ctypes.c_void_p(end))
        return result.value

    def begin_capture(self, stream: int) -> None:
        """From now on what this thread queues on the stream is recorded, not run."""
        self._call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), _CAPTURE_MODE_THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        """An executable graph of what was recorded.

        Raises:
            CudaError: something was queued that a graph cannot hold, or nothing was.
        """
        graph, made = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        if not graph.value:
            raise CudaError("cuStreamEndCapture", "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "there is no graph")
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(made), graph, ctypes.c_ulonglong(0))
        finally:
            self._call("cuGraphDestroy", graph)
        return int(made.value or 0)

    def launch(self, graph: int, stream: int) -> None:
        """Queue an executable graph."""
        self._call("cuGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))

    def destroy_graph(self, graph: int) -> None:
        """Give an executable graph back."""
        self._call("cuGraphExecDestroy", ctypes.c_void_p(graph))
