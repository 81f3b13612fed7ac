"""Which of the two CUDA packages is taken, and that both have every method of our interface."""

from __future__ import annotations

import inspect
import sys

import pytest

pytest.importorskip("cuda.bindings.driver")
from edge_harmony.backends.tensorrt.cuda import cuda_python, find
from edge_harmony.backends.tensorrt.cuda.api import Cuda
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.errors import CapabilityError

METHODS = {name for name, kind in vars(Cuda).items() if inspect.isfunction(kind) and not name.startswith("_")}


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
