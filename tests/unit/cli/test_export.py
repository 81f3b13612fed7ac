"""``edge-harmony export`` where an engine can be built, and where only the ONNX file can be written."""

from __future__ import annotations

import json

import pytest

import edge_harmony.backends.tensorrt.backend as backend_module
import edge_harmony.backends.tensorrt.engines as engines_module
from edge_harmony.backends.targets import read_target
from edge_harmony.backends.tensorrt.backend import TensorRTBackend
from edge_harmony.backends.tensorrt.cuda.api import CudaError
from edge_harmony.cli.main import main
from edge_harmony.errors import CapabilityError
from edge_harmony.files.manifest import read_manifest
from edge_harmony.models.registry import build_model
from tests.fakes.tensorrt import World, fake_tensorrt

JETSON = "jetson-orin-nano-int8"


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr(backend_module, "find_tensorrt", lambda distribution=None: fake_tensorrt("10.3", world))
    monkeypatch.setattr(backend_module, "find_cuda", lambda package=None, device=0: world.cuda)
    return world


@pytest.mark.parametrize(
    ("target", "more", "flags"),
    [
        (JETSON, [], ""),
        (JETSON, ["--whole-pipeline"], " --minShapes=picture:256x256x3,mask:256x256 --optShapes="),
        ("rtx-int8", [], " --computeCapabilities=SM86,SM89,SM120"),
    ],
)
def test_without_tensorrt_the_file_is_written_and_the_way_on_is_named(
    target, more, flags, edge_weights, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("edge_harmony.backends.tensorrt.bridge.is_installed", lambda name: False)
    arguments = ["export", "edge-n", "--weights", edge_weights, "--target", target, "-o", tmp_path, *more]
    assert main([*map(str, arguments)]) == 0
    said, noted = capsys.readouterr()
    name = f"edge-n-256x256-int8{'-whole-signed' if more else '-signed-batch1'}"
    assert read_manifest(tmp_path / f"{name}.onnx").flavour == "signed"
    first, second = said.splitlines()
    assert f"{name}.onnx (" in first
    assert "KiB) written; tensorrt" in first
    assert "is not installed" in first
    command = f"edge-harmony build {name}.onnx{flags}"
    assert second.startswith(f"copy it and its .json to the device, and there: {command}")
    assert second.endswith(f" --saveEngine={name}.plan")
    assert "error" not in noted
    assert main([*map(str, arguments), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["artifact"].endswith(".onnx")
    assert report["remaining"]["fix"] in second


def test_a_driver_that_fails_is_named_and_the_file_is_written(world, edge_weights, tmp_path, capsys, monkeypatch):
    def refused(package=None, device=0):
        raise CudaError("cudaGetDeviceCount", "cudaErrorUnknown", "unknown error")

    monkeypatch.setattr(backend_module, "find_cuda", refused)
    arguments = ["export", "edge-n", "--weights", edge_weights, "--target", JETSON, "-o", tmp_path]
    assert main([*map(str, arguments)]) == 0
    assert "written; cudaGetDeviceCount failed: unknown error" in capsys.readouterr().out


def missing(distribution=None):
    raise CapabilityError("tensorrt is not installed")


def test_the_command_that_export_names_builds_the_engine(world, edge_weights, tmp_path, capsys, monkeypatch):
    request = read_target(JETSON).request("edge-n")
    with monkeypatch.context() as workstation:
        workstation.setattr(backend_module, "find_tensorrt", missing)
        made = TensorRTBackend().build(request, edge_weights, tmp_path)
        left = TensorRTBackend().remaining(request, made)
    monkeypatch.setattr(engines_module, "find_tensorrt", lambda distribution=None: fake_tensorrt("10.3", world))
    monkeypatch.setattr(engines_module, "find_cuda", lambda package=None, device=0: world.cuda)
    monkeypatch.chdir(tmp_path)
    assert main([*left.fix.split()[1:], "--skipInference"]) == 0, capsys.readouterr().err
    assert read_manifest(tmp_path / left.makes).engine["sm"] == ["sm87"]
    assert TensorRTBackend().remaining(request, tmp_path / left.makes) is None


IMPOSSIBLE = {
    "a network that paints": (
        "rcl",
        "cpu-onnxruntime-fp32",
        True,
        3,
        "networks that return rgb have no whole pipeline",
    ),
    "one that ships": ("hdnet-lite", "iphone-fp16", True, 3, "networks that return rgb have no whole pipeline"),
    "several working sizes": ("edge-n", "iphone-sizes-int8", True, 2, "a whole pipeline has one working size"),
    "weights without ranges": ("hdnet-lite", "iphone-int8", False, 1, "have no activation ranges"),
    "no weights": ("fmm", "cuda-fp16", False, 2, "no weights of fmm are shipped"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_plan_ends_where_the_export_would(name, tmp_path, capsys):
    pytest.importorskip("coremltools")
    model, target, whole, status, said = IMPOSSIBLE[name]
    call = ["export", model, "--target", target, "-o", str(tmp_path / "out"), *(["--whole-pipeline"] if whole else [])]
    if model == "rcl":  # which ships without weights
        from edge_harmony.models.weights_file import save_weights

        save_weights(tmp_path / "rcl.safetensors", build_model("rcl", width=4), name="rcl", options={"width": 4})
        call += ["--weights", str(tmp_path / "rcl.safetensors")]
    errors = []
    for more in ([], ["--dry-run"]):
        assert main([*call, *more]) == status
        errors.append(" ".join(capsys.readouterr().err.split()))
    assert errors[0] == errors[1]
    assert said in errors[0]
    assert not (tmp_path / "out").exists()


def test_a_plan_looks_at_the_layers_that_stay_float(tmp_path, capsys):
    call = ["export", "edge-n", "--target", "cpu-onnxruntime-int8", "-o", str(tmp_path), "--keep-float", "none-such"]
    assert main([*call, "--dry-run"]) == 2
    assert "none-such" in capsys.readouterr().err


def test_the_next_step_is_of_this_network(tmp_path, capsys):
    for model, more in (("edge-n", " --model edge-n"), ("edge-s", "")):
        assert main(["export", model, "--target", "iphone-fp16", "-o", str(tmp_path), "--dry-run", "--json"]) == 0
        command = json.loads(capsys.readouterr().out)["then"]["command"]
        assert command == f"edge-harmony selftest --target iphone-fp16{more}"
