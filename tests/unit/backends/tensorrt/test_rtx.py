"""TensorRT for RTX: what it does not have, the kernels that it compiles, and the real builder where it is installed."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from edge_harmony.backends.tensorrt.bridge import find_tensorrt
from edge_harmony.backends.tensorrt.builder import build_plan
from edge_harmony.backends.tensorrt.cuda.find import find_cuda
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.logger import Log
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.errors import CapabilityError
from edge_harmony.extras import is_installed
from edge_harmony.files.resources import cache_folder
from tests.fakes.tensorrt import fake_tensorrt

INPUTS = {"composite": np.zeros((1, 3, 4, 4), np.float32), "mask": np.ones((1, 1, 4, 4), np.float32)}
REFUSED = [
    ({"version_compatible": True}, "--versionCompatible is not for tensorrt-rtx"),
    ({"hardware_compatibility": "ampere+"}, "--hardwareCompatibilityLevel is not for tensorrt-rtx"),
    ({"hardware_compatibility": "sameComputeCapability"}, "--hardwareCompatibilityLevel is not for tensorrt-rtx"),
]


@pytest.fixture(scope="module")
def real():
    if not is_installed("tensorrt_rtx"):
        pytest.skip("TensorRT for RTX is not installed")
    return find_tensorrt("tensorrt-rtx")


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_compatible_engines_are_refused(options, said, world, onnx_file):
    with pytest.raises(CapabilityError, match=said):
        build_plan(fake_tensorrt("rtx-1.7", world), onnx_file, BuildOptions(**options))
    assert world.builds == 0


@pytest.mark.parametrize("options", [{"refit": True}, {"strip_weights": True, "refit": True}])
def test_a_build_that_lacks_a_gpu_is_not_blamed_on_the_file(options, world, onnx_file):
    world.gpu = False
    with pytest.raises(CapabilityError, match="it needs an NVIDIA GPU and its driver"):
        build_plan(fake_tensorrt("rtx-1.7", world), onnx_file, BuildOptions(**options))


def run_once(world, folder):
    """An engine for RTX as one process loads, runs and closes it."""
    (folder / "x.plan").write_text('{"stripped": false}')
    engine = Engine(fake_tensorrt("rtx-1.7", world), world.cuda, folder / "x.plan", BuildOptions())
    kernels = engine.kernels
    with closing(engine), closing(engine.context()) as context:
        assert np.array_equal(context.run(INPUTS)["transform"], np.ones((1, 3, 4, 4), np.float32))
    return kernels


def test_compiled_kernels_are_kept_from_run_to_run(world, tmp_path):
    kernels = run_once(world, tmp_path)
    assert kernels.path.parent == cache_folder() / "engines"
    assert kernels.config.cuda_graph_strategy.name == "WHOLE_GRAPH_CAPTURE"
    run_once(world, tmp_path)
    assert world.compiled == 1
    kernels.path.write_bytes(b"of another GPU")
    run_once(world, tmp_path)
    assert world.compiled == 2
    assert kernels.path.read_bytes() == b"1."


def test_kernels_that_cannot_be_kept_are_no_error(world, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path / "file"))
    run_once(world, tmp_path)
    run_once(world, tmp_path)
    assert world.compiled == 2


def test_rtx_captures_its_graphs_itself(world, tmp_path):
    (tmp_path / "x.plan").write_text('{"stripped": false}')
    engine = Engine(fake_tensorrt("rtx-1.7", world), world.cuda, tmp_path / "x.plan", BuildOptions())
    with closing(engine), closing(engine.context()) as context:
        context.capture()
        context.run(INPUTS)
    assert world.cuda.launched == 0


# --- the real builder


def test_the_real_builder_takes_a_file_and_reports_progress(real, onnx_file):
    shares = []
    options = BuildOptions(architectures=("SM89",))
    built = build_plan(real, onnx_file, options, report=lambda share, phase: shares.append(share))
    assert built.plan[:4] == b"vtrt"
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_ctrl_c_stops_the_real_builder(real, onnx_file):
    def report(share, phase):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_plan(real, onnx_file, BuildOptions(architectures=("SM89",)), report=report)
    assert build_plan(real, onnx_file, BuildOptions(architectures=("SM89",))).plan


def test_the_real_logger_is_one_for_all_builds(real, onnx_file, tmp_path):
    for name in ("first", "second"):
        with closing(Log(real, tmp_path / name)) as log:
            build_plan(real, onnx_file, BuildOptions(architectures=("SM89",)), log=log)
        assert "[VERBOSE]" in (tmp_path / name).read_text()


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_the_real_builder_is_not_asked_for_compatible_engines(options, said, real, onnx_file):
    with pytest.raises(CapabilityError, match=said):
        build_plan(real, onnx_file, BuildOptions(architectures=("SM89",), **options))


def test_the_real_builder_without_a_gpu_does_not_refit(real, onnx_file):
    try:
        find_cuda()
    except CapabilityError:
        with pytest.raises(CapabilityError, match=r"CUDA_SUCCESS.*it needs an NVIDIA GPU and its driver"):
            build_plan(real, onnx_file, BuildOptions(architectures=("SM89",), refit=True))
    else:
        pytest.skip("there is a GPU here")
