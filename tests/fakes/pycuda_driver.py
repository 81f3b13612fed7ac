"""A stand-in for ``pycuda.driver`` with PyCUDA's rules about contexts, and for the driver's library beside it.

It follows the sources of PyCUDA 2026.1 (``src/cpp/cuda.hpp``, ``src/wrapper/wrap_cudadrv.cpp``), whose names are in
``tests/golden/pycuda.json``. PyCUDA keeps a stack of contexts per thread, beside the driver's: a push goes to both, and
a pop takes from both. What creates something needs a context on the calling thread's stack. What is freed while its
context is not on top is freed within a push in the thread that retained the context, and leaked with a warning in any
other. Freeing twice is an error. The process is aborted when a thread ends, or the process, with a context on its
stack, and when something is collected whose context is lost, since no context can be pushed then; a primary context
that is collected is detached, which fails. That end is :meth:`FakePycuda.check`.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np

from edge_harmony.backends.tensorrt.cuda.api import CudaError


class FakePycuda:
    """One or more Orins.

    Attributes:
        calls: what was asked for.
        fail: what the next calls raise.
        is_lost: whether an error has ended the contexts.
        faults: warnings and ends of the process for which C++ destructors are the cause.
        leaked: kinds of what could not be freed.
        stacks: PyCUDA's contexts by thread, the current one last.
        current: the driver's contexts of the calling thread, as the handles of :class:`FakeLibrary`.
    """

    def __init__(self, devices: int = 1) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fail: Exception | None = None
        self.is_lost = False
        self.faults: list[str] = []
        self.leaked: list[str] = []
        self.stacks: dict[int, list[_Context]] = {}
        self._local = threading.local()
        self.Error = type("Error", (Exception,), {})
        self.MemoryError = type("MemoryError", (self.Error,), {})
        self.LogicError = type("LogicError", (self.Error,), {})
        self.event_flags = SimpleNamespace(DEFAULT=0, BLOCKING_SYNC=1)
        self.device_attribute = SimpleNamespace(INTEGRATED="INTEGRATED")
        self.Context = SimpleNamespace(pop=self._pop)
        outer = self

        class Device:
            def __init__(self, index: int) -> None:
                self.index = index

            @staticmethod
            def count() -> int:
                return devices

            def name(self) -> str:
                return "Orin"

            def get_attribute(self, kind: str) -> int:
                return int(kind == "INTEGRATED")

            def compute_capability(self) -> tuple[int, int]:
                return (8, 7)

            def retain_primary_context(self) -> Any:
                return _Context(outer, self.index)

        class Owned:
            """What holds something of a context, as PyCUDA's objects."""

            def __init__(self, kind: str, *arguments: Any) -> None:
                outer._here(kind, *arguments)
                if outer.fail:
                    raise outer.fail
                self.kind, self.context = kind, outer._stack()[-1]
                self.is_held = True

            def _free(self) -> None:
                if not self.is_held:
                    raise outer.LogicError(f"{self.kind}::free failed: invalid resource handle")
                self.is_held = False
                if outer._stack()[-1:] != [self.context] and threading.get_ident() != self.context.thread:
                    outer.leaked.append(self.kind)
                outer.calls.append((f"free {self.kind}",))

            def __del__(self) -> None:
                if getattr(self, "is_held", False):
                    if outer.is_lost:
                        outer.faults.append(f"terminate called after throwing 'pycuda::error' ({self.kind})")
                    self._free()

        class HostAllocation(Owned):
            free = Owned._free

        class Allocation(HostAllocation):
            def __int__(self) -> int:
                return 77

        class Stream(Owned):
            handle = 31

            def __init__(self, flags: int) -> None:
                super().__init__("Stream", flags)

            def synchronize(self) -> None:
                outer._here("Stream.synchronize")

            def wait_for_event(self, event: Any) -> None:
                outer._here("wait_for_event")

        class Event(Owned):
            def __init__(self, flags: int) -> None:
                super().__init__("Event", flags)

            def record(self, stream: Any) -> None:
                outer._here("record")

            def synchronize(self) -> None:
                outer._here("Event.synchronize")

            def time_since(self, other: Any) -> float:
                outer._here("time_since")
                return 1.5

        self.Device, self.Stream, self.Event = Device, Stream, Event
        self.mem_alloc = lambda size: Allocation("memory", size)
        self.pagelocked_empty = lambda size, kind: _Pinned(np.zeros(size, kind), HostAllocation("pinned", size))

    def check(self) -> None:
        """The end of all threads and of the process."""
        left = {thread: stack for thread, stack in self.stacks.items() if stack}
        assert not left, "PyCUDA ERROR: The context stack was not empty upon module cleanup."
        assert self.leaked == []
        assert self.faults == []

    @property
    def current(self) -> list[int]:
        if not hasattr(self._local, "contexts"):
            self._local.contexts = []
        found: list[int] = self._local.contexts
        return found

    def _stack(self) -> list[_Context]:
        return self.stacks.setdefault(threading.get_ident(), [])

    def _pop(self) -> None:
        stack = self._stack()
        if not stack:
            raise self.LogicError("context::pop failed: invalid device context - cannot pop non-current context")
        self.current.pop()
        stack.pop()
        if stack:
            self.current.append(stack[-1].handle)

    def _here(self, *call: Any) -> None:
        if not self._stack():
            raise self.LogicError(f"{call[0]} failed: invalid device context - no currently active context?")
        assert self.current[-1] == self._stack()[-1].handle, "PyCUDA and the driver are at different contexts"
        self.calls.append(call)

    def init(self) -> None:
        self.calls.append(("init",))

    def mem_get_info(self) -> tuple[int, int]:
        self._here("mem_get_info")
        return (5, 8 + self._stack()[-1].device)

    def get_driver_version(self) -> int:
        return 12060

    def memcpy_htod_async(self, address: int, array: Any, stream: Any) -> None:
        self._here("htod", address, array.nbytes, stream.handle)

    def memcpy_dtoh_async(self, array: Any, address: int, stream: Any) -> None:
        self._here("dtoh", address, array.nbytes, stream.handle)


class _Context:
    """A primary context, as it was retained by a thread."""

    def __init__(self, pycuda: FakePycuda, device: int) -> None:
        self._pycuda, self.device, self.handle = pycuda, device, 100 + device
        self.thread = threading.get_ident()

    def __del__(self) -> None:
        self._pycuda.faults.append("a clean-up operation failed: cuCtxDetach failed: invalid device context")

    def push(self) -> None:
        if self._pycuda.is_lost:
            raise self._pycuda.LogicError("cuCtxPushCurrent failed: an illegal memory access was encountered")
        if self._pycuda._stack():
            self._pycuda.current.pop()
        self._pycuda.current.append(self.handle)
        self._pycuda._stack().append(self)


class _Pinned:
    """An array whose base can be freed, as PyCUDA's page-locked arrays."""

    def __init__(self, array: Any, base: Any) -> None:
        self._array, self.base, self.ctypes = array, base, array.ctypes

    def __getitem__(self, index: Any) -> Any:
        return self._array[index]


class FakeLibrary:
    """The driver's library, as far as PyCUDA's implementation calls it itself."""

    def __init__(self, pycuda: FakePycuda) -> None:
        self.pycuda = pycuda

    def primary_context(self, index: int) -> int:
        return 100 + index

    def make_current(self, context: int) -> None:
        self.pycuda.current[-1:] = [context]

    def begin_capture(self, stream: int) -> None:
        self._note("begin_capture", stream)

    def end_capture(self, stream: int) -> int:
        self._note("end_capture", stream)
        return 55

    def launch(self, graph: int, stream: int) -> None:
        self._note("launch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        self._note("destroy_graph", graph)

    def _note(self, *call: Any) -> None:
        if not self.pycuda.current:
            raise CudaError(call[0], "CUDA_ERROR_INVALID_CONTEXT", "invalid device context")
        self.pycuda.calls.append(call)
