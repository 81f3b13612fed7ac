"""Every target file against the backends, the documents, and the plan that is made of it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace

import pytest

from docs.tabulated.results import ROOT
from edge_harmony.backends.discovery import backend_names, get_backend
from edge_harmony.backends.targets import Target, read_target
from edge_harmony.cli.main import main
from edge_harmony.errors import CapabilityError, InputError, UsageError
from edge_harmony.files import resources
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.toml import read_toml
from edge_harmony.models.registry import MODELS

NAMES = resources.resource_names("targets")
PLATFORMS = {
    "tensorrt": "cuda", "tensorrt-rtx": "cuda", "coreml": "apple", "litert": "arm", "onnxruntime": "cpu",
    "openvino": "cpu", "onnxruntime-web": "web",
}  # fmt: skip
ALONE = "coreml", "litert", "onnxruntime-web"
"""Backends some of whose targets have no whole pipeline."""


def test_devices_and_precisions_are_complete():
    expected = {f"{device}-{p}" for device in ("cpu-onnxruntime", "cpu-openvino", "cuda", "rtx", "iphone", "android")
                for p in
                ("fp32", "fp16", "int8")}  # fmt: skip
    boards = ("jetson-orin-nano", "jetson-orin-nx", "jetson-agx-orin", "jetson-thor", "ipad", "mac")
    assert expected | {f"{board}-{p}" for board in boards for p in ("fp16", "int8")} <= set(NAMES)
    assert "raspberry-pi-int8" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_target_says_what_its_backend_takes(name):
    target = read_target(name)
    assert name.endswith(f"-{target.precision}")
    assert target.backend in backend_names()
    assert target.platform == PLATFORMS[target.backend]
    assert type(target.options) is get_backend(target.backend).options
    assert (target.triton is not None) == name.startswith("triton-")
    if target.triton is None:
        assert (target.platform == "cpu") == name.startswith(f"cpu-{target.backend}-")
    else:
        assert name == f"triton-{target.platform}-{target.precision}"
    if target.platform == "apple":
        version = {"iphone": "iOS", "ipad": "iPadOS", "mac": "macOS"}[name.split("-")[0]]
        number = int(target.options.minimum.removeprefix("iOS"))
        assert target.runtime.name == f"Core ML of {version} {number - 3 if version == 'macOS' else number}"


@pytest.mark.parametrize("name", NAMES)
def test_every_target_has_a_plan(name, tmp_path, capsys):
    arguments = ["export", "edge-s", "--target", name, "-o", str(tmp_path / "out"), "--dry-run"]
    assert main([*arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    *others, last = plan["steps"]
    if name.startswith("triton-"):
        onnx, last = others[0]["makes"].removesuffix(".onnx"), others[-1]
        assert plan["steps"][-1]["makes"] == f"triton/{onnx}/config.pbtxt"
    assert last["makes"].startswith(f"edge-s-160x160-{read_target(name).precision}")
    assert all(step["fix"] for step in plan["steps"] if step["missing"])
    assert plan["limits"]["max_p90_ms"] > 0
    assert main(arguments) == 0
    said = capsys.readouterr().out
    program = "python -m http.server" if name.startswith("web-") else "edge-harmony"
    assert f"{len(plan['steps']) + 1}. {plan['then']['where']}: {program}" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["cpu-onnxruntime-int8", "cpu-openvino-fp16", "iphone-int8", "rtx-int8"])
@pytest.mark.parametrize("fused", [False, True])
def test_what_is_planned_is_what_is_made(name, fused, edge_weights, tmp_path):
    target = read_target(name)
    if target.backend == "coreml":
        pytest.importorskip("coremltools")
    if target.backend == "tensorrt-rtx":
        pytest.importorskip("tensorrt_rtx")
    request = target.request("edge-n", whole_pipeline=fused)
    backend = get_backend(target.backend)
    steps = backend.steps(request)
    assert not any(step.missing for step in steps)
    made = backend.build(request, edge_weights, tmp_path)
    assert (tmp_path / steps[0].makes).exists()
    assert re.fullmatch(re.escape(steps[-1].makes).replace("<version>", r"\d+"), made.name)


def plan(name, model, whole_pipeline=False):
    target = read_target(name)
    request = target.request(model, whole_pipeline=whole_pipeline)
    return target, [step.makes for step in get_backend(target.backend).steps(request)]


def test_what_differs_is_in_the_name():
    """A file for a target never replaces another: equal names are for equal files only."""
    makers = {}
    for name in NAMES:
        for model, whole in [(model, False) for model in MODELS] + [("edge-s", True)]:
            try:
                target, made = plan(name, model, whole)
            except UsageError:
                assert whole  # of several working sizes, or by a backend that makes none
                assert read_target(name).backend in ALONE
                continue
            except CapabilityError:
                assert read_target(name).backend == "litert"  # which does not translate every network
                assert MODELS[model].output == "rgb"
                continue
            kind = "onnx" if target.backend in ("onnxruntime", "openvino", "onnxruntime-web") else target.backend
            excluded = {"webgpu"} | ({"inputs"} if whole else set())  # of the page; always pictures then
            options = target.options.model_dump_json(exclude=excluded)
            maker = (model, whole, target.precision, target.opset, target.height, target.width)
            makers.setdefault(made[-1], set()).add((kind, *maker, options))
            if target.backend.startswith("tensorrt"):  # which builds of an ONNX file of its own
                makers.setdefault(made[0], set()).add(("onnx for tensorrt", *maker))
    assert len(makers) > 16 * len(MODELS)
    assert {made: found for made, found in makers.items() if len(found) > 1} == {}
    assert len(set().union(*makers.values())) == len(makers)


DIFFERENT = {
    "iphone-fp16": [
        'palette_bits = 4', 'palette_bits = 8', 'minimum = "iOS16"', 'inputs = "image"',
        'minimum = "iOS18"\nmore_sizes = [[192, 256]]', 'minimum = "iOS18"\nmore_sizes = [[256, 192]]',
    ],
    "cuda-fp16": ["optimization_level = 5", "optimization_level = 4", "dla_core = 0", "dla_core = 1"],
    "cpu-onnxruntime-int8": ["opset = 17", "opset = 19", "height = 320", "width = 320"],
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_every_option_of_a_target_of_ones_own_is_in_the_name(name, tmp_path):
    text = resources.find_resource("targets", name).read_text()
    made = [plan(name, "edge-n")[1][-1]]
    for number, lines in enumerate(DIFFERENT[name]):
        keys = re.findall(r"^(\w+) =", lines, re.MULTILINE)
        above, _, options = text.partition("[options]\n")
        options = re.sub(rf"^({'|'.join(keys)}) .*\n", "", options, flags=re.MULTILINE)
        own = f"{above}[options]\n{options}{lines}\n"
        if name.startswith("cpu"):
            own = lines + "\n" + re.sub(r"^opset = 18\n", "", text, flags=re.MULTILINE).replace("height", "width")
            own = own if "opset" in lines else f"opset = 18\n{own}"
        (tmp_path / f"{number}.toml").write_text(own)
        made.append(plan(str(tmp_path / f"{number}.toml"), "edge-n")[1][-1])
    assert len(set(made)) == len(made)


def test_layers_that_stay_float_are_in_the_name():
    backend, target = get_backend("onnxruntime"), read_target("cpu-onnxruntime-int8")
    chosen = [(), ("head",), ("head", "merge"), ("merge", "head"), ("merge",)]
    made = [backend.steps(target.request("edge-n", keep_float=layers))[-1].makes for layers in chosen]
    assert made[2] == made[3]
    assert len(set(made)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
def test_targets_that_write_one_name_write_one_file(whole, edge_weights, tmp_path):
    pytest.importorskip("coremltools")
    pytest.importorskip("ai_edge_litert")
    writers = {}
    for name in NAMES:
        backend = read_target(name).backend
        if backend.startswith("tensorrt") or (whole and ("sizes" in name or backend in ("litert", "onnxruntime-web"))):
            continue  # engines differ from build to build; not all backends have whole pipelines
        writers.setdefault(plan(name, "edge-n", whole)[1][-1], []).append(name)
    contents = {}
    for made, names in writers.items():
        for name in (names[0], names[-1]) if len(names) > 1 else ():  # all of them take minutes
            request = read_target(name).request("edge-n", whole_pipeline=whole)
            written = get_backend(read_target(name).backend).build(request, edge_weights, tmp_path / name)
            assert written.name == made.rpartition("/")[2]
            contents.setdefault(made, set()).add(sha256_of(written))
    assert [made for made, found in contents.items() if len(found) > 1] == []
    assert len(set().union(*contents.values())) == len(contents) > 1


def test_what_is_missing_here_is_in_the_plan(monkeypatch, capsys):
    monkeypatch.setattr("edge_harmony.backends.tensorrt.bridge.is_installed", lambda name: False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["export", "edge-s", "--target", "jetson-orin-nano-int8", "-o", "out", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "not here: this needs torch" in said
    assert "not here: tensorrt is not installed" in said
    assert "out/edge-s-160x160-int8-signed-batch1-<sm>-trt<version>.plan" in said
    assert "3. on the device: edge-harmony selftest --target jetson-orin-nano-int8" in said


def test_the_ten_lines_of_the_guide_are_a_target(tmp_path):
    text = (ROOT / "export" / "README.md").read_text()
    lines = re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "own.toml").write_text(lines)
    assert read_target(str(tmp_path / "own.toml")).runtime.opset == 20
    (tmp_path / "own.toml").write_text(
        lines.replace("opset = 20", "opset = 18").replace("[runtime]", "opset = 19\n[runtime]")
    )
    with pytest.raises(InputError, match=r"opset 19 is newer than what TensorRT 10\.3 reads"):
        read_toml(tmp_path / "own.toml", Target)
    (tmp_path / "own.toml").write_text(lines.replace("opset = 20", ""))
    with pytest.raises(InputError, match=r"runtime.opset is missing"):
        read_toml(tmp_path / "own.toml", Target)


def test_the_working_size_is_the_networks_own_unless_a_target_sets_it(tmp_path, monkeypatch, capsys):
    entry = replace(MODELS["edge-n"], size=(320, 384))
    monkeypatch.setitem(MODELS, "edge-n", entry)
    text = resources.find_resource("targets", "cpu-onnxruntime-int8").read_text()
    for lines, size in (("", (320, 384)), ("height = 256\nwidth = 512\n", (256, 512)), ("width = 64\n", (320, 64))):
        (tmp_path / "own.toml").write_text(lines + text)
        call = ["export", "edge-n", "--target", str(tmp_path / "own.toml"), "-o", "out", "--dry-run"]
        assert main(call) == 0
        said = capsys.readouterr().out
        assert f"at {size[1]}x{size[0]}" in said
        assert f"out/edge-n-{size[0]}x{size[1]}-int8.onnx" in said


OPTIONS = {
    "coreml": ("iphone-int8", 'minimum = "iOS17"', 'minimum = "iOS12"', r"options: .*minimum: Input should be 'iOS16'"),
    "tensorrt-rtx": (
        "rtx-int8",
        "architectures",
        "architecture",
        r"options: .*architecture: there is no such key, did you mean architectures",
    ),
    "tensorrt": ("cuda-int8", "", "gpu_fallback = true", r"options: .*--allowGPUFallback goes with --useDLACore"),
    "onnxruntime": ("cpu-onnxruntime-int8", "", "threads = 3", r"options: .*threads: there is no such key"),
}


@pytest.mark.parametrize("backend", OPTIONS)
def test_the_backend_says_what_its_options_are(backend, tmp_path):
    name, old, new, said = OPTIONS[backend]
    text = resources.find_resource("targets", name).read_text()
    assert read_target(name).backend == backend
    (tmp_path / "own.toml").write_text(text.replace(old, new) if old else f"{text}\n[options]\n{new}\n")
    with pytest.raises(InputError, match=said) as caught:
        read_target(str(tmp_path / "own.toml"))
    assert "\n" not in str(caught.value)


def test_options_under_their_earlier_names_are_read(tmp_path):
    for name, earlier in (("rtx-int8", "engine"), ("iphone-sizes-int8", "package")):
        text = resources.find_resource("targets", name).read_text()
        (tmp_path / "own.toml").write_text(text.replace("[options]", f"[{earlier}]"))
        assert read_target(str(tmp_path / "own.toml")) == read_target(name)


def test_targets_of_backends_that_are_not_there_or_build_nothing(tmp_path, capsys):
    text = resources.find_resource("targets", "cpu-openvino-fp32").read_text()
    (tmp_path / "own.toml").write_text(text.replace('"openvino"', '"open-vino"'))
    with pytest.raises(UsageError, match=r"no backend 'open-vino'; did you mean openvino\?"):
        read_target(str(tmp_path / "own.toml"))
    (tmp_path / "own.toml").write_text(text.replace('"openvino"', '"pytorch"'))
    call = ["export", "edge-n", "--target", str(tmp_path / "own.toml"), "-o", str(tmp_path / "out")]
    for more in ([], ["--dry-run"]):
        assert main([*call, *more]) == 2
        assert "the pytorch backend runs weights as they are; use them with --weights" in capsys.readouterr().err
