"""The two CUDA packages behind one interface, against modules that record what they are asked for."""

from __future__ import annotations

import ast
import ctypes
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from cuda.bindings import runtime as real_runtime

from edge_harmony.backends.tensorrt.cuda import cuda_python, find
from edge_harmony.backends.tensorrt.cuda.api import Cuda, CudaError
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.errors import CapabilityError

METHODS = {name for name, kind in vars(Cuda).items() if inspect.isfunction(kind) and not name.startswith("_")}


class Status:
    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return self.name == other.name

    __hash__ = None


SUCCESS = Status("cudaSuccess")


class FakeRuntime:
    """cuda.bindings.runtime on a machine with one Orin: host memory is real, the rest are numbers."""

    cudaError_t = SimpleNamespace(cudaSuccess=SUCCESS)
    cudaMemcpyKind = real_runtime.cudaMemcpyKind
    cudaStreamCaptureMode = real_runtime.cudaStreamCaptureMode
    cudaHostAllocDefault, cudaStreamNonBlocking = 0, 1
    cudaEventDefault, cudaEventBlockingSync = 0, 1

    def __init__(self):
        self.calls, self.fail, self.kept = [], {}, []

    def __getattr__(self, name):
        assert hasattr(real_runtime, name), f"cuda.bindings.runtime has no {name}"

        def call(*arguments):
            self.calls.append((name, *arguments))
            if name in self.fail:
                return (Status(self.fail[name]), None)
            return (SUCCESS, *self._results(name, arguments))

        call.__name__ = name
        return call

    def _results(self, name, arguments):
        if name == "cudaGetDeviceCount":
            return (1,)
        if name == "cudaGetDeviceProperties":
            return (SimpleNamespace(name=b"Orin\0rubbish", major=8, minor=7),)
        if name == "cudaMemGetInfo":
            return (5, 8)
        if name == "cudaDriverGetVersion":
            return (12060,)
        if name == "cudaGetErrorString":
            return (b"words",)
        if name == "cudaHostAlloc":
            self.kept.append(ctypes.create_string_buffer(arguments[0]))
            return (ctypes.addressof(self.kept[-1]),)
        if name == "cudaEventElapsedTime":
            return (1.5,)
        makes = ("cudaMalloc", "cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaStreamEndCapture")
        return (77,) if name in (*makes, "cudaGraphInstantiate") else ()


@pytest.fixture
def runtime(monkeypatch):
    fake = FakeRuntime()
    monkeypatch.setattr(cuda_python, "cudart", fake)
    return fake


class FakePycuda:
    """pycuda.driver on the same machine."""

    def __init__(self):
        self.calls = []
        self.Error = type("Error", (Exception,), {})
        self.MemoryError = type("MemoryError", (self.Error,), {})
        self.fail = None
        note, outer = self._note, self
        self.event_flags = SimpleNamespace(DEFAULT=0, BLOCKING_SYNC=1)

        class Allocation(int):
            def free(self):
                note("free")

        class Stream:
            def __init__(self, flags):
                note("Stream", flags)
                self.handle = 31

            def synchronize(self):
                note("Stream.synchronize")

        class Event:
            def __init__(self, flags):
                note("Event", flags)

            def record(self, stream):
                note("record")

            def synchronize(self):
                note("Event.synchronize")

            def time_since(self, other):
                return 1.5

        class Device:
            def __init__(self, index): ...

            @staticmethod
            def count():
                return 1

            def name(self):
                return "Orin"

            def compute_capability(self):
                return (8, 7)

            def retain_primary_context(self):
                return SimpleNamespace(push=lambda: note("push"))

        def mem_alloc(size):
            note("mem_alloc", size)
            if outer.fail:
                raise outer.fail
            return Allocation(77)

        self.Stream, self.Event, self.Device, self.mem_alloc = Stream, Event, Device, mem_alloc

    def _note(self, *call):
        self.calls.append(call)

    def init(self):
        self._note("init")

    def mem_get_info(self):
        return (5, 8)

    def get_driver_version(self):
        return 12060

    def pagelocked_empty(self, size, kind):
        class Owned(np.ndarray):
            pass

        holder = SimpleNamespace(free=lambda: self._note("free pinned"))
        array = np.zeros(size, kind).view(Owned)
        return _Pinned(array, holder)

    def memcpy_htod_async(self, address, array, stream):
        self._note("htod", address, array.nbytes, stream.handle)

    def memcpy_dtoh_async(self, array, address, stream):
        self._note("dtoh", address, array.nbytes, stream.handle)


class _Pinned:
    """An array whose base can be freed, as PyCUDA's page-locked arrays."""

    def __init__(self, array, holder):
        self._array, self.base, self.ctypes = array, holder, array.ctypes

    def __getitem__(self, index):
        return self._array[index]


@pytest.fixture
def driver(monkeypatch):
    fake = FakePycuda()
    package, module = ModuleType("pycuda"), ModuleType("pycuda.driver")
    for name in [n for n in dir(fake) if not n.startswith("_")]:
        setattr(module, name, getattr(fake, name))
    package.driver = module
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", module)
    monkeypatch.delitem(sys.modules, "edge_harmony.backends.tensorrt.cuda.pycuda", raising=False)
    monkeypatch.setattr(find, "is_installed", lambda name: name.startswith("pycuda"))
    return fake


def exercise(cuda):
    """Everything but graphs, once."""
    device = cuda.device()
    assert (device.name, device.sm, device.free, device.memory, device.driver) == ("Orin", "sm87", 5, 8, "12.6")
    stream, address, pinned = cuda.create_stream(), cuda.allocate(16), cuda.pin(16)
    cuda.copy_to_device(address, pinned, 12, stream)
    cuda.copy_to_host(pinned, address, 8, stream)
    events = [cuda.create_event(), cuda.create_event(blocking=True)]
    for event in events:
        cuda.record(event, stream)
    cuda.wait(events[1])
    cuda.synchronize(stream)
    assert cuda.elapsed(*events) == 1.5
    for event in events:
        cuda.destroy_event(event)
    cuda.unpin(pinned)
    cuda.free(address)
    cuda.destroy_stream(stream)
    return address, pinned, stream


def test_cuda_python_calls_what_it_should(runtime):
    cuda = find_cuda("cuda-python")
    address, pinned, stream = exercise(cuda)
    calls = runtime.calls
    assert (
        "cudaMemcpyAsync",
        address,
        pinned.address,
        12,
        runtime.cudaMemcpyKind.cudaMemcpyHostToDevice,
        stream,
    ) in calls
    assert (
        "cudaMemcpyAsync",
        pinned.address,
        address,
        8,
        runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost,
        stream,
    ) in calls
    assert [c[1] for c in calls if c[0] == "cudaEventCreateWithFlags"] == [0, 1]
    assert [c[0] for c in calls[-3:]] == ["cudaFreeHost", "cudaFree", "cudaStreamDestroy"]
    cuda.begin_capture(stream)
    graph = cuda.end_capture(stream)
    cuda.launch(graph, stream)
    cuda.destroy_graph(graph)
    assert [c[0] for c in runtime.calls[-6:]] == [
        "cudaStreamBeginCapture",
        "cudaStreamEndCapture",
        "cudaGraphInstantiate",
        "cudaGraphDestroy",
        "cudaGraphLaunch",
        "cudaGraphExecDestroy",
    ]


def test_pinned_memory_is_real_memory(runtime):
    pinned = find_cuda("cuda-python").pin(8)
    pinned.array[:] = 7
    assert runtime.kept[-1].raw == b"\7" * 8


def test_errors_of_cuda_python_name_the_call_and_the_way_out(runtime):
    cuda = find_cuda("cuda-python")
    runtime.fail = {"cudaMalloc": "cudaErrorMemoryAllocation", "cudaStreamSynchronize": "cudaErrorLaunchFailure"}
    with pytest.raises(CudaError, match=r"cudaMalloc failed: words \(cudaErrorMemoryAllocation\); close what else"):
        cuda.allocate(1)
    with pytest.raises(CudaError, match="cudaStreamSynchronize failed") as error:
        cuda.synchronize(1)
    assert error.value.name == "cudaErrorLaunchFailure"


@pytest.mark.parametrize("name", ["cudaErrorNoDevice", "cudaErrorInsufficientDriver"])
def test_no_device_is_a_missing_capability(name, runtime):
    runtime.fail = {"cudaGetDeviceCount": name}
    with pytest.raises(CapabilityError, match="there is no CUDA device"):
        find_cuda("cuda-python")
    runtime.fail = {}
    with pytest.raises(CapabilityError, match="no CUDA device 3; choose one of 0 to 0"):
        find_cuda("cuda-python", 3)


def test_pycuda_calls_what_it_should(driver):
    cuda = find_cuda()
    assert cuda.name == "pycuda"
    exercise(cuda)
    assert ("htod", 77, 12, 31) in driver.calls
    assert ("dtoh", 77, 8, 31) in driver.calls
    assert [c[1] for c in driver.calls if c[0] == "Event"] == [0, 1]
    assert driver.calls.count(("push",)) == 1
    assert ("free pinned",) in driver.calls
    for call in (cuda.begin_capture, cuda.end_capture, cuda.destroy_graph):
        with pytest.raises(CapabilityError, match="PyCUDA captures no graphs"):
            call(1)
    with pytest.raises(CapabilityError, match="PyCUDA captures no graphs"):
        cuda.launch(1, 1)


def test_errors_of_pycuda_name_the_call(driver):
    cuda = find_cuda("pycuda")
    driver.fail = driver.MemoryError("out of memory")
    with pytest.raises(CudaError, match="cuMemAlloc failed: out of memory"):
        cuda.allocate(1)
    with pytest.raises(CapabilityError, match="no CUDA device 9"):
        find_cuda("pycuda", 9)


def test_both_have_every_method(runtime, driver):
    pycuda = importlib.import_module("edge_harmony.backends.tensorrt.cuda.pycuda")
    for kind in (cuda_python.CudaPython, pycuda.PyCuda):
        for name in METHODS:
            expected = inspect.signature(getattr(Cuda, name)).parameters
            assert list(inspect.signature(getattr(kind, name)).parameters) == list(expected), (kind, name)


def test_every_name_of_cuda_python_is_there():
    tree = ast.parse(Path(cuda_python.__file__).read_text())
    names = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cudart"
    }
    assert len(names) > 25
    assert [name for name in sorted(names) if not hasattr(real_runtime, name)] == []


def test_neither_package_is_one_line(monkeypatch):
    monkeypatch.setattr(find, "is_installed", lambda name: False)
    with pytest.raises(CapabilityError, match="cuda-python and pycuda are not installed; pip install"):
        find_cuda()
    with pytest.raises(CapabilityError, match="pycuda is not installed"):
        find_cuda("pycuda")
