"""The two CUDA packages behind one interface: the real cuda-bindings on a stand-in driver, and PyCUDA's stand-in."""

from __future__ import annotations

import ast
import gc
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("cuda.bindings.driver")

from cuda.bindings import driver as real_driver

import tests.fakes
from edge_harmony.backends.tensorrt.cuda import cuda_python, find
from edge_harmony.backends.tensorrt.cuda.api import Cuda, CudaError
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.errors import CapabilityError
from tests.fakes.pycuda_driver import FakeLibrary, FakePycuda

METHODS = {name for name, kind in vars(Cuda).items() if inspect.isfunction(kind) and not name.startswith("_")}
SOURCE = Path(tests.fakes.__file__).with_name("libcuda.c")
NAMES = json.loads((Path(tests.fakes.__file__).parents[1] / "golden" / "pycuda.json").read_text())["names"]
"""Names of PyCUDA 2026.1 and the members of its classes, as far as the stand-in has them."""


# --- cuda-bindings as it is, on a driver written in C


@pytest.fixture(scope="session")
def driver_folder(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler for the stand-in driver")
    folder = tmp_path_factory.mktemp("driver")
    target = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", target, SOURCE, "-lpthread"], check=True)
    return folder


@pytest.fixture
def on_driver(driver_folder, tmp_path):
    """Run Python on the stand-in driver; gives what it leaves in ``found``, and what CUDA was not given back."""

    def run(code, **settings):
        report = tmp_path / "left"
        program = (
            "import json, sys, threading\n"
            "import numpy as np\n"
            "from edge_harmony.backends.tensorrt.cuda.find import find_cuda\n"
            "from edge_harmony.errors import EdgeHarmonyError\n"
            "def said(call, *arguments):\n"
            "    try:\n        call(*arguments)\n"
            "    except EdgeHarmonyError as error:\n        return str(error)\n"
            f"{textwrap.dedent(code)}\nprint(json.dumps(found))"
        )
        environment = os.environ | {
            "LD_LIBRARY_PATH": str(driver_folder),
            "FAKE_CUDA_REPORT": str(report),
            **{f"FAKE_CUDA_{name.upper()}": str(value) for name, value in settings.items()},
        }
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), report.read_text()

    return run


EVERYTHING = """
    cuda = find_cuda("cuda-python")
    device = cuda.device()
    stream, address, there, back = cuda.create_stream(), cuda.allocate(16), cuda.pin(16), cuda.pin(16)
    events = [cuda.create_event(), cuda.create_event(blocking=True)]
    there.array[:] = np.arange(16)
    cuda.record(events[0], stream)
    cuda.copy_to_device(address, there, 12, stream)
    cuda.copy_to_host(back, address, 16, stream)
    cuda.record(events[1], stream)
    before = back.array.tolist()
    cuda.wait(events[1])
    found = {"device": [device.name, device.sm, device.memory >> 30, device.free >> 30, device.driver]}
    found["integrated"] = device.integrated
    found |= {"before": before, "copied": back.array.tolist(), "elapsed": cuda.elapsed(*events)}
    cuda.begin_capture(stream)
    cuda.copy_to_device(address, there, 16, stream)
    cuda.copy_to_host(back, address, 16, stream)
    graph = cuda.end_capture(stream)
    there.array[:] = 7
    cuda.launch(graph, stream)
    cuda.synchronize(stream)
    found["launched"] = back.array.tolist()
    cuda.destroy_graph(graph)
    other = cuda.create_stream()
    there.array[:] = 3
    cuda.copy_to_device(address, there, 16, stream)
    cuda.record(events[0], stream)
    cuda.stream_wait(other, events[0])
    cuda.copy_to_host(back, address, 16, other)
    cuda.synchronize(other)
    found["awaited"] = back.array.tolist()
    cuda.destroy_stream(other)
    for event in events:
        cuda.destroy_event(event)
    for memory in (there, back):
        cuda.unpin(memory)
    cuda.free(address)
    cuda.destroy_stream(stream)
"""


@pytest.mark.parametrize(("version", "name"), [(12060, "12.6"), (12080, "12.8"), (13000, "13.0")])
def test_cuda_bindings_run_on_drivers_older_than_they_are(version, name, on_driver):
    found, left = on_driver(EVERYTHING, version=version)
    assert found["device"] == ["Orin 0", "sm87", 8, 4, name]
    assert found["before"] == [0] * 16
    assert found["copied"] == [*range(12), 0, 0, 0, 0]
    assert found["elapsed"] == 3.0  # one tick of the stand-in's clock for each copy, and for the event
    assert found["launched"] == [7] * 16
    assert found["awaited"] == [3] * 16
    assert found["integrated"] is True
    assert left == "0 things left\n"


def test_errors_name_the_call_and_the_way_out(on_driver):
    found, _ = on_driver("""
        cuda = find_cuda("cuda-python")
        found = [said(cuda.allocate, 1 << 40), said(cuda.synchronize, cuda.allocate(1))]
    """)
    assert found[0] == (
        "cuMemAlloc failed: out of memory (CUDA_ERROR_OUT_OF_MEMORY); close what else uses the GPU, or run smaller "
        "batches"
    )
    assert found[1] == "cuStreamSynchronize failed: invalid resource handle (CUDA_ERROR_INVALID_HANDLE)"


LOST = """
    cuda = find_cuda("cuda-python")
    stream, address, pinned = cuda.create_stream(), cuda.allocate(4), cuda.pin(8)
    cuda.copy_to_device(address, pinned, 8, stream)
    found = [said(cuda.synchronize, stream), said(cuda.allocate, 1), said(cuda.free, address)]
    found += [said(cuda.unpin, pinned), said(cuda.destroy_stream, stream)]
"""


def test_after_a_lost_context_giving_back_is_silent_and_all_else_says_why(on_driver):
    found, _ = on_driver(LOST)
    for line in found[:2]:
        assert "an illegal memory access was encountered" in line
        assert line.endswith("no further call can succeed in this process: start it again")
    assert found[2:] == [None] * 3


def test_a_failed_capture_gives_no_graph(on_driver):
    found, left = on_driver("""
        cuda = find_cuda("cuda-python")
        stream = cuda.create_stream()
        cuda.begin_capture(stream)
        found = [said(cuda.allocate, 1), said(cuda.end_capture, stream)]
        cuda.synchronize(stream)
        cuda.destroy_stream(stream)
    """)
    assert "operation not permitted when stream is capturing" in found[0]
    assert "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED" in found[1]
    assert left == "0 things left\n"


def test_two_gpus_take_turns_in_one_thread_and_in_others(on_driver):
    found, left = on_driver(
        """
        one, two = find_cuda(device=0), find_cuda(device=1)
        found = [cuda.device().memory >> 30 for cuda in (one, two, one)]
        def work(cuda):
            cuda.activate()
            stream = cuda.create_stream()
            cuda.synchronize(stream)
            cuda.destroy_stream(stream)
        for cuda in (one, two, one, two):
            work(cuda)
            thread = threading.Thread(target=work, args=(cuda,))
            thread.start()
            thread.join()
        one.activate()
        stream = one.create_stream()
        two.activate()
        found.append(said(one.synchronize, stream))
        one.activate()
        one.destroy_stream(stream)
    """,
        devices=2,
    )
    assert found[:3] == [8, 9, 8]
    assert "invalid resource handle" in found[3]
    assert left == "0 things left\n"


def test_a_machine_without_a_gpu_or_such_a_gpu(on_driver):
    found, _ = on_driver("found = said(find_cuda, 'cuda-python')", devices=0)
    assert found.startswith("there is no CUDA device (cuInit failed: no CUDA-capable device is detected")
    found, _ = on_driver("found = said(find_cuda, 'cuda-python', 3)")
    assert found == "there is no CUDA device 3; choose one of 0 to 0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('Function "cuInit" not found', "cuda-bindings is newer than the driver .*pip install 'cuda-bindings<13'"),
        ("Failed to dlopen libcuda.so.1", "there is no CUDA driver .*; install NVIDIA's driver"),
    ],
)
def test_what_cuda_bindings_raise_without_a_fitting_driver_is_one_line(words, said, monkeypatch):
    def fail(flags):
        raise RuntimeError(f"{words}\nand more")

    monkeypatch.setattr(cuda_python.driver, "cuInit", fail)
    with pytest.raises(CapabilityError, match=said):
        find_cuda("cuda-python")


def test_every_name_of_cuda_bindings_is_there():
    tree = ast.parse(Path(cuda_python.__file__).read_text())
    names = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "driver"
    }
    assert len(names) > 25
    assert [name for name in sorted(names) if not hasattr(real_driver, name)] == []


def test_the_drivers_library_gives_the_context_that_cuda_bindings_use(on_driver):
    found, _ = on_driver(
        """
        from edge_harmony.backends.tensorrt.cuda.libcuda import DriverLibrary
        first, second = find_cuda("cuda-python"), find_cuda("cuda-python", 1)
        library = DriverLibrary()
        found = []
        for index, cuda in enumerate((first, second)):
            cuda.activate()
            stream = cuda.create_stream()
            library.make_current(library.primary_context(1 - index))
            found.append(said(cuda.synchronize, stream))
            library.make_current(library.primary_context(index))
            cuda.synchronize(stream)
            cuda.destroy_stream(stream)
        """,
        devices=2,
    )
    assert all("invalid resource handle" in line for line in found)


# --- PyCUDA


@pytest.fixture
def pycuda(monkeypatch):
    """PyCUDA alone is installed; at the end of the test its process ends."""
    fake = FakePycuda(devices=2)
    package, module = ModuleType("pycuda"), ModuleType("pycuda.driver")
    for name in [n for n in dir(fake) if not n.startswith("_")]:
        setattr(module, name, getattr(fake, name))
    package.driver = module
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", module)
    monkeypatch.delitem(sys.modules, "edge_harmony.backends.tensorrt.cuda.pycuda", raising=False)
    monkeypatch.setattr(find, "is_installed", lambda name: name.startswith("pycuda"))
    ours = importlib.import_module("edge_harmony.backends.tensorrt.cuda.pycuda")
    monkeypatch.setattr(ours, "DriverLibrary", lambda: FakeLibrary(fake))
    yield fake
    gc.collect()
    fake.check()


def exercise(cuda):
    """Everything once, as a context does it."""
    cuda.activate()
    device = cuda.device()
    assert (device.name, device.sm, device.free, device.driver) == ("Orin", "sm87", 5, "12.6")
    assert device.integrated
    stream, address, pinned = cuda.create_stream(), cuda.allocate(16), cuda.pin(16)
    cuda.copy_to_device(address, pinned, 12, stream)
    cuda.copy_to_host(pinned, address, 8, stream)
    events = [cuda.create_event(), cuda.create_event(blocking=True)]
    for event in events:
        cuda.record(event, stream)
    cuda.stream_wait(stream, events[1])
    cuda.wait(events[1])
    cuda.synchronize(stream)
    assert cuda.elapsed(*events) == 1.5
    cuda.begin_capture(stream)
    graph = cuda.end_capture(stream)
    cuda.launch(graph, stream)
    cuda.destroy_graph(graph)
    for event in events:
        cuda.destroy_event(event)
    cuda.unpin(pinned)
    cuda.free(address)
    cuda.destroy_stream(stream)


def test_pycuda_calls_what_it_should(pycuda):
    cuda = find_cuda()
    assert cuda.name == "pycuda"
    exercise(cuda)
    for call in (("htod", 77, 12, 31), ("dtoh", 77, 8, 31), ("begin_capture", 31), ("launch", 55, 31)):
        assert call in pycuda.calls
    assert [c[1] for c in pycuda.calls if c[0] == "Event"] == [0, 1]
    freed = sorted(c[0] for c in pycuda.calls if c[0].startswith("free "))
    assert freed == ["free Event", "free Event", "free Stream", "free memory", "free pinned"]


def test_no_thread_ends_with_a_context_on_pycudas_stack(pycuda):
    one, two = find_cuda(device=0), find_cuda(device=1)
    failures = []

    def work(cuda):
        try:
            exercise(cuda)
        except Exception as error:
            failures.append(error)

    for cuda in (one, two):
        thread = threading.Thread(target=work, args=(cuda,))
        thread.start()
        thread.join()
        work(cuda)
        pycuda.check()
    assert failures == []


def test_what_is_left_is_freed_with_its_context_pushed_even_from_another_thread(pycuda):
    cuda = find_cuda("pycuda")
    stream, address = cuda.create_stream(), cuda.allocate(4)
    for call, handle in ((cuda.free, address), (cuda.destroy_stream, stream)):
        thread = threading.Thread(target=call, args=(handle,))
        thread.start()
        thread.join()
    cuda.create_event()
    del cuda, call, thread
    gc.collect()
    assert pycuda.calls[-1] == ("free Event",)


def test_pycuda_follows_the_gpu_that_was_activated_last(pycuda):
    one, two = find_cuda(device=0), find_cuda(device=1)
    for cuda, current in ((one, 100), (two, 101), (one, 100)):
        cuda.activate()
        assert pycuda.current == [current]
    assert [cuda.device().memory for cuda in (one, two, one)] == [8, 9, 8]


def test_errors_of_pycuda_name_the_call(pycuda):
    cuda = find_cuda("pycuda")
    pycuda.fail = pycuda.MemoryError("cuMemAlloc failed: out of memory")
    with pytest.raises(CudaError, match=r"^cuMemAlloc failed: out of memory .*; close what else uses the GPU"):
        cuda.allocate(1)
    pycuda.fail = pycuda.LogicError("cuStreamCreate failed: an illegal memory access was encountered")
    with pytest.raises(
        CudaError, match=r"^cuStreamCreate failed: an illegal .*; no further call .* start it again"
    ) as error:
        cuda.create_stream()
    assert error.value.is_lost
    with pytest.raises(CapabilityError, match="no CUDA device 9"):
        find_cuda("pycuda", 9)


def test_after_a_lost_context_nothing_of_pycudas_is_collected(pycuda):
    cuda = find_cuda("pycuda")
    stream, address, pinned, event = cuda.create_stream(), cuda.allocate(4), cuda.pin(8), cuda.create_event()
    cuda.create_event()
    pycuda.is_lost = True
    with pytest.raises(CudaError, match=r"cuCtxPushCurrent failed: .* start it again"):
        cuda.synchronize(stream)
    cuda.free(address)
    cuda.unpin(pinned)
    cuda.destroy_event(event)
    cuda.destroy_stream(stream)
    del cuda, pinned
    gc.collect()
    assert not [call for call in pycuda.calls if call[0].startswith("free ")]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_stand_in_has_pycudas_names(name, pycuda):
    stand_in = getattr(pycuda, name)
    members = {member for member in dir(stand_in) if not member.startswith("_")} if NAMES[name] else set()
    assert members <= set(NAMES[name])


def test_every_name_of_pycuda_is_there():
    source = Path(find.__file__).with_name("pycuda.py").read_text()
    used = {tuple(name.split(".")) for name in re.findall(r"\bdriver\.(\w+(?:\.\w+)?)", source)} - {("driver", "API")}
    assert len(used) > 10
    missing = [name for name in used if name[0] not in NAMES or (len(name) > 1 and name[1] not in NAMES[name[0]])]
    assert missing == []


@pytest.mark.skipif(not find.is_installed("pycuda.driver"), reason="PyCUDA is not installed")
def test_the_real_pycuda_does_the_same(on_driver):
    lazily = (
        "\n    import os\n    sys.setdlopenflags(os.RTLD_LAZY)"  # the stand-in lacks some of the driver's functions
    )
    found, left = on_driver(lazily + EVERYTHING.replace("cuda-python", "pycuda"), version=13000)
    assert (found["copied"], found["elapsed"], found["launched"]) == ([*range(12), 0, 0, 0, 0], 3.0, [7] * 16)
    assert left == "0 things left\n"
    lost, _ = on_driver(lazily + LOST.replace("cuda-python", "pycuda"), version=13000)
    assert lost[0].endswith("start it again")
    assert lost[2:] == [None] * 3


# --- the choice


def test_both_have_every_method(pycuda):
    ours = sys.modules["edge_harmony.backends.tensorrt.cuda.pycuda"]
    for kind in (cuda_python.CudaPython, ours.PyCuda):
        for name in METHODS:
            expected = inspect.signature(getattr(Cuda, name)).parameters
            assert list(inspect.signature(getattr(kind, name)).parameters) == list(expected), (kind, name)


def test_pycuda_is_tried_where_cuda_bindings_do_not_reach_the_gpu(pycuda, monkeypatch):
    def fail(flags):
        raise RuntimeError('Function "cuInit" not found')

    monkeypatch.setattr(find, "is_installed", lambda name: True)
    monkeypatch.setattr(cuda_python.driver, "cuInit", fail)
    assert find_cuda().name == "pycuda"
    with pytest.raises(CapabilityError, match="cuda-bindings is newer than the driver"):
        find_cuda("cuda-python")
    with pytest.raises(CapabilityError, match="cuda-bindings is newer than the driver"):
        find_cuda(device=9)


def test_a_package_that_cannot_be_imported_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    monkeypatch.delitem(sys.modules, "edge_harmony.backends.tensorrt.cuda.pycuda", raising=False)
    monkeypatch.setattr(find, "is_installed", lambda name: name.startswith("pycuda"))
    with pytest.raises(CapabilityError, match=r"pycuda is installed and cannot be imported \(.*; install NVIDIA's"):
        find_cuda()


def test_neither_package_is_one_line(monkeypatch):
    monkeypatch.setattr(find, "is_installed", lambda name: False)
    with pytest.raises(CapabilityError, match="cuda-python and pycuda are not installed; pip install"):
        find_cuda()
    with pytest.raises(CapabilityError, match="pycuda is not installed"):
        find_cuda("pycuda")
