"""LiteRT files: what they compute against PyTorch and ONNX Runtime, what is in them, and what is refused."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import cv2
import flatbuffers
import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("ai_edge_litert")
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edge_harmony.backends.base import ExportRequest, LoadRequest
from edge_harmony.backends.discovery import get_backend, load_runner
from edge_harmony.backends.litert.convert import Translator
from edge_harmony.backends.litert.judge import WEIGHTED, read_operations
from edge_harmony.cli.main import main
from edge_harmony.errors import ArtifactError, CapabilityError, InputError, UsageError
from edge_harmony.export.prepare import exportable
from edge_harmony.export.trace import decomposed
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.manifest import manifest_path, read_manifest
from edge_harmony.models.registry import build_model, bundled_weights
from edge_harmony.models.weights_file import read_weights, save_weights
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.quality.parity import compare
from edge_harmony.samples import sample_files, sample_pictures
from tests.unit.backends.litert.conftest import convert
from tests.unit.backends.masks import MASKS

LEAST = {"fp32": 80, "fp16": 60, "int8": 45}
"""dB of the foreground against PyTorch; of the fake-quantized network for int8."""


def load(file, threads=0):
    return get_backend("litert").load(LoadRequest("", "", artifact=file, threads=threads))


def pytorch(weights, precision, name="edge-n"):
    precision = "int8" if precision == "int8" else "fp32"
    return get_backend("pytorch").load(LoadRequest(name, precision, weights=weights))


@pytest.fixture(scope="module")
def inputs():
    _, pixels, mask = next(iter(sample_pictures()))
    return to_working_size(np.ascontiguousarray(pixels), mask, (256, 256))


@pytest.mark.parametrize("precision", LEAST)
def test_a_file_computes_what_the_network_does(precision, files, exported, edge_weights):
    samples = list(sample_pictures())[:2]
    with closing(load(files[precision])) as ours:
        assert compare(ours, pytorch(edge_weights, precision), samples)["psnr_min"] > LEAST[precision]
        of_onnx = load_runner(artifact=exported[precision])
        assert compare(ours, of_onnx, samples)["psnr_min"] > LEAST[precision] - 5


@pytest.mark.parametrize("name", ["edge-n", "edge-s"])
@pytest.mark.parametrize("precision", LEAST)
def test_shipped_weights_keep_their_results(name, precision, tmp_path):
    weights = bundled_weights(name)
    with closing(load(convert(name, weights, tmp_path, precision))) as ours:
        found = compare(ours, pytorch(weights, precision, name), sample_pictures())
    assert found["images"] == len(list(sample_files()))
    assert found["psnr_min"] > LEAST[precision]
    assert found["max_level_difference"] <= 3


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_weights_of_a_float_training_with_a_gate(precision, tmp_path):
    """Their norms are not folded yet, and the gate is a sigmoid."""
    torch.manual_seed(2)
    network = build_model("edge-n", gate=True).eval()
    for layer in (network.head, network.overall.expand):
        nn.init.normal_(layer.weight, std=0.03)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    weights = tmp_path / "edge-n.safetensors"
    save_weights(weights, network, name="edge-n", options={"gate": True})
    with closing(load(convert("edge-n", weights, tmp_path, precision))) as ours:
        found = compare(ours, pytorch(weights, "fp32"), list(sample_pictures())[:1])
    assert found["psnr_min"] > LEAST[precision]


def test_a_selftest_sets_both_runtimes_side_by_side(tmp_path, capsys, monkeypatch):
    """As on a board without torch: the file was made elsewhere, and ONNX Runtime runs what is shipped."""
    file = convert("edge-n", bundled_weights("edge-n"), tmp_path, "int8")
    monkeypatch.setattr("edge_harmony.machine.selftest.is_installed", lambda module: module != "torch")
    call = ["selftest", "--artifact", file, "--backend", "onnxruntime", "--model", "edge-n", "-o", tmp_path / "r.json"]
    assert main([*map(str, call)]) == 0, capsys.readouterr()
    litert, onnxruntime = (
        {step["name"]: step for step in test["steps"]}
        for test in json.loads((tmp_path / "r.json").read_text())["tests"]
    )
    for found in (litert, onnxruntime):
        assert found["parity"]["reference"] == "pytorch in fp32, recorded"
        assert found["parity"]["psnr"] > 50
    assert litert["timing"]["of_onnxruntime"] > 0
    assert onnxruntime["timing"]["of_onnxruntime"] == 1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_mask_gives_what_pytorch_gives(precision, files, edge_weights, inputs):
    composite, mask = inputs
    with closing(load(files[precision])) as ours:
        for name, change in MASKS.items():
            expected = pytorch(edge_weights, precision).infer(composite, change(mask))
            found = ours.infer(composite, change(mask))
            assert np.abs(found - expected).max() < (1e-4 if precision == "fp32" else 0.05), name


def test_batches_and_threads(files, inputs):
    composite, mask = inputs
    several = np.concatenate([composite, composite[..., ::-1], 1 - composite]), np.concatenate([mask, mask, 1 - mask])
    with closing(load(files["int8"], threads=2)) as ours:
        one_by_one = [ours.infer(several[0][k : k + 1].copy(), several[1][k : k + 1]) for k in range(3)]
        assert np.array_equal(ours.infer(*several), np.concatenate(one_by_one))
        with ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(ours.infer, several[0][k % 3][None].copy(), several[1][k % 3][None]) for k in range(9)]
        assert all(np.array_equal(call.result(), one_by_one[k % 3]) for k, call in enumerate(calls))
        with pytest.raises(InputError, match="takes 256x256, got 128x256"):
            ours.infer(composite[..., :128].copy(), mask[..., :128].copy())
    ours.close()
    with pytest.raises(RuntimeError, match="closed"):
        ours.infer(composite, mask)


def test_convolutions_compute_in_eight_bits(files):
    kinds = {p: read_operations(files[p]) for p in files}
    layers = {p: [each for each in found if "CONV" in each.kind] for p, found in kinds.items()}
    assert [len(found) for found in layers.values()] == [14, 14, 14]
    assert sum(each.is_integer for each in layers["int8"]) == 13  # the head's result is read in float
    assert {each.name for each in layers["int8"] if not each.is_integer} == {"head"}
    assert {each.weights for each in layers["fp16"]} == {schema.TensorType.FLOAT16}
    for precision in ("fp32", "fp16"):
        assert not any(each.is_integer for each in kinds[precision])
    assert {"RESIZE_BILINEAR", "ADD"} <= {each.kind for each in kinds["int8"] if each.is_integer}
    assert [each.name for each in layers["int8"]] == [each.name for each in layers["fp32"]]


def test_scales_and_weights_are_those_of_the_checkpoint(files, edge_weights):
    model = exportable("edge-n", read_weights(edge_weights), "int8")
    interpreter = Interpreter(model_path=str(files["int8"]))
    details = {row["name"]: row for row in interpreter.get_tensor_details()}
    checked = 0
    for name, module in model.named_modules():
        if not getattr(module, "exporting", False) or name == "head":
            continue
        ours = next(row for row in interpreter.get_tensor_details() if row["name"] == name and row["shape"].size == 4
                    and row["quantization_parameters"]["scales"].size > 1)  # fmt: skip
        found = ours["quantization_parameters"]
        assert np.array_equal(found["scales"], module.export_scales.numpy())
        assert not found["zero_points"].any()
        assert np.array_equal(interpreter.get_tensor(ours["index"]), module.weight_levels.permute(0, 2, 3, 1).numpy())
        checked += 1
    assert checked == 13
    rounded = details["quantize_per_tensor"]["quantization"]
    assert rounded == (pytest.approx(float(model.quantize_input.scale)), 0)


def test_equal_exports_are_equal_files(files, edge_weights, tmp_path):
    again = convert("edge-n", edge_weights, tmp_path)
    assert again.read_bytes() == files["int8"].read_bytes()
    sizes = {precision: file.stat().st_size for precision, file in files.items()}
    assert max(sizes["int8"], sizes["fp16"]) < sizes["fp32"]


def test_constants_lie_where_interpreters_can_read_them(files):
    """The schema asks for 16 bytes (``force_align``): some processors fault on floats that lie elsewhere."""
    content = files["fp32"].read_bytes()
    model = schema.Model.GetRootAsModel(content, 0)
    starts = [model.Buffers(k)._tab for k in range(model.BuffersLength()) if model.Buffers(k).DataLength()]
    assert len(starts) > 30
    assert {tab.Vector(tab.Offset(4)) % 16 for tab in starts} == {0}


def test_the_file_says_what_it_is(files, edge_weights):
    manifest = read_manifest(files["int8"])
    assert (manifest.backend, manifest.precision, manifest.engine) == ("litert", "int8", {"layout": "NHWC"})
    assert manifest.weights_sha256 == sha256_of(edge_weights)
    model = schema.ModelT.InitFromPackedBuf(files["int8"].read_bytes())
    (metadata,) = model.metadata
    assert metadata.name == b"edge_harmony"
    own = json.loads(bytes(model.buffers[metadata.buffer].data))
    assert own["weights_sha256"] == manifest.weights_sha256
    interpreter = Interpreter(model_path=str(files["int8"]))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["composite", "mask"], "outputs": ["transform"]}
    }
    shapes = {row["name"]: row["shape"].tolist() for row in interpreter.get_input_details()}
    assert shapes == {"composite": [1, 256, 256, 3], "mask": [1, 256, 256, 1]}


def test_layers_may_stay_float(files, edge_weights, tmp_path):
    path = convert("edge-n", edge_weights, tmp_path, keep_float=("merge.1",))
    assert path.name != files["int8"].name
    integer = {each.name for each in read_operations(path) if each.is_integer}
    assert "merge.0.conv" in integer
    assert "merge.1.conv" not in integer


class Layers(nn.Module):
    """Layers of every kind that a converter may get wrong: strides and sizes that do not divide, groups, cuts."""

    output = "affine"

    def __init__(self):
        super().__init__()
        self.strided = nn.Conv2d(4, 6, 5, 2, 2)
        self.odd = nn.Conv2d(6, 6, 3, 2, (0, 1))
        self.deep = nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False)
        self.wide = nn.Conv2d(6, 8, 3, 1, 2, dilation=2)
        self.dense = nn.Linear(8, 8)

    def forward(self, composite, mask):
        x = self.wide(torch.relu(self.deep(self.odd(self.strided(torch.cat([composite, mask], 1)))))).relu()
        means = self.dense(x.mean((2, 3)))[:, :, None, None]
        left, right = x.split(4, 1)
        x = torch.cat([right - 2, 3 - left.clamp(0.1, 0.4)], 1) * means + x.amax(2, keepdim=True)
        x = nn.functional.interpolate(x, size=(12, 20), mode="bilinear", align_corners=False)
        return x[:, 2:] / (x[:, -1:] + x.sum((1, 2), keepdim=True).clamp_min(5)).sqrt()


@pytest.mark.parametrize("size", [(40, 64), (37, 51)])
def test_layers_in_float_compute_what_pytorch_does(size):
    torch.manual_seed(1)
    model = Layers().eval()
    translator = Translator(decomposed(model, size), half=False)
    inputs, result = translator.translate()
    content = translator.file.packed(inputs, {"transform": result.number}, "layers", {})
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    composite, mask = torch.rand(1, 3, *size), torch.rand(1, 1, *size)
    network = interpreter.get_signature_runner()
    found = network(composite=composite.permute(0, 2, 3, 1).numpy(), mask=mask.permute(0, 2, 3, 1).numpy())
    expected = model(composite, mask).detach().permute(0, 2, 3, 1).numpy()
    assert found["transform"].shape == expected.shape
    assert np.abs(found["transform"] - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        (lambda x, m: torch.sin(x), "aten.sin.default is not translated"),
        (lambda x, m: x + m.view(5, 5), "tensors of 2 and 4 axes"),
        (lambda x, m: x.view(1, 15, -1)[..., None].view(1, 5, 3, -1), "a map made of a list"),
        (lambda x, m: x[..., ::2], "slices with steps"),
    ],
)
def test_what_is_not_translated_is_named(forward, said):
    class Network(nn.Module):
        def forward(self, composite, mask):
            return forward(composite, mask)

    with pytest.raises(CapabilityError, match=said) as caught:
        Translator(decomposed(Network(), (5, 5)), half=False).translate()
    assert caught.value.hint


def test_what_cannot_be_built_is_refused_before_the_work(edge_weights, tmp_path):
    backend = get_backend("litert")
    for request, kind, said in (
        (ExportRequest("edge-n", "int8", whole_pipeline=True), UsageError, "no whole pipeline"),
        (ExportRequest("hdnet-lite", "fp32"), CapabilityError, "networks that return rgb"),
    ):
        for call in (backend.steps, lambda wanted: backend.build(wanted, edge_weights, tmp_path)):
            with pytest.raises(kind, match=said):
                call(request)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_loaded_is_one_line(files, exported, tmp_path):
    with pytest.raises(UsageError, match=r"runs a \.tflite file"):
        get_backend("litert").load(LoadRequest("edge-n", "int8"))
    with pytest.raises(CapabilityError, match="does not run on cuda:0"):
        get_backend("litert").load(LoadRequest("edge-n", "int8", artifact=files["int8"], device="cuda:0"))
    with pytest.raises(UsageError, match="was made for the onnxruntime backend"):
        load(exported["fp32"])
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\x08\0\0\0" + b"no model" * 9)
    manifest = read_manifest(files["int8"]).model_copy(update={"file_sha256": sha256_of(broken)})
    manifest_path(broken).write_text(manifest.model_dump_json())
    with pytest.raises(ArtifactError, match="is no LiteRT file"):
        load(broken)


def _set(model, path, value):
    """Set what lies at a path of names and numbers."""
    for step in path[:-1]:
        model = model[step] if isinstance(step, int) else getattr(model, step)
    if isinstance(path[-1], int):
        model[path[-1]] = value
    else:
        setattr(model, path[-1], value)


OPERATOR, TENSOR = ("subgraphs", 0, "operators", 9), ("subgraphs", 0, "tensors", 12)
DAMAGES = {
    "an operator without results": ((*OPERATOR, "outputs"), None),
    "an empty list of results": ((*OPERATOR, "outputs"), []),
    "a result that is no tensor": ((*OPERATOR, "outputs"), [100_000]),
    "an operator without inputs": ((*OPERATOR, "inputs"), None),
    "an input that is no tensor": ((*OPERATOR, "inputs"), [100_000]),
    "a negative input": ((*OPERATOR, "inputs"), [-7]),
    "an input that is computed later": (("subgraphs", 0, "operators", 0, "inputs"), "the last result"),
    "an unknown kind of operator": ((*OPERATOR, "opcodeIndex"), 5_000),
    "a buffer that is not there": ((*TENSOR, "buffer"), 5_000),
    "a shape beyond memory": ((*TENSOR, "shape"), [2**30, 2**30]),
    "a negative side": ((*TENSOR, "shape"), [-1, 4]),
    "a graph without inputs": (("subgraphs", 0, "inputs"), None),
    "a graph's input that is no tensor": (("subgraphs", 0, "inputs"), [0, 100_000]),
    "a graph's result that is no tensor": (("subgraphs", 0, "outputs"), [100_000]),
    "no graph": (("subgraphs",), None),
    "a signature of another graph": (("signatureDefs", 0, "subgraphIndex"), 3),
    "a signature of no tensor": (("signatureDefs", 0, "inputs", 0, "tensorIndex"), 100_000),
    "a constant that is cut off": ("a constant", None),
    "scales for other channels": ("scales", None),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_a_file_refers_to_must_be_there(name, files, tmp_path):
    """LiteRT follows such numbers out of its memory."""
    model = schema.ModelT.InitFromPackedBuf(files["int8"].read_bytes())
    (graph,) = model.subgraphs
    path, value = DAMAGES[name]
    if path == "a constant":
        buffer = next(buffer for buffer in model.buffers[1:] if buffer.data is not None and len(buffer.data) > 64)
        buffer.data = buffer.data[:-4]
    elif path == "scales":
        tensor = next(t for t in graph.tensors if t.quantization is not None and len(t.quantization.scale) > 1)
        tensor.quantization.scale = tensor.quantization.scale[:-1]
    else:
        _set(model, path, [graph.outputs[0]] if value == "the last result" else value)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(builder.Output())
    manifest = read_manifest(files["int8"]).model_copy(update={"file_sha256": sha256_of(broken)})
    manifest_path(broken).write_text(manifest.model_dump_json())
    for call in (lambda: load(broken), lambda: read_operations(broken)):
        with pytest.raises(ArtifactError, match=r"broken\.tflite is damaged") as caught:
            call()
        assert "\n" not in str(caught.value).strip()


def test_without_the_package_the_extra_is_named(monkeypatch, files, tmp_path, edge_weights):
    monkeypatch.setattr("edge_harmony.extras.find_spec", lambda module: None)
    backend = get_backend("litert")
    monkeypatch.setattr("edge_harmony.backends.litert.backend.is_installed", lambda module: False)
    assert not backend.probe().available
    assert "litert" in backend.probe().fix
    with pytest.raises(CapabilityError, match="needs ai-edge-litert"):
        backend.load(LoadRequest("edge-n", "int8", artifact=files["int8"]))
    (step,) = backend.steps(ExportRequest("edge-n", "int8"))
    assert "ai-edge-litert" in step.missing
    assert "litert" in step.fix


def check(capsys, *arguments):
    status = main(["check", *map(str, arguments), "--json"])
    said = capsys.readouterr()
    return status, json.loads(said.out) if status == 0 else said.err


def test_check_says_what_computes_in_eight_bits(files, capsys):
    status, report = check(capsys, files["int8"], "--target", "android-int8")
    assert (status, report["findings"], report["runtime"]) == (0, [], "litert")
    layers = {row["name"]: row for row in report["layers"]}
    assert layers["merge.0.conv"]["precision"] == "int8"
    assert layers["merge.0.conv"]["kind"] == "CONV_2D + RELU"
    assert layers["head"]["reason"] == "its result is read in float"
    assert len(report["reformats"]) >= 2
    assert len(report["unknown"]) == 2
    assert check(capsys, files["int8"])[1]["layers"] == report["layers"]
    _, report = check(capsys, files["fp16"], "--target", "litert")
    reasons = {row["reason"] for row in report["layers"] if row["kind"].split(" ")[0] in WEIGHTED}
    assert reasons == {"its weights are stored in 16 bits, and it computes in 32"}
    assert report["reformats"] == []


@pytest.mark.parametrize(
    ("precision", "target", "said"),
    [
        ("fp32", "android-int8", "no layer computes in 8 bits"),
        ("int8", "android-fp32", "layers compute in 8 bits, and the target is fp32"),
        ("fp32", "android-fp16", "no weights are stored in 16 bits"),
    ],
)
def test_check_holds_a_file_against_a_target(precision, target, said, files, capsys):
    _, report = check(capsys, files[precision], "--target", target)
    (finding,) = report["findings"]
    assert said in finding["problem"]
    assert not finding["fatal"]


def test_check_of_other_files_is_one_line(files, exported, tmp_path, capsys):
    status, said = check(capsys, exported["fp32"], "--target", "litert")
    assert (status, "is no LiteRT file" in said) == (1, True)
    status, said = check(capsys, tmp_path / "none.tflite", "--target", "litert")
    assert (status, "there is no file" in said) == (2, True)
    content = files["int8"].read_bytes()
    for length in (9, 100, len(content) // 2):
        (tmp_path / "cut.tflite").write_bytes(content[:length])
        status, said = check(capsys, tmp_path / "cut.tflite", "--target", "litert")
        assert (status, said.count("\n")) == (1, 1), length


def test_verbs_find_the_backend_of_a_file(files, tmp_path, capsys, edge_weights):
    _, pixels, mask = next(iter(sample_pictures()))
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    cv2.imwrite(str(tmp_path / "a_mask.png"), np.rint(mask * 255).astype(np.uint8))
    file = shutil.copy(files["int8"], tmp_path)
    shutil.copy(manifest_path(files["int8"]), tmp_path)
    call = ["harmonize", str(tmp_path / "a.png"), str(tmp_path / "a_mask.png"), "-o", str(tmp_path / "b.png")]
    assert main([*call, "--artifact", file]) == 0
    assert main(["compare", file, "--weights", str(edge_weights), "--min-psnr", "38"]) == 0
    capsys.readouterr()
    changed = np.abs(cv2.imread(str(tmp_path / "b.png")).astype(int) - pixels[..., ::-1])
    assert changed[mask == 0].max() == 0
    assert changed.max() > 0
