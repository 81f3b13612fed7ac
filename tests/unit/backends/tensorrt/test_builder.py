"""Building engines: every version, what it lacks, failures and their reasons, timings, the log."""

from __future__ import annotations

from contextlib import closing

import pytest

from edge_harmony.backends.tensorrt.builder import build_plan
from edge_harmony.backends.tensorrt.logger import Log
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile
from edge_harmony.errors import ArtifactError, CapabilityError, EdgeHarmonyError, UsageError
from tests.fakes.tensorrt import VERSIONS, WEAK, fake_tensorrt

STRONG = ("10.3", "10.13", "10.16", "11.4", "rtx-1.7")


def open_profile():
    shapes = [{"composite": (n, 3, 4, 4), "mask": (n, 1, 4, 4)} for n in (1, 2, 4)]
    return Profile(least=shapes[0], best=shapes[1], largest=shapes[2])


def made(version, world, onnx_file, **options):
    return build_plan(fake_tensorrt(version, world), onnx_file, BuildOptions(**options))


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
