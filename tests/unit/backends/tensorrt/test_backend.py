"""The backend: builds, loads and runs engines, two batches at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

import edge_harmony.backends.tensorrt.backend as backend_module
from edge_harmony.backends.base import ExportRequest, LoadRequest
from edge_harmony.backends.tensorrt.backend import TensorRTBackend
from edge_harmony.backends.tensorrt.bridge import find_tensorrt
from edge_harmony.errors import CapabilityError, InputError, UsageError
from edge_harmony.extras import install_command
from edge_harmony.files.manifest import read_manifest
from tests.fakes.tensorrt import fake_tensorrt

NOISE = np.random.default_rng(3).random((4, 4, 4, 4), dtype=np.float32)


@pytest.fixture
def patched(world, monkeypatch, tmp_path):
    monkeypatch.setattr(backend_module, "find_tensorrt", lambda distribution=None: fake_tensorrt("10.3", world))
    monkeypatch.setattr(backend_module, "find_cuda", lambda package=None, device=0: world.cuda)
    monkeypatch.setattr(backend_module, "find_runtime", lambda distribution=None: fake_tensorrt("10.3", world))
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path / "home"))
    return world


def test_the_backend_builds_and_runs(patched, edge_weights, tmp_path, monkeypatch):
    backend = TensorRTBackend()
    assert backend.probe().detail == "tensorrt 10.3.0 on Orin (sm87)"
    path = backend.build(ExportRequest("edge-n", "int8"), edge_weights, tmp_path)
    assert path.name == "edge-n-256x256-int8-signed-batch1-sm87-trt103.plan"
    runner = backend.load(LoadRequest("edge-n", "int8", artifact=path).resolved())
    with closing(runner):
        assert (runner.io_spec.output, runner.io_spec.height) == ("affine", 256)
        with pytest.raises(InputError, match="the network takes 256x256, got 4x4"):
            runner.infer(NOISE[:1, :3], NOISE[:1, 3:])
        monkeypatch.setattr(runner, "_check_size", lambda composite, mask: None)  # the stand-in's engine is 4 x 4
        assert np.array_equal(runner.infer(NOISE[:1, :3], NOISE[:1, 3:]), NOISE[:1, :3] + NOISE[:1, 3:])
        runner.synchronize()
    runner.close()
    assert patched.cuda.held == {}
    with pytest.raises(UsageError, match="none are shipped"):
        backend.load(LoadRequest("edge-n", "int8"))
    with pytest.raises(UsageError, match="weights"):
        backend.load(LoadRequest("edge-n", "int8", weights=edge_weights))
    with pytest.raises(CapabilityError, match="cpu"):
        backend.load(LoadRequest("edge-n", "int8", artifact=path, device="cpu"))


def test_an_engine_that_was_exported_before_is_taken_from_the_cache(patched, onnx_file, tmp_path):
    paths = [
        TensorRTBackend().build(ExportRequest("edge-n", "int8"), onnx_file, tmp_path / name) for name in ("a", "b")
    ]
    assert patched.builds == 1
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert read_manifest(paths[0]) == read_manifest(paths[1])


def test_two_batches_are_on_their_way_and_a_third_waits(patched, onnx_file, tmp_path, monkeypatch):
    path = TensorRTBackend().build(ExportRequest("edge-n", "int8"), onnx_file, tmp_path)
    runner = TensorRTBackend().load(LoadRequest("edge-n", "int8", artifact=path).resolved())
    monkeypatch.setattr(runner, "_check_size", lambda composite, mask: None)
    dice = np.random.default_rng(5)
    batches = [(dice.random((1, 3, 4, 4), np.float32), dice.random((1, 1, 4, 4), np.float32)) for _ in range(40)]
    with closing(runner):
        first, second = (runner.submit(*batch) for batch in batches[:2])
        third = threading.Thread(target=lambda: waited.append(runner.infer(*batches[2])))
        waited = []
        third.start()
        third.join(0.2)
        assert third.is_alive()
        np.testing.assert_array_equal(first(), sum(batches[0]))
        third.join()
        np.testing.assert_array_equal(waited[0], sum(batches[2]))
        np.testing.assert_array_equal(second(), sum(batches[1]))
        with ThreadPoolExecutor(4) as pool:
            for batch, result in zip(batches, pool.map(lambda batch: runner.infer(*batch), batches), strict=True):
                np.testing.assert_array_equal(result, sum(batch))
        with pytest.raises(InputError):
            runner.submit(NOISE[:1, :3, :2], NOISE[:1, 3:, :2])
        runner.submit(*batches[0])()
        runner.submit(*batches[1])()  # what failed left its place
    assert patched.cuda.held == {}


def test_a_missing_tensorrt_is_one_line():
    probe = TensorRTBackend().probe()
    assert not probe.available
    assert install_command("tensorrt") in probe.fix
    with pytest.raises(CapabilityError, match="tensorrt is not installed"):
        find_tensorrt("tensorrt")
