"""``edge-harmony build`` from flag to file, against fakes; and engines by TensorRT for RTX itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import edge_harmony.backends.tensorrt.engines as engines_module
from edge_harmony.backends.tensorrt.engines import build_engine
from edge_harmony.backends.tensorrt.options import BuildOptions, Profile
from edge_harmony.backends.tensorrt.profiling import read_profile
from edge_harmony.backends.tensorrt.request import BuildRequest, TimingRequest
from edge_harmony.cli.main import main
from edge_harmony.errors import UsageError
from edge_harmony.export.onnx import export_onnx
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.manifest import read_manifest
from edge_harmony.models.registry import build_model, find_model, weights_folder
from edge_harmony.models.weights_file import save_weights
from tests.fakes.tensorrt import World, fake_tensorrt
from tests.unit.backends.tensorrt.test_profiling import FP16, INT8

SIDES = ("least", "best", "largest")
SHORT = ["--warmUp", "0", "--duration", "0", "--iterations", "5"]


@pytest.fixture
def world(monkeypatch, tmp_path):
    world = World()
    world.version = "10.3"
    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path / "home"))
    for finder in ("find_tensorrt", "find_runtime"):
        monkeypatch.setattr(engines_module, finder, lambda distribution=None: fake_tensorrt(world.version, world))
    monkeypatch.setattr(engines_module, "find_cuda", lambda package=None, device=0: world.cuda)
    return world


def run(capsys, *arguments):
    status = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_build_time_and_write_everything(world, small_networks, tmp_path, capsys):
    names = ("times", "profile", "layers")
    times, profile, layers = (tmp_path / f"{name}.json" for name in names)
    engine = tmp_path / "edge-n.plan"
    arguments = [f"--onnx={small_networks['signed']}", f"--saveEngine={engine}", *SHORT, f"--exportTimes={times}"]
    arguments += [f"--exportProfile={profile}", f"--exportLayerInfo={layers}", "--percentile=50,99", "--json"]
    status, out, _ = run(capsys, "build", *arguments)
    report = json.loads(out)
    assert status == 0
    assert (report["tensorrt"], report["cached"], report["strongly_typed"]) == ("tensorrt 10.3.0", False, True)
    assert report["device"]["name"] == "Orin"
    assert report["timing"]["queries"] == 5
    assert report["timing"]["computeMs"]["p99"] > 0
    assert report["timing_options"] == {
        "warm_up": 0.0, "duration": 0.0, "iterations": 5, "graph": False, "spin": False, "transfers": True,
        "streams": 1, "threads": False, "overlap": True, "idle": 0.0,
    }  # fmt: skip
    assert report["warnings"] == ["a warning"]
    rows = json.loads(times.read_text())
    assert len(rows) == 5
    assert rows[0].keys() >= {"startEnqMs", "startH2dMs", "endD2hMs", "latencyMs"}
    assert read_profile(profile)[0].name == "conv"
    assert "Layers" in json.loads(layers.read_text())
    manifest = read_manifest(engine)
    assert (manifest.model, manifest.backend, manifest.engine["sm"]) == ("edge-n", "tensorrt", ["sm87"])
    assert manifest.engine["onnx_sha256"] == sha256_of(small_networks["signed"])
    assert world.cuda.held == {}


def test_the_summary_says_what_trtexec_says(world, small_networks, capsys):
    status, out, _ = run(capsys, "build", small_networks["signed"], *SHORT, "--dumpProfile")
    assert status == 0
    assert re.search(r"GPU Compute Time: min = \d+ ms, max = \d+ ms, mean = [\d.]+ ms, median = [\d.]+ ms, perc", out)
    assert "percentile(90%) = " in out
    for word in ("Throughput: ", "Latency: ", "Enqueue Time: ", "H2D Latency: min = ", "D2H Latency: ", "conv"):
        assert word in out
    assert "CUDA graph off, spin wait off, data transfers on" in out
    assert "built in" in out
    again = run(capsys, "build", small_networks["signed"], *SHORT)[1]
    assert "from the cache" in again
    assert world.builds == 1


def test_the_python_call_does_what_the_verb_does(world, small_networks, tmp_path, capsys):
    world.open_batch = True
    shapes = {name: {"composite": (n, 3, 4, 4), "mask": (n, 1, 4, 4)} for n, name in enumerate(SIDES, 1)}
    options = BuildOptions(profile=Profile(**shapes), optimization_level=5)
    times = [tmp_path / f"{who}.json" for who in ("verb", "call")]
    flags = ["--percentile=50", "--shapes=composite:2x3x4x4,mask:2x1x4x4", f"--exportTimes={times[0]}", "--dumpProfile"]
    verb = [f"--saveEngine={tmp_path / 'verb.plan'}", *options.flags(), *SHORT, *flags, "--json"]
    said = json.loads(run(capsys, "build", small_networks["signed"], *verb)[1])
    timing = TimingRequest(0, 0, 5, shapes=shapes["best"], percentiles=(50,), profile=True, times_to=times[1])
    shares = []
    request = BuildRequest(str(small_networks["signed"]), options=options, save=tmp_path / "call.plan", timing=timing)
    report = build_engine(request, report=lambda share, phase: shares.append(share))
    assert (tmp_path / "call.plan").read_bytes() == (tmp_path / "verb.plan").read_bytes()
    assert report.engine.path == tmp_path / "call.plan"
    assert report.engine.facts.options.model_dump(mode="json") == said["options"]
    assert report.timing.figures["computeMs"] == said["timing"]["computeMs"]
    assert report.timing.layers == said["layers"]
    assert [len(json.loads(path.read_text())) for path in times] == [5, 5]
    assert shares[-1] == 1.0
    finished = build_engine(BuildRequest(load=report.engine.path))
    assert (finished.engine.facts, finished.timing) == (report.engine.facts, None)


@pytest.mark.parametrize(
    ("request_of", "says"),
    [
        (lambda: BuildRequest(), "name an ONNX file"),
        (lambda: BuildRequest("a.onnx", load="a.plan"), "name an ONNX file"),
        (lambda: BuildRequest(load="a.plan", save="b.plan"), "--saveEngine"),
        (lambda: BuildRequest(load="a.plan", options=BuildOptions(architectures=("SM89",))), "other GPUs"),
        (lambda: TimingRequest(percentiles=(101,)), "--percentile"),
    ],
)
def test_requests_that_contradict_themselves_are_refused(request_of, says):
    with pytest.raises(UsageError, match=says):
        request_of()


def test_defaults_of_11_are_taken_and_recorded(world, small_networks, capsys):
    world.version = "11.4"
    timing = json.loads(run(capsys, "build", small_networks["signed"], *SHORT, "--json")[1])["timing_options"]
    assert (timing["graph"], timing["spin"], timing["transfers"]) == (True, True, False)
    flags = ["--noCudaGraph", "--noSpinWait", "--dataTransfers"]
    timing = json.loads(run(capsys, "build", small_networks["signed"], *SHORT, *flags, "--json")[1])["timing_options"]
    assert (timing["graph"], timing["spin"], timing["transfers"]) == (False, False, True)


def test_finished_engines_are_timed(world, small_networks, tmp_path, capsys):
    engine = tmp_path / "x.plan"
    run(capsys, "build", small_networks["signed"], f"--saveEngine={engine}", "--skipInference")
    status, out, _ = run(capsys, "build", f"--loadEngine={engine}", *SHORT, "--json")
    assert (status, json.loads(out)["timing"]["queries"]) == (0, 5)
    engine.write_bytes(b"{")
    assert run(capsys, "build", f"--loadEngine={engine}")[0] == 1


def test_engines_of_trtexec_are_timed_after_a_warning(world, small_networks, tmp_path, capsys, caplog):
    engine = tmp_path / "theirs.engine"
    body = json.dumps({"fake": True, "stripped": False}).encode()
    header = b"ftrt" + bytes(20)
    engine.write_bytes(header + bytes([10, 3, 0, 26]) + body)
    status, out, err = run(capsys, "build", f"--loadEngine={engine}", *SHORT, "--json")
    assert (status, json.loads(out)["timing"]["queries"]) == (0, 5)
    assert "theirs.engine has no manifest" in caplog.text + err
    assert "manifest" not in json.loads(out)
    status, out, _ = run(capsys, "build", f"--loadEngine={engine}", "--getPlanVersionOnly")
    assert (status, out) == (0, f"{engine} was built by tensorrt 10.3.0.26\n")
    for other, said in {
        header + bytes([10, 13, 2, 6]): "built by tensorrt 10.13.2.6, this is tensorrt 10.3.0",
        b"vtrt" + bytes(20) + bytes([1, 7, 1, 116]): "built by tensorrt-rtx 1.7.1.116",
        b"{}": "has no header of a TensorRT engine",
    }.items():
        engine.write_bytes(other + body)
        status, _, err = run(capsys, "build", f"--loadEngine={engine}", *SHORT)
        assert (status, said in err) == (1, True), err


def test_the_engine_s_place_is_checked_before_the_build(world, small_networks, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for place, said in ((tmp_path, "is a folder"), (tmp_path / "file" / "x.plan", "cannot write")):
        status, _, err = run(capsys, "build", small_networks["signed"], f"--saveEngine={place}")
        assert (status, said in err) == (2, True), err
    assert world.builds == 0


def test_what_the_run_gave_is_printed(world, small_networks, tmp_path, capsys):
    output = tmp_path / "output.json"
    flags = ["--avgRuns=2", "--dumpOutput", "--dumpLayerInfo", f"--exportOutput={output}", "--separateProfileRun"]
    status, out, err = run(capsys, "build", small_networks["signed"], *SHORT, *flags)
    assert status == 0, err
    assert out.count("Average on 2 runs - GPU latency: ") == 2
    assert "conv, Int8" in out
    printed = out.partition("transform:\n")[2].split()
    assert [float(text) for text in printed] == pytest.approx(json.loads(output.read_text())[0]["values"], rel=1e-5)
    assert "--separateProfileRun changes nothing: layers are always timed in a run of their own" in err
    report = json.loads(run(capsys, "build", small_networks["signed"], *SHORT, *flags, "--json")[1])
    assert report["averages"][0]["computeMs"] > 0
    assert np.shape(report["outputs"]["transform"]) == (1, 3, 4, 4)


def test_several_contexts_run_at_a_time(world, small_networks, capsys):
    report = json.loads(run(capsys, "build", small_networks["signed"], *SHORT, "--infStreams=3", "--json")[1])
    assert (report["timing"]["queries"], report["timing_options"]["streams"]) == (15, 3)
    assert "throughput is what counts" in report["timing_warnings"][-1]


def test_dynamic_shapes(world, small_networks, capsys):
    world.open_batch = True
    low, high = "composite:1x3x4x4,mask:1x1x4x4", "composite:4x3x4x4,mask:4x1x4x4"
    arguments = ["build", small_networks["signed"], f"--minShapes={low}", f"--maxShapes={high}", *SHORT, "--json"]
    report = json.loads(run(capsys, *arguments, "--shapes=composite:3x3x4x4,mask:3x1x4x4")[1])
    assert report["options"]["profile"]["best"]["mask"] == [4, 1, 4, 4]
    ratio = report["timing"]["images_per_second"] / report["timing"]["throughput_qps"]
    assert ratio == pytest.approx(3)


def test_implicit_int8_is_calibrated_from_the_command_line(world, small_networks, tmp_path, capsys):
    cache = tmp_path / "ranges"
    arguments = ["build", small_networks["fp32"], "--int8", f"--calib={cache}", "--skipInference"]
    assert run(capsys, *arguments)[0] == 0
    assert world.batches == 24
    assert cache.read_bytes() == b"ranges"
    assert run(capsys, *arguments, f"--saveEngine={tmp_path / 'x.plan'}")[0] == 0
    assert world.batches == 24
    run(capsys, "build", small_networks["signed"], "--int8", "--skipInference")
    assert world.batches == 24  # Q/DQ pairs: nothing to calibrate


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "fp16", "tf32": False, "optimization_level": 5, "timing_iterations": 8, "verbosity": "none"},
        {"strongly_typed": True, "tf32": True, "pools": {"workspace": 1 << 28}, "refit": True, "strip_weights": True},
        {"strip_weights": True, "bf16": True, "fp8": True, "direct_io": True, "builder_cache": False},
        {"input_formats": ("fp32:chw", "fp32:chw+hwc8"), "output_formats": ("fp32:chw",), "auxiliary_streams": 0},
        {
            "precision": "int8",
            "precision_constraints": "prefer",
            "layer_precisions": {"*": "fp16", "CONVOLUTION to y": "fp32"},
            "layer_output_types": {"CONVOLUTION to y": ("fp16",)},
            "tactic_sources": {"CUDNN": False, "EDGE_MASK_CONVOLUTIONS": True},
        },
        {"dla_core": 1, "gpu_fallback": True, "sparsity": True, "verbosity": "detailed"},
        {"version_compatible": True, "exclude_lean_runtime": True, "hardware_compatibility": "ampere+"},
        {"precision": "best", "profile": {side: {"composite": (1, 3, 4, 4), "mask": (1, 1, 4, 4)} for side in SIDES}},
    ],
)
def test_options_are_said_as_flags_that_give_them_back(options, world, small_networks, capsys):
    world.dla = 2
    given = BuildOptions.model_validate(options)
    status, out, err = run(capsys, "build", small_networks["signed"], *given.flags(), "--skipInference", "--json")
    assert status == 0, err
    assert BuildOptions.model_validate(json.loads(out)["options"]) == given


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "name an ONNX file to build, or --loadEngine"),
        (["MODEL", "--loadEngine=x"], 2, "one of the two"),
        (["--loadEngine=x", "--saveEngine=y"], 2, "--saveEngine is for engines that are built"),
        (["--loadEngine=none.plan"], 2, "there is no engine none.plan"),
        (["none.onnx"], 2, "there is no file none.onnx"),
        (["MODEL", "--minShapes=x"], 2, "--minShapes cannot be read"),
        (["MODEL", "--minShapes=mask:2x1", "--maxShapes=mask:1x1"], 2, "must increase"),
        (["MODEL", "--minShapes=mask:2x1", "--maxShapes=composite:2x1"], 2, "must name the same inputs"),
        (["MODEL", "--memPoolSize=heap:1"], 2, "--memPoolSize cannot be read"),
        (["MODEL", "--percentile=101"], 2, "--percentile cannot be '101'"),
        (["MODEL", "--percentile=x"], 2, "--percentile cannot be 'x'"),
        (["MODEL", "--allowGPUFallback"], 2, "--allowGPUFallback goes with --useDLACore"),
        (["MODEL", "--excludeLeanRuntime"], 2, "--excludeLeanRuntime goes with --versionCompatible"),
        (["MODEL", "--useDLACore=0"], 3, "there is no DLA core 0 here (0 found)"),
        (["MODEL", "--computeCapabilities=SM89"], 3, "it needs TensorRT for RTX"),
        (["MODEL", "--skipInference", "--exportTimes=x"], 2, "--exportTimes needs a run"),
        (["MODEL", "--skipInference", "--dumpProfile"], 2, "--dumpProfile needs a run"),
        (["MODEL", "--calib=x"], 2, "--calib is for implicit INT8"),
        (["MODEL", "--fp16", "--stronglyTyped"], 2, "--stronglyTyped"),
        (["MODEL", "--stream=2"], 2, "--stream"),
        (["MODEL", "--batch=4"], 2, "does not take trtexec's --batch; the batch is the first size of --shapes"),
        (["MODEL", "--workspace=1024"], 2, "write --memPoolSize=workspace:MiB"),
        (["MODEL", "--buildOnly"], 2, "write --skipInference"),
        (["MODEL", "--safe"], 2, "use trtexec"),
        (["MODEL", "--getPlanVersionOnly"], 2, "add --loadEngine=FILE"),
        (["MODEL", "--layerPrecisions=*:fp16"], 2, "go with --precisionConstraints"),
        (["MODEL", "--inputIOFormats=fp32"], 2, "--inputIOFormats cannot be read at 'fp32'"),
        (["MODEL", "--tacticSources=CUDNN"], 2, "--tacticSources cannot be read"),
        (["MODEL", "--loadInputs=mask:none.bin"], 2, "there is no file none.bin"),
        (["MODEL", "--skipInference", "--dumpLayerInfo"], 2, "--dumpLayerInfo needs a run"),
        (["MODEL", "--skipInference", "--exportOutput=x"], 2, "--exportOutput needs a run"),
    ],
)
def test_refusals_are_one_line_and_build_nothing(
    arguments, status, said, world, small_networks, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    given = [str(small_networks["signed"]) if argument == "MODEL" else argument for argument in arguments]
    found, _, err = run(capsys, "build", *given)
    assert found == status
    assert said in err
    assert err.count("\n") == 1
    assert world.builds == 0
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize(
    ("version", "flags", "said"),
    [
        ("11.4", ["--fp16"], "--fp16 is not in tensorrt 11.4.0; it needs TensorRT 8.6 to 10"),
        ("11.4", ["--int8"], "--int8 is not in tensorrt 11.4.0"),
        ("8.6", ["--stripWeights"], "--stripWeights is not in tensorrt 8.6.0; it needs TensorRT 10.0 or newer"),
        ("8.6", ["--stronglyTyped"], "--stronglyTyped is not in tensorrt 8.6.0"),
        ("rtx-1.7", ["--timingCacheFile=x"], "tensorrt-rtx 1.7.0 keeps no kernel timings"),
        ("10.3", ["--hardwareCompatibilityLevel=sameComputeCapability"], "it needs TensorRT 10.8 or newer"),
    ],
)
def test_flags_of_other_versions_are_refused(version, flags, said, world, small_networks, capsys):
    world.version = version
    status, _, err = run(capsys, "build", small_networks["signed"], *flags)
    assert status == 3
    assert said in err
    assert world.builds == 0


def test_a_diff_of_two_profiles(tmp_path, capsys):
    for name, content in {"fp16": FP16, "int8": INT8}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = [tmp_path / "fp16.json", tmp_path / "int8.json"]
    status, out, _ = run(capsys, "build", "--diff", *files)
    assert status == 0
    assert "loses in 8 bits: /encoder.0/Conv + /encoder.0/Relu (+0.0100 ms)" in out
    assert "int8.json: 0.1700 ms, 0.0200 of it reformats" in out
    rows = json.loads(run(capsys, "build", "--diff", *files, "--json")[1])
    assert {round(row["change"], 6) for row in rows} == {0.01, -0.05, 0.02, -0.01}


def test_without_a_gpu_only_rtx_can_build_for_another(capsys, small_networks, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    status, _, err = run(capsys, "build", small_networks["signed"], "--distribution", "tensorrt-rtx")
    assert status in (0, 3)
    if status == 3:
        assert "to build for another: --computeCapabilities SM89" in err


RTX = [
    *(("edge-s", precision) for precision in ("fp32", "fp16", "int8")),
    *(pytest.param(*chosen, marks=pytest.mark.slow) for chosen in (("edge-n", "fp16"), ("hdnet-lite", "fp32"))),
]


@pytest.mark.parametrize(("name", "precision"), RTX)
def test_rtx_builds_the_networks_for_three_gpus(name, precision, tmp_path, capsys, monkeypatch):
    pytest.importorskip("tensorrt_rtx")

    monkeypatch.setenv("EDGE_HARMONY_HOME", str(tmp_path / "home"))
    weights = weights_folder() / f"{name}.safetensors"
    if not weights.is_file():
        weights = tmp_path / weights.name
        save_weights(weights, build_model(name), name=name)
    onnx = export_onnx(name, weights, tmp_path, precision=precision, flavour="signed")
    size = "x".join(map(str, find_model(name).size))
    shapes = [f"composite:{n}x3x{size},mask:{n}x1x{size}" for n in (1, 2, 8)]
    arguments = [f"--minShapes={shapes[0]}", f"--optShapes={shapes[1]}", f"--maxShapes={shapes[2]}"]
    arguments += ["--computeCapabilities", "SM86,SM89,SM120", "--logFile", tmp_path / "log", "--json"]
    status, out, err = run(capsys, "build", onnx, *arguments)
    assert (status, "nothing was timed" in err) == (0, True)
    report = json.loads(out)
    assert report["bytes"] > 1_000_000
    assert report["strongly_typed"]
    assert (tmp_path / "log").stat().st_size > 1000
    facts = read_manifest(Path(report["engine"])).engine
    assert facts["sm"] == ["sm86", "sm89", "sm120"]
    assert json.loads(run(capsys, "build", onnx, *arguments)[1])["cached"]
