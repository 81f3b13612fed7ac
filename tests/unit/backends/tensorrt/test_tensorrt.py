"""Building and keeping engines, and the backend: control flow against fakes of every version."""

from __future__ import annotations

import multiprocessing
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import edge_harmony.backends.tensorrt.backend as backend_module
from edge_harmony.backends.base import ExportRequest, LoadRequest
from edge_harmony.backends.tensorrt.backend import TensorRTBackend
from edge_harmony.backends.tensorrt.bridge import find_tensorrt
from edge_harmony.backends.tensorrt.builder import build_plan
from edge_harmony.backends.tensorrt.calibration import CalibrationRequest
from edge_harmony.backends.tensorrt.cuda.api import CudaError, Device
from edge_harmony.backends.tensorrt.engines import check_file, make_engine
from edge_harmony.backends.tensorrt.logger import Log
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile
from edge_harmony.backends.tensorrt.plan import cached, check_plan, facts_of, write_plan
from edge_harmony.backends.tensorrt.progress import Phases
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.errors import ArtifactError, CapabilityError, EdgeHarmonyError, InputError, UsageError
from edge_harmony.extras import install_command
from edge_harmony.files.manifest import manifest_path, read_manifest
from tests.fakes.cuda import FakeCuda
from tests.fakes.tensorrt import VERSIONS, fake_tensorrt

WEAK = ("8.6", "10.3", "10.13", "10.16")
STRONG = ("10.3", "10.13", "10.16", "11.4", "rtx-1.7")
NOISE = np.random.default_rng(3).random((4, 4, 4, 4), dtype=np.float32)


def open_profile():
    shapes = [{"composite": (n, 3, 4, 4), "mask": (n, 1, 4, 4)} for n in (1, 2, 4)]
    return Profile(least=shapes[0], best=shapes[1], largest=shapes[2])


def made(version, world, onnx_file, **options):
    return build_plan(fake_tensorrt(version, world), onnx_file, BuildOptions(**options))


# --- building


@pytest.mark.parametrize("version", VERSIONS)
def test_an_engine_is_built_by_every_version(version, world, onnx_file):
    world.open_batch = True
    phases = []
    options = BuildOptions(
        profile=open_profile(),
        pools={"workspace": 1 << 30},
        optimization_level=3,
        timing_iterations=4,
        tf32=False,
        refit=True,
        verbosity="detailed",
    )
    built = build_plan(
        fake_tensorrt(version, world), onnx_file, options, report=lambda share, name: phases.append((share, name))
    )
    config = world.configs[0]
    assert config["pools"] == {"WORKSPACE": 1 << 30}
    assert "TF32" not in config["flags"]
    assert config["profiles"][0]["mask"] == ((1, 1, 4, 4), (2, 1, 4, 4), (4, 1, 4, 4))
    assert built.warnings == ("a warning",)
    assert built.monitored == (version != "8.6") == bool(phases)
    assert built.strong == (version in STRONG)
    if phases:
        shares = [share for share, _ in phases]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


@pytest.mark.parametrize("version", WEAK)
def test_weak_mode_sets_what_flags_ask_for(version, world, onnx_file):
    assert not made(version, world, onnx_file, precision="best").strong
    assert world.configs[0]["flags"] == {"FP16", "INT8", "TF32"}


def test_without_strong_types_a_typed_file_gets_its_flags(world, onnx_file):
    world.quantized, world.halves = True, True
    assert not made("8.6", world, onnx_file).strong
    assert world.configs[0]["flags"] == {"FP16", "INT8"}
    assert made("10.3", world, onnx_file).strong
    assert world.configs[1]["flags"] == set()


@pytest.mark.parametrize("typed", [False, True])
def test_tf32_is_left_out_of_typed_files_unless_it_is_asked_for(typed, world, onnx_file):
    world.halves = typed
    for asked, expected in ((None, not typed), (True, True), (False, False)):
        made("10.3", world, onnx_file, tf32=asked)
        assert ("TF32" in world.configs[-1]["flags"]) == expected


@pytest.mark.parametrize(
    ("version", "options", "said"),
    [
        ("11.4", {"precision": "fp16"}, "--fp16 is not in tensorrt 11.4.0; it needs TensorRT 8.6 to 10"),
        ("11.4", {"precision": "best"}, "--best is not in"),
        ("11.4", {"strongly_typed": False}, "weak typing is not in"),
        ("8.6", {"strongly_typed": True}, "it needs TensorRT 10.0 or newer"),
        ("8.6", {"strip_weights": True, "refit": True}, "--stripWeights is not in tensorrt 8.6.0"),
        ("10.3", {"hardware_compatibility": "sameComputeCapability"}, "it needs TensorRT 10.8 or newer"),
        ("8.6", {"pools": {"tacticSharedMem": 1}}, "--memPoolSize=tacticSharedMem is not in"),
        (
            "10.16",
            {"architectures": ("SM89",)},
            "--computeCapabilities is not in tensorrt 10.16.0; it needs TensorRT for",
        ),
        ("rtx-1.7", {"architectures": ("SM20",)}, "does not build for SM20"),
        ("10.3", {"dla_core": 3}, "there is no DLA core 3 here"),
    ],
)
def test_what_a_version_lacks_is_refused_by_its_name(version, options, said, world, onnx_file):
    with pytest.raises(EdgeHarmonyError) as error:
        made(version, world, onnx_file, **options)
    assert said in str(error.value)
    assert world.builds == 0


@pytest.mark.parametrize(
    ("version", "fails", "kind", "said"),
    [
        ("8.6", {"parse": ""}, ArtifactError, "node 7: Unsupported operator"),
        ("10.3", {"parse": ""}, ArtifactError, "encoder/conv (Frob): Unsupported operator"),
        ("10.3", {"build": "no kernel for conv"}, ArtifactError, "no kernel for conv"),
        ("10.3", {"build": "Cuda Runtime (out of memory)"}, CapabilityError, "--memPoolSize"),
        ("11.4", {"Builder": "no CUDA-capable device is detected"}, CapabilityError, "no CUDA-capable device"),
        ("8.6", {"OnnxParser": "no memory"}, CapabilityError, "cannot make a parser here (no memory)"),
        ("10.3", {"create_network": ""}, CapabilityError, "cannot make a network here (it gives no reason)"),
    ],
)
@pytest.mark.parametrize("murmurs", [(), ("Skipping tactic 3 due to OutOfMemory",)])
def test_failing_builds_say_why(version, fails, kind, said, murmurs, world, onnx_file):
    world.fails, world.murmurs = fails, murmurs
    with pytest.raises(kind) as error:
        made(version, world, onnx_file)
    assert said in str(error.value)


def test_shapes_that_do_not_fit_are_refused_before_the_build(world, onnx_file):
    world.open_batch = True
    with pytest.raises(UsageError, match="open sizes"):
        made("10.3", world, onnx_file)
    wrong = {"composite": (1, 3, 8, 8), "mask": (1, 1, 4, 4)}
    with pytest.raises(UsageError, match="does not fit the input composite"):
        made("10.3", world, onnx_file, profile=Profile(least=wrong, best=wrong, largest=wrong))
    other = {"picture": (1, 3, 4, 4)}
    with pytest.raises(UsageError, match="no input 'picture'"):
        made("10.3", world, onnx_file, profile=Profile(least=other, best=other, largest=other))
    world.dla = 1
    with pytest.raises(CapabilityError, match="a DLA core takes fixed sizes"):
        made("10.3", world, onnx_file, profile=open_profile(), dla_core=0)
    assert world.builds == 0


def test_timings_travel_from_build_to_build(world, onnx_file, tmp_path):
    tensorrt, cache = fake_tensorrt("10.3", world), tmp_path / "timings"
    for expected in (b"timings", b"timings.", b"timings.."):
        build_plan(tensorrt, onnx_file, BuildOptions(), timing_cache=cache)
        assert cache.read_bytes() == expected
    cache.write_bytes(b"of another version")
    build_plan(tensorrt, onnx_file, BuildOptions(), timing_cache=cache)
    assert cache.read_bytes() == b"timings"


def test_the_verbose_log_goes_to_a_file(world, onnx_file, tmp_path):
    tensorrt = fake_tensorrt("10.3", world)
    with closing(Log(tensorrt, tmp_path / "log")) as log:
        build_plan(tensorrt, onnx_file, BuildOptions(), log=log)
    assert (tmp_path / "log").read_text() == "[WARNING] a warning\n[VERBOSE] much ado\n"
    with pytest.raises(UsageError, match="cannot write"):
        Log(tensorrt, tmp_path / "none" / "log")


@pytest.mark.parametrize("version", WEAK)
@pytest.mark.parametrize("algorithm", ["entropy", "min-max"])
def test_implicit_int8_is_calibrated_on_pictures_and_kept(version, algorithm, world, small_networks, tmp_path):
    pictures = read_calibration_set("samples-24")
    request = CalibrationRequest(pictures, pictures.root(None), algorithm, tmp_path / "cache", world.cuda)
    arguments = (
        fake_tensorrt(version, world),
        small_networks["fp32"],
        BuildOptions(precision="int8"),
        world.cuda.model,
    )
    before = make_engine(*arguments, save=tmp_path / "a.plan", calibration=request)
    assert world.batches == len(pictures.files)
    assert (tmp_path / "cache").read_bytes() == b"ranges"
    after = make_engine(*arguments, save=tmp_path / "b.plan", calibration=request)
    assert world.batches == len(pictures.files)
    assert before.facts.calibration.startswith(algorithm)
    assert read_manifest(before.path).precision == "int8"
    assert after.facts.calibration.startswith("cache ")
    assert world.cuda.held == {}


def test_calibration_frees_its_memory_when_it_fails(world, small_networks, tmp_path):
    pictures = read_calibration_set("samples-24")
    request = CalibrationRequest(pictures, pictures.root(None), "entropy", None, world.cuda)
    world.cuda.failing = {"allocate": 1}
    arguments = (fake_tensorrt("8.6", world), small_networks["fp32"], BuildOptions(precision="int8"), world.cuda.model)
    with pytest.raises(CudaError, match="out of memory"):
        make_engine(*arguments, save=tmp_path / "a.plan", calibration=request)
    assert world.cuda.held == {}
    assert not (tmp_path / "a.plan").exists()


def test_a_bad_calibration_picture_ends_the_build_and_leaves_no_ranges(world, small_networks, tmp_path):
    shipped = read_calibration_set("samples-24")
    root = tmp_path / "pictures"
    shutil.copytree(shipped.root(None), root)
    flat = root / shipped.files[2].composite
    height, width = cv2.imread(str(flat)).shape[:2]
    cv2.imwrite(str(flat), np.full((height, width, 3), 90, np.uint8))
    request = CalibrationRequest(shipped, root, "entropy", tmp_path / "cache", world.cuda)
    arguments = (fake_tensorrt("8.6", world), small_networks["fp32"], BuildOptions(precision="int8"), world.cuda.model)
    with pytest.raises(InputError, match="holds a single colour"):
        make_engine(*arguments, save=tmp_path / "a.plan", calibration=request)
    assert world.batches == 2
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "a.plan").exists()
    assert world.cuda.held == {}


def test_someone_elses_file_is_not_calibrated(world, small_networks, tmp_path):
    model = onnx.load(small_networks["fp32"])
    model.graph.input[0].name = "image"
    for node in model.graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = "image" if name == "composite" else name
    onnx.save(model, tmp_path / "theirs.onnx")
    pictures = read_calibration_set("samples-24")
    request = CalibrationRequest(pictures, pictures.root(None), "entropy", None, world.cuda)
    with pytest.raises(UsageError, match="not a composite and a mask"):
        make_engine(
            fake_tensorrt("8.6", world),
            tmp_path / "theirs.onnx",
            BuildOptions(precision="int8"),
            world.cuda.model,
            save=tmp_path / "a.plan",
            calibration=request,
        )


# --- our own check of the file


def planted(path, folder, change):
    model = onnx.load(path)
    change(model)
    target = folder / "planted.onnx"
    onnx.save(model, target)
    return target


def _zero_scale(model):
    node = next(n for n in model.graph.node if n.op_type == "QuantizeLinear")
    scale = next(i for i in model.graph.initializer if i.name == node.input[1])
    scale.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(scale)), scale.name))


def _zero_point(model):
    node = next(n for n in model.graph.node if n.op_type == "QuantizeLinear")
    point = next(i for i in model.graph.initializer if i.name == node.input[2])
    point.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(point), 3), point.name))


def _axis(model):
    weights = {n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear"}
    for convolution in (n for n in model.graph.node if n.op_type == "Conv"):
        source = weights.get(convolution.input[1])
        shapes = {i.name: list(i.dims) for i in model.graph.initializer}
        if source is not None and shapes.get(source.input[0], [0, 1])[0] == shapes.get(source.input[0], [0, 1])[1]:
            next(a for a in source.attribute if a.name == "axis").i = 1
            return
    raise AssertionError("no square convolution")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_zero_scale, "its scale is not positive and finite"),
        (_zero_point, "its zero point is not 0"),
        (_axis, "the scales of its weights lie along axis 1"),
    ],
)
@pytest.mark.parametrize("source", ["small_networks", "exported"])
def test_what_the_compiler_takes_silently_is_caught_before_the_build(
    source, change, said, world, tmp_path, monkeypatch, request
):
    onnx_file = request.getfixturevalue(source)["signed"]
    tensorrt = fake_tensorrt("10.3", world)
    check_file(onnx_file, tensorrt)
    with pytest.raises(ArtifactError, match=said):
        make_engine(tensorrt, planted(onnx_file, tmp_path, change), BuildOptions(), world.cuda.model)
    monkeypatch.setattr(backend_module, "find_tensorrt", lambda distribution: tensorrt)
    monkeypatch.setattr(backend_module, "find_cuda", lambda: world.cuda)
    with pytest.raises(ArtifactError, match=said):
        TensorRTBackend().build(ExportRequest("edge-n", "int8"), tmp_path / "planted.onnx", tmp_path)
    assert world.builds == 0


def test_a_newer_opset_than_documented_is_noted(world, onnx_file, tmp_path):
    for version in ("8.6", "10.3"):  # the former is given opset 17
        assert check_file(onnx_file, fake_tensorrt(version, world))[1] == ()
    model = onnx.load(onnx_file)
    model.opset_import[0].version = 21
    onnx.save(model, tmp_path / "newer.onnx")
    assert "opset 21 is newer" in check_file(tmp_path / "newer.onnx", fake_tensorrt("10.3", world))[1][0]


# --- the cache and the manifest


def test_the_cache_builds_once_and_notices_changes(world, onnx_file, small_networks, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path))
    tensorrt, device = fake_tensorrt("10.3", world), world.cuda.model
    first = make_engine(tensorrt, onnx_file, BuildOptions(), device)
    again = make_engine(tensorrt, onnx_file, BuildOptions(), device)
    assert (first.built is not None, again.built, world.builds) == (True, None, 1)
    assert check_plan(again.path, tensorrt, device) == again.facts
    first.path.write_bytes(b"half a pl")
    assert make_engine(tensorrt, onnx_file, BuildOptions(), device).built is not None
    others = [
        (tensorrt, onnx_file, BuildOptions(refit=True), device),
        (fake_tensorrt("10.13", world), onnx_file, BuildOptions(), device),
        (tensorrt, small_networks["fp32"], BuildOptions(), device),
        (tensorrt, onnx_file, BuildOptions(), Device(0, "Thor", (11, 0), 1, 1, "13.0")),
    ]
    paths = {make_engine(*arguments).path for arguments in others}
    assert len(paths) == 4
    assert first.path not in paths


def _want(facts, path, folder, gate, queue):
    gate.wait()
    queue.put(str(cached(facts, path, lambda: (folder / "built").open("a").write("x") and b"plan")))


def test_two_processes_build_an_engine_once(world, onnx_file, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path / "home"))
    facts = facts_of(fake_tensorrt("10.3", world), onnx_file, BuildOptions(), world.cuda.model)
    context = multiprocessing.get_context("fork")
    gate, queue = context.Event(), context.Queue()
    workers = [context.Process(target=_want, args=(facts, onnx_file, tmp_path, gate, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    gate.set()
    found = {queue.get(timeout=600) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(found) == 1
    assert (tmp_path / "built").read_text() == "x"


@pytest.mark.parametrize(
    ("version", "device", "said"),
    [
        ("10.13", Device(0, "Orin", (8, 7), 1, 1, "12.6"), "built by 10.3.0, this is 10.13.0"),
        ("10.3", Device(0, "Thor", (11, 0), 1, 1, "13.0"), "built for sm87, this is sm110 (Thor)"),
        ("10.3", Device(0, "Orin Nano", (8, 7), 1, 1, "12.6"), "built on Orin, this is Orin Nano"),
        ("rtx-1.7", Device(0, "Orin", (8, 7), 1, 1, "12.6"), "built by tensorrt, this is tensorrt-rtx"),
    ],
)
def test_engines_of_another_machine_are_refused_with_the_way_out(version, device, said, world, onnx_file, tmp_path):
    path = tmp_path / "a.plan"
    write_plan(
        path, b"plan", facts_of(fake_tensorrt("10.3", world), onnx_file, BuildOptions(), world.cuda.model), onnx_file
    )
    with pytest.raises(ArtifactError) as error:
        check_plan(path, fake_tensorrt(version, world), device)
    assert said in str(error.value)
    assert f"edge-harmony build MODEL.onnx --saveEngine={path}" in str(error.value)


def test_compatible_engines_pass_elsewhere(world, onnx_file, tmp_path):
    options = BuildOptions(version_compatible=True, hardware_compatibility="ampere+")
    facts = facts_of(fake_tensorrt("10.3", world), onnx_file, options, world.cuda.model)
    write_plan(tmp_path / "a.plan", b"plan", facts, onnx_file)
    newer, other = fake_tensorrt("10.16", world), Device(0, "RTX 4090", (8, 9), 1, 1, "12.6")
    assert check_plan(tmp_path / "a.plan", newer, other) == facts
    with pytest.raises(ArtifactError, match="this is sm75"):
        check_plan(tmp_path / "a.plan", newer, Device(0, "T4", (7, 5), 1, 1, "12.6"))


def test_damaged_engines_are_one_clear_error(world, onnx_file, tmp_path):
    path, tensorrt = tmp_path / "a.plan", fake_tensorrt("10.3", world)
    with pytest.raises(UsageError, match="there is no engine"):
        check_plan(path, tensorrt, world.cuda.model)
    write_plan(path, b"plan", facts_of(tensorrt, onnx_file, BuildOptions(), world.cuda.model), onnx_file)
    path.write_bytes(b"pla")
    with pytest.raises(ArtifactError, match="not the file its manifest describes"):
        check_plan(path, tensorrt, world.cuda.model)
    path.write_bytes(b"plan")
    manifest_path(path).write_text("{")
    with pytest.raises(ArtifactError, match="is damaged"):
        check_plan(path, tensorrt, world.cuda.model)
    manifest_path(path).unlink()
    with pytest.raises(ArtifactError, match="has no manifest"):
        check_plan(path, tensorrt, world.cuda.model)


# --- the backend


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


# --- words and numbers


def test_progress_never_goes_back():
    told = []
    phases = Phases(lambda share, name: told.append(share))
    phases.start("Building", 2)
    phases.start("Tactics", 4)
    phases.step("Tactics", 3)
    phases.step("Building", 0)
    phases.finish("Tactics")
    phases.finish("Building")
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize("failing", [{}, {"activate": 0}])
def test_fakes_fail_where_they_are_told(failing):
    cuda = FakeCuda(failing=failing)
    if failing:
        with pytest.raises(CudaError):
            cuda.activate()
    else:
        cuda.activate()
