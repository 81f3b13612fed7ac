"""What TensorRT's callbacks raise, its one logger, and its null objects, against stand-ins that behave as it does."""

from __future__ import annotations

import gc
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edge_harmony.backends.tensorrt import bridge
from edge_harmony.backends.tensorrt.builder import build_plan
from edge_harmony.backends.tensorrt.calibration import CalibrationRequest
from edge_harmony.backends.tensorrt.engine import Engine
from edge_harmony.backends.tensorrt.engines import make_engine
from edge_harmony.backends.tensorrt.logger import Log
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile
from edge_harmony.backends.tensorrt.plan import facts_of
from edge_harmony.backends.tensorrt.profiling import LayerTimes, profile
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.errors import ArtifactError, CapabilityError, EdgeHarmonyError
from edge_harmony.files.resources import cache_folder
from tests.fakes.tensorrt import VERSIONS, WEAK, fake_tensorrt

# --- callbacks


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != "8.6"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError, SystemExit])
def test_ctrl_c_in_a_callback_stops_the_build_and_is_raised(version, error, world, onnx_file):
    def report(share, phase):
        raise error

    with pytest.raises(error):
        build_plan(fake_tensorrt(version, world), onnx_file, BuildOptions(), report=report)
    assert world.cancelled == 1
    assert world.swallowed == []


def test_a_build_that_was_stopped_leaves_no_file(world, onnx_file, tmp_path):
    def report(share, phase):
        raise KeyboardInterrupt

    tensorrt, device = fake_tensorrt("10.3", world), world.cuda.model
    for save in (tmp_path / "a.plan", None):
        with pytest.raises(KeyboardInterrupt):
            make_engine(tensorrt, onnx_file, BuildOptions(), device, save=save, report=report)
    assert list(tmp_path.iterdir()) == []
    assert list((cache_folder() / "engines").glob("*.plan")) == []
    assert make_engine(tensorrt, onnx_file, BuildOptions(), device).built is not None


def test_a_log_that_cannot_be_written_ends_the_build(world, onnx_file, tmp_path, monkeypatch):
    tensorrt = fake_tensorrt("10.3", world)
    with closing(Log(tensorrt, tmp_path / "log")) as log:
        monkeypatch.setattr(log._file, "write", lambda text: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space left"):
            build_plan(tensorrt, onnx_file, BuildOptions(), log=log)
    assert world.cancelled == 1


def test_before_monitors_the_build_ends_and_then_raises(world, onnx_file, monkeypatch):
    tensorrt = fake_tensorrt("8.6", world)
    log = Log(tensorrt)
    monkeypatch.setattr(log, "take", lambda severity, message: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build_plan(tensorrt, onnx_file, BuildOptions(), log=log)
    assert world.builds == 1
    assert world.swallowed == []


def calibration(world, cache):
    pictures = read_calibration_set("samples-24")
    return CalibrationRequest(pictures, pictures.root(None), "entropy", cache, world.cuda)


def calibrated(version, world, path, folder, request, **options):
    chosen = BuildOptions(precision="int8", **options)
    return make_engine(
        fake_tensorrt(version, world), path, chosen, world.cuda.model, save=folder / "a.plan", calibration=request
    )


@pytest.mark.parametrize("version", WEAK)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
def test_no_ranges_come_of_a_calibration_that_failed(version, error, world, small_networks, tmp_path, monkeypatch):
    def fail(picture, mask, size):
        raise error

    monkeypatch.setattr("edge_harmony.backends.tensorrt.calibration.to_working_size", fail)
    with pytest.raises(error):
        calibrated(version, world, small_networks["fp32"], tmp_path, calibration(world, tmp_path / "cache"))
    assert list(tmp_path.iterdir()) == []
    assert world.swallowed == []
    assert world.cuda.held == {}


def test_ranges_that_cannot_be_written_end_the_build(world, small_networks, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises((OSError, EdgeHarmonyError), match="file"):
        calibrated("8.6", world, small_networks["fp32"], tmp_path, calibration(world, tmp_path / "file" / "cache"))
    assert not (tmp_path / "a.plan").exists()


def test_an_empty_file_of_ranges_is_none(world, small_networks, tmp_path):
    (tmp_path / "cache").touch()
    request = calibration(world, tmp_path / "cache")
    made = calibrated("8.6", world, small_networks["fp32"], tmp_path, request)
    assert world.batches == len(request.pictures.files)
    assert made.facts.calibration.startswith("entropy ")
    assert (tmp_path / "cache").read_bytes() == b"ranges"


@pytest.mark.parametrize("version", WEAK)
def test_an_open_batch_is_calibrated_by_single_pictures(version, world, small_networks, tmp_path):
    world.open_batch = True
    world.sides = (64, 64)
    shapes = [{"composite": (n, 3, 64, 64), "mask": (n, 1, 64, 64)} for n in (1, 8, 16)]
    profile = Profile(least=shapes[0], best=shapes[1], largest=shapes[2])
    calibrated(version, world, small_networks["fp32"], tmp_path, calibration(world, None), profile=profile)
    assert world.configs[0]["calibration"]["mask"] == ((1, 1, 64, 64),) * 3
    assert world.configs[0]["profiles"][0]["mask"][2] == (16, 1, 64, 64)
    assert world.batches == 24


def test_ctrl_c_in_the_profiler_is_raised(world, tmp_path, monkeypatch):
    monkeypatch.setattr(LayerTimes, "take", lambda self, name, milliseconds: (_ for _ in ()).throw(KeyboardInterrupt))
    (tmp_path / "x.plan").write_text('{"stripped": false}')
    engine = Engine(fake_tensorrt("10.3", world), world.cuda, tmp_path / "x.plan", BuildOptions())
    with closing(engine), pytest.raises(KeyboardInterrupt):
        profile(engine, {}, 2)
    assert world.cuda.held == {}


# --- one logger


def test_lines_go_to_the_log_that_is_open_though_tensorrt_keeps_the_first_logger(world, onnx_file, tmp_path):
    tensorrt = fake_tensorrt("10.3", world)
    build_plan(tensorrt, onnx_file, BuildOptions())
    gc.collect()
    for name in ("first", "second"):
        with closing(Log(tensorrt, tmp_path / name)) as log:
            assert build_plan(tensorrt, onnx_file, BuildOptions(), log=log).warnings == ("a warning",)
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text()


def test_the_reason_is_of_this_build_and_not_of_kernels_that_were_left_out(world, onnx_file):
    tensorrt = fake_tensorrt("10.3", world)
    log = Log(tensorrt)
    world.fails = {"build": "Cuda Runtime (out of memory)"}
    with pytest.raises(CapabilityError, match="out of memory"):
        build_plan(tensorrt, onnx_file, BuildOptions(), log=log)
    world.fails, world.murmurs = {"build": "no kernel for conv"}, ("Skipping tactic 3 due to OutOfMemory",)
    with pytest.raises(ArtifactError, match=r"\(no kernel for conv\)"):
        build_plan(tensorrt, onnx_file, BuildOptions(), log=log)
    world.fails = {"build": "Could not find any implementation for node conv"}
    with pytest.raises(CapabilityError, match="--memPoolSize"):
        build_plan(tensorrt, onnx_file, BuildOptions(), log=log)
    world.murmurs = ()  # memory was lacking in earlier builds only
    with pytest.raises(ArtifactError, match="Could not find any implementation for node conv"):
        build_plan(tensorrt, onnx_file, BuildOptions(), log=log)


def test_a_running_engine_names_its_own_failure(world, tmp_path):
    world.murmurs = ("an error that did no harm",)
    (tmp_path / "x.plan").write_text('{"stripped": false}')
    engine = Engine(fake_tensorrt("10.3", world), world.cuda, tmp_path / "x.plan", BuildOptions())
    with closing(engine), closing(engine.context()) as context:
        world.fails = {"enqueue": "misaligned address"}
        inputs = {"composite": np.zeros((1, 3, 4, 4), np.float32), "mask": np.zeros((1, 1, 4, 4), np.float32)}
        with pytest.raises(CapabilityError, match=r"cannot run the engine \(misaligned address\)"):
            context.run(inputs)


# --- null objects and plans of another build


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["Builder", "OnnxParser"])
def test_what_cannot_be_made_is_one_line(version, name, world, onnx_file):
    world.fails = {name: "CUDA initialization failure with error: 35"}
    with pytest.raises(CapabilityError, match=r"cannot make a .* here .CUDA initialization failure with error: 35"):
        build_plan(fake_tensorrt(version, world), onnx_file, BuildOptions())


@pytest.mark.parametrize("name", ["Runtime", "Refitter"])
def test_a_runtime_or_refitter_that_cannot_be_made_is_one_line(name, world, onnx_file, tmp_path):
    world.fails = {name: "no driver"}
    (tmp_path / "x.plan").write_text('{"stripped": true}')
    options = BuildOptions(strip_weights=True, refit=True)
    with pytest.raises(CapabilityError, match=rf"cannot make a {name.lower()} here \(no driver\)"):
        Engine(fake_tensorrt("10.3", world), world.cuda, tmp_path / "x.plan", options, onnx_file)


def test_a_plan_of_another_version_or_gpu_is_refused_with_the_cause(world, onnx_file, tmp_path):
    plan = build_plan(fake_tensorrt("10.3", world), onnx_file, BuildOptions()).plan
    (tmp_path / "x.plan").write_bytes(plan)
    Engine(fake_tensorrt("10.3", world), world.cuda, tmp_path / "x.plan", BuildOptions()).close()
    with pytest.raises(ArtifactError, match="SERIALIZATION_VERSION"):
        Engine(fake_tensorrt("10.13", world), world.cuda, tmp_path / "x.plan", BuildOptions())
    world.cuda.model = replace(world.cuda.model, capability=(8, 9))
    with pytest.raises(ArtifactError, match=r"\(The engine plan file is generated on an incompatible device\)"):
        Engine(fake_tensorrt("10.3", world), world.cuda, tmp_path / "x.plan", BuildOptions())


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("8.6.1.6", (8, 6, 1, 6)),
        ("8.6.1.post12.dev1", (8, 6, 1)),
        ("10.3.0", (10, 3, 0)),
        ("10.16.1.11", (10, 16, 1, 11)),
    ],
)
def test_the_build_number_is_part_of_the_version_and_of_an_engines_key(text, version, world, onnx_file, monkeypatch):
    module = SimpleNamespace(**vars(fake_tensorrt("10.3", world).module) | {"__version__": text})
    monkeypatch.setattr(bridge, "is_installed", lambda name: name == "tensorrt")
    monkeypatch.setattr(bridge.importlib, "import_module", lambda name: module)
    tensorrt = bridge.find_tensorrt()
    assert tensorrt.version == version
    others = facts_of(replace(tensorrt, version=(*version[:3], 99)), onnx_file, BuildOptions(), world.cuda.model)
    assert facts_of(tensorrt, onnx_file, BuildOptions(), world.cuda.model).key() != others.key()
