"""A CUDA stand-in for machines without a GPU: it queues, runs late, counts allocations, and fails on demand.

As CUDA: the current device belongs to a thread, so every call checks that this one was activated there last; while a
stream is captured nothing may be allocated or waited for; an error that ends the context is given by every later call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edge_harmony.backends.tensorrt.cuda.api import CudaError, Device, Pinned, cuda_error

CURRENT = threading.local()


@dataclass
class FakeCuda:
    """One device. Work is queued per stream and done by synchronize; a captured stream records instead.

    Attributes:
        failing: calls that fail with a lack of memory, after so many that succeed.
        lost: text of the error that ended the context; empty while there is none.
        invalid: captured streams whose graph is spoilt.
    """

    name = "cuda-python"
    model: Device = field(default_factory=lambda: Device(0, "Orin", (8, 7), 8 << 30, 4 << 30, "12.6"))
    failing: dict[str, int] = field(default_factory=dict)
    held: dict[int, str] = field(default_factory=dict)
    memory: dict[int, np.ndarray] = field(default_factory=dict)
    pinned: dict[int, np.ndarray] = field(default_factory=dict)
    copied: int = 0
    queues: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    recording: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    graphs: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    recorded: dict[int, set[int]] = field(default_factory=dict)
    clock: float = 0.0
    launched: int = 0
    blocking: list[bool] = field(default_factory=list)
    lost: str = ""
    invalid: set[int] = field(default_factory=set)
    _next: int = 1

    @property
    def is_current(self) -> bool:
        """Whether this device is the current one of the calling thread."""
        return getattr(CURRENT, "cuda", None) is self

    def check_current(self, name: str) -> None:
        """Refuse a call in a thread where this device is not the current one."""
        if not self.is_current:
            raise CudaError(name, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context")

    def _call(self, name: str) -> None:
        self.check_current(name)
        if self.lost:
            raise cuda_error(name, "CUDA_ERROR_LAUNCH_FAILED", self.lost)
        if name in ("allocate", "pin") and self.recording:
            self.invalid |= self.recording.keys()
            raise CudaError(name, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted when stream is capturing")
        if name in self.failing:
            self.failing[name] -= 1
            if self.failing[name] < 0:
                raise CudaError(name, "cudaErrorMemoryAllocation", "out of memory", "close what else uses the GPU")

    def _handle(self, kind: str) -> int:
        self._next += 1
        self.held[self._next] = kind
        return self._next

    def activate(self) -> None:
        CURRENT.cuda = self
        if not self.lost:
            self._call("activate")

    def device(self) -> Device:
        self.activate()
        return self.model

    def _give_back(self, name: str, handle: int) -> None:
        self.check_current(name)
        del self.held[handle]

    def bytes_at(self, address: int) -> np.ndarray:
        """Device memory, or pinned memory of the host, which the device reaches under the same address."""
        return self.memory[address] if address in self.memory else self.pinned[address]

    def allocate(self, size: int) -> int:
        self._call("allocate")
        assert not self.recording, "memory is allocated while a stream is capturing"
        address = self._handle("memory")
        self.memory[address] = np.zeros(size, np.uint8)
        return address

    def free(self, address: int) -> None:
        self._give_back("free", address)
        del self.memory[address]

    def pin(self, size: int) -> Pinned:
        self._call("pin")
        address = self._handle("pinned")
        self.pinned[address] = np.zeros(size, np.uint8)
        return Pinned(self.pinned[address], address)

    def unpin(self, memory: Pinned) -> None:
        self._give_back("unpin", memory.address)
        del self.pinned[memory.address]

    def queue(self, stream: int, work: Callable[[], None]) -> None:
        self.recording.get(stream, self.queues[stream]).append(work)

    def copy_to_device(self, address: int, memory: Pinned, size: int, stream: int) -> None:
        self._call("copy_to_device")
        self.copied += size
        self.queue(stream, lambda: self.memory[address].__setitem__(slice(size), memory.array[:size]))

    def copy_to_host(self, memory: Pinned, address: int, size: int, stream: int) -> None:
        self._call("copy_to_host")
        self.copied += size
        self.queue(stream, lambda: memory.array.__setitem__(slice(size), self.memory[address][:size]))

    def create_stream(self) -> int:
        self._call("create_stream")
        stream = self._handle("stream")
        self.queues[stream] = []
        return stream

    def destroy_stream(self, stream: int) -> None:
        self._give_back("destroy_stream", stream)
        del self.queues[stream]

    def synchronize(self, stream: int) -> None:
        self._call("synchronize")
        if stream in self.recording:
            self.invalid.add(stream)
            raise CudaError("wait", "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not permitted when stream is capturing")
        while self.queues[stream]:
            self.clock += 1.0
            self.queues[stream].pop(0)()

    def create_event(self, *, blocking: bool = False) -> int:
        self._call("create_event")
        self.blocking.append(blocking)
        return self._handle("event")

    def destroy_event(self, event: int) -> None:
        self._give_back("destroy_event", event)

    def record(self, event: int, stream: int) -> None:
        self._call("record")
        for events in self.recorded.values():
            events.discard(event)
        self.recorded.setdefault(stream, set()).add(event)
        self.memory.pop(-event, None)
        self.queue(stream, lambda: self.memory.__setitem__(-event, np.array([self.clock])))

    def stream_wait(self, stream: int, event: int) -> None:
        self._call("stream_wait")
        assert any(event in recorded for recorded in self.recorded.values()), "an event that was not recorded"
        source = next(number for number, recorded in self.recorded.items() if event in recorded)

        def until() -> None:
            while -event not in self.memory:
                self.clock += 1.0
                self.queues[source].pop(0)()

        if source != stream:
            self.queue(stream, until)

    def wait(self, event: int) -> None:
        for stream in self.queues:
            self.synchronize(stream)
        assert -event in self.memory, "waited for an event that was not recorded"

    def elapsed(self, start: int, end: int) -> float:
        return float(self.memory[-end][0] - self.memory[-start][0])

    def begin_capture(self, stream: int) -> None:
        self._call("begin_capture")
        self.recording[stream] = []

    def end_capture(self, stream: int) -> int:
        recorded = self.recording.pop(stream)
        if stream in self.invalid:
            self.invalid.discard(stream)
            raise CudaError(
                "end_capture", "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error"
            )
        self._call("end_capture")
        graph = self._handle("graph")
        self.graphs[graph] = recorded
        return graph

    def launch(self, graph: int, stream: int) -> None:
        self._call("launch")
        self.launched += 1
        self.queues[stream] += self.graphs[graph]

    def destroy_graph(self, graph: int) -> None:
        self._give_back("destroy_graph", graph)
        del self.graphs[graph]
