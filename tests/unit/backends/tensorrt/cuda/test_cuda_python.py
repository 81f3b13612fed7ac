"""cuda-bindings as they are, on a driver written in C."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytest.importorskip("cuda.bindings.driver")
from cuda.bindings import driver as real_driver

from edge_harmony.backends.tensorrt.cuda import cuda_python
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.errors import CapabilityError
from tests.unit.backends.tensorrt.cuda.making import EVERYTHING, LOST


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
