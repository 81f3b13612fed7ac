"""Engines without weights, and engines that TensorRT's lean runtime loads."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest

import edge_harmony.backends.tensorrt.backend as backend_module
import edge_harmony.backends.tensorrt.bridge as bridge_module
import edge_harmony.backends.tensorrt.engines as engines_module
from edge_harmony.backends.base import LoadRequest
from edge_harmony.backends.tensorrt.backend import TensorRTBackend
from edge_harmony.backends.tensorrt.bridge import find_runtime
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.engines import build_engine, make_engine
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.backends.tensorrt.plan import check_plan, find_weights
from edge_harmony.backends.tensorrt.request import BuildRequest, TimingRequest
from edge_harmony.cli.main import main
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError
from tests.fakes.tensorrt import World, fake_tensorrt, surface
from tests.unit.backends.tensorrt.test_api_names import names_by_annotation, names_by_string

SHORT = TimingRequest(0, 0, 3)
STRIPPED = BuildOptions(strip_weights=True)


@pytest.fixture
def world(monkeypatch, tmp_path):
    world = World()
    for module in (backend_module, engines_module):
        for finder in ("find_tensorrt", "find_runtime"):
            monkeypatch.setattr(module, finder, lambda distribution=None: fake_tensorrt("10.3", world))
        monkeypatch.setattr(module, "find_cuda", lambda package=None, device=0: world.cuda)
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path / "home"))
    return world


@pytest.fixture
def onnx(small_networks, tmp_path):
    for suffix in ("", ".json"):
        source = Path(f"{small_networks['signed']}{suffix}")
        (tmp_path / f"net.onnx{suffix}").write_bytes(source.read_bytes())
    return tmp_path / "net.onnx"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--stripWeights"], {"STRIP_PLAN"}),  # kREFIT_IDENTICAL is TensorRT's default with it (sampleEngines.cpp)
        (["--weightless"], {"STRIP_PLAN"}),
        (["--stripWeights", "--refit"], {"STRIP_PLAN", "REFIT"}),
        (["--stripAllWeights"], {"STRIP_PLAN", "REFIT"}),
        (["--refit"], {"REFIT"}),
    ],
)
def test_weights_are_stripped_as_by_trtexec(flags, expected, world, onnx, tmp_path, capsys):
    assert main(["build", str(onnx), *flags, f"--saveEngine={tmp_path / 'x.plan'}", "--skipInference"]) == 0
    assert world.configs[-1]["flags"] & {"STRIP_PLAN", "REFIT", "REFIT_IDENTICAL"} == expected


def test_a_stripped_engine_is_harmonized_with(world, onnx, tmp_path, monkeypatch):
    path = tmp_path / "x.plan"
    make_engine(fake_tensorrt("10.3", world), onnx, STRIPPED, world.cuda.model, save=path)
    runner = TensorRTBackend().load(LoadRequest("edge-n", "int8", artifact=path).resolved())
    monkeypatch.setattr(runner, "_check_size", lambda composite, mask: None)
    noise = np.random.default_rng(1).random((1, 4, 4, 4), np.float32)
    with runner:
        np.testing.assert_array_equal(runner.infer(noise[:, :3], noise[:, 3:]), noise[:, :3] + noise[:, 3:])
    assert build_engine(BuildRequest(load=path, timing=SHORT)).timing.figures["queries"] == 3


def test_the_file_with_the_weights_is_found_where_it_was_and_beside_the_engine(world, onnx, tmp_path):
    tensorrt, device = fake_tensorrt("10.3", world), world.cuda.model
    cached = make_engine(tensorrt, onnx, STRIPPED, device).path
    facts = check_plan(cached, tensorrt, device)
    assert find_weights(cached, facts) == onnx
    onnx.rename(cached.parent / onnx.name)
    assert find_weights(cached, facts) == cached.parent / onnx.name
    (cached.parent / onnx.name).write_bytes(b"another")
    with pytest.raises(UsageError, match="is not the file that"):
        find_weights(cached, facts)
    (cached.parent / onnx.name).unlink()
    with pytest.raises(UsageError, match=r"net.onnx, which has them, is not there; put net.onnx beside it"):
        find_weights(cached, facts)


def test_where_the_file_lies_does_not_decide_the_engine(world, onnx, tmp_path):
    tensorrt, device = fake_tensorrt("10.3", world), world.cuda.model
    first = make_engine(tensorrt, onnx, STRIPPED, device)
    moved = onnx.rename(tmp_path / "elsewhere.onnx").rename(tmp_path / "net.onnx")
    assert make_engine(tensorrt, moved, STRIPPED, device).path == first.path
    assert world.builds == 1


# --- the lean runtime

FILES = [
    Path(engines_module.__file__).parent / f"{name}.py"
    for name in ("buffers", "context", "engine", "logger", "profiling", "runner", "timing")
]
NOT_LEAN = {"EngineInspector", "LayerInformationFormat", "TensorFormat", "OnnxParserRefitter"}


def lean(world, version="11.4"):
    found = fake_tensorrt(version, world)
    return type(found)(found.module, "tensorrt-lean", found.version)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_loads_and_runs_an_engine_is_in_the_lean_runtime(path):
    names = surface("lean-11.4")
    tree = ast.parse(path.read_text())
    used = {name for _, name in (*names_by_annotation(tree), *names_by_string(tree))}
    missing = []
    for name in used:
        kind, _, member = name.partition(".")
        if kind.islower():  # a word of our own that TensorRT has as an alias
            continue
        is_there = kind in names and (not member or member in names[kind])
        if (
            not is_there
            and kind not in NOT_LEAN
            and name != "ICudaEngine.device_memory_size"
            and "capturable" not in name
        ):
            missing.append(name)
    assert missing == []


def test_the_lean_runtime_loads_what_is_version_compatible(world, onnx, tmp_path):
    tensorrt, device = fake_tensorrt("10.3", world), world.cuda.model
    for name, options in {"vc": BuildOptions(version_compatible=True), "plain": BuildOptions()}.items():
        make_engine(tensorrt, onnx, options, device, save=tmp_path / f"{name}.plan")
    facts = check_plan(tmp_path / "vc.plan", lean(world), device)
    Engine(lean(world), world.cuda, tmp_path / "vc.plan", facts.options).close()
    assert world.runtimes[-1].engine_host_code_allowed
    with pytest.raises(ArtifactError, match="the lean runtime loads what was built with --versionCompatible"):
        check_plan(tmp_path / "plain.plan", lean(world), device)
    with pytest.raises(ArtifactError, match=r"built by 10.3.0, this is 8.6.0, which is older"):
        check_plan(tmp_path / "vc.plan", lean(world, "8.6"), device)


def test_the_lean_runtime_is_taken_where_it_is_all_there_is(monkeypatch):
    taken = []
    monkeypatch.setattr(bridge_module, "_imported", lambda name: taken.append(name))
    for installed, asked, expected in (
        ({"tensorrt_lean"}, "tensorrt", "tensorrt-lean"),
        ({"tensorrt_lean"}, None, "tensorrt-lean"),
        ({"tensorrt_lean", "tensorrt"}, "tensorrt", "tensorrt"),
        ({"tensorrt_lean", "tensorrt_rtx"}, None, "tensorrt-rtx"),
        ({"tensorrt_lean", "tensorrt"}, "tensorrt-lean", "tensorrt-lean"),
    ):
        monkeypatch.setattr(bridge_module, "is_installed", installed.__contains__)
        find_runtime(asked)
        assert taken[-1] == expected
    monkeypatch.setattr(bridge_module, "is_installed", {"tensorrt_lean"}.__contains__)
    with pytest.raises(CapabilityError, match=r"tensorrt-rtx is not installed"):
        find_runtime("tensorrt-rtx")


def test_what_the_lean_runtime_lacks_is_named(world, tmp_path):
    tensorrt = lean(world)
    del tensorrt.module.EngineInspector
    path = tmp_path / "x.plan"
    path.write_bytes(json.dumps({"fake": True, "stripped": False}).encode())
    engine = Engine(tensorrt, world.cuda, path, BuildOptions(version_compatible=True))
    with pytest.raises(CapabilityError, match=r"layers is not in tensorrt-lean 11.4.0; it needs TensorRT itself"):
        engine.information()
    engine.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["net.onnx", "--useRuntime=lean"], "a lean runtime loads engines and builds none"),
        (["net.onnx", "--leanDLLPath=x.so"], "a lean runtime loads engines and builds none"),
        (["--loadEngine=x.plan", "--leanDLLPath=none.so"], "there is no file none.so"),
        (["--loadEngine=x.plan", "--useRuntime=lean", "--distribution=tensorrt-rtx"], "contradicts --distribution"),
    ],
)
def test_lean_runtimes_that_cannot_be_used(arguments, said, world, onnx, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = BuildOptions(version_compatible=True, exclude_lean_runtime=True)
    make_engine(fake_tensorrt("10.3", world), onnx, options, world.cuda.model, save=tmp_path / "x.plan")
    assert main(["build", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_engine_without_a_lean_runtime_is_loaded_with_one_of_its_own(world, onnx, tmp_path):
    options = BuildOptions(version_compatible=True, exclude_lean_runtime=True)
    make_engine(fake_tensorrt("10.3", world), onnx, options, world.cuda.model, save=tmp_path / "x.plan")
    library = tmp_path / "libnvinfer_lean.so.10"
    library.write_bytes(b"")
    build_engine(BuildRequest(load=tmp_path / "x.plan", timing=SHORT, lean_library=library))
    assert world.runtimes[-1].library == str(library)
    world.fails = {"load_runtime": "wrong ELF class"}
    with pytest.raises(ArtifactError, match=r"does not take .*libnvinfer_lean.so.10 \(wrong ELF class\)"):
        build_engine(BuildRequest(load=tmp_path / "x.plan", timing=SHORT, lean_library=library))


def test_the_real_lean_runtime_has_the_names():
    module = pytest.importorskip("tensorrt_lean")
    names = surface("lean-11.4")
    if str(module.__version__).startswith("11.4"):
        for kind, members in names.items():
            assert set(members) <= set(dir(getattr(module, kind))), kind
    assert find_runtime("tensorrt-lean").version >= (8, 6)
