"""PyCUDA behind our interface: its stand-in, and where it is installed the real one."""

from __future__ import annotations

import gc
import json
import re
import threading
from pathlib import Path

import pytest

import tests.fakes
from edge_harmony.backends.tensorrt.cuda import find
from edge_harmony.backends.tensorrt.cuda.api import CudaError
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.errors import CapabilityError
from tests.unit.backends.tensorrt.cuda.making import EVERYTHING, LOST

NAMES = json.loads((Path(tests.fakes.__file__).parents[1] / "golden" / "pycuda.json").read_text())["names"]
"""Names of PyCUDA 2026.1 and the members of its classes, as far as the stand-in has them."""


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
