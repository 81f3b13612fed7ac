"""Export, the two flavours, and ONNX Runtime against PyTorch."""

import json
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from edge_harmony.backends.base import LoadRequest
from edge_harmony.backends.discovery import backend_names, get_backend
from edge_harmony.cli.main import main
from edge_harmony.cli.streams import Terminated
from edge_harmony.errors import ArtifactError, CapabilityError, InputError, UsageError
from edge_harmony.export.onnx import export_onnx, trace
from edge_harmony.export.prepare import METADATA_KEY
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.manifest import read_manifest
from edge_harmony.models.hdnet import HDNet
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import save_weights


def inputs(batch=2):
    rng = np.random.default_rng(0)
    mask = np.kron(rng.random((batch, 1, 8, 8)) > 0.5, np.ones((32, 32)))
    return rng.random((batch, 3, 256, 256), dtype=np.float32), mask.astype(np.float32)


def infer(path_or_weights, precision, arrays, backend="onnxruntime"):
    field = "weights" if backend == "pytorch" else "artifact"
    runner = get_backend(backend).load(LoadRequest("edge-n", precision, **{field: path_or_weights}))
    try:
        return runner.infer(*arrays)
    finally:
        runner.close()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_float_parity_at_any_batch(exported, edge_weights, backend):
    for batch in (1, 2, 3):
        arrays = inputs(batch)
        reference = infer(edge_weights, "fp32", arrays, "pytorch")
        result = infer(exported["fp32"], "fp32", arrays, backend)
        assert np.abs(result - reference).max() < 1e-5 * max(1, np.abs(reference).max())


@pytest.mark.parametrize(
    ("flavour", "backend", "least"),
    [
        ("int8", "onnxruntime", 25),
        ("signed", "onnxruntime", 25),
        ("int8", "openvino", 8),  # without VNNI its 16-bit sums saturate, which an untrained network provokes
    ],
)
def test_integer_parity_with_fake_quantization(exported, edge_weights, flavour, backend, least):
    arrays = inputs()
    reference = infer(edge_weights, "int8", arrays, "pytorch")
    result = infer(exported[flavour], "int8", arrays, backend)
    error = np.square(result - reference).mean()
    assert (
        10 * np.log10(np.square(reference).mean() / error) > least
    )  # a level of an early layer moves the untrained net
    assert np.abs(result - reference).mean() < (0.02 if least > 8 else 0.1) * np.abs(reference).max()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_half_precision_parity(exported, edge_weights, backend):
    arrays = inputs(1)
    reference = infer(edge_weights, "fp32", arrays, "pytorch")
    result = infer(exported["fp16"], "fp16", arrays, backend)
    assert result.dtype == np.float32
    assert np.abs(result - reference).max() < 0.01 * np.abs(reference).max()


def test_half_precision_is_typed_and_keeps_statistics_in_float(exported):
    model = onnx.shape_inference.infer_shapes(onnx.load(exported["fp16"]), strict_mode=True)
    values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    seen = {"Conv": 0, "ReduceSum": 0}
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert {types[name] for name in (*node.input, *node.output)} == {half}
        elif node.op_type in ("ReduceSum", "Sqrt", "Div", "Gemm"):
            assert {types[node.input[0]], types[node.output[0]]} == {single}
        seen[node.op_type] = seen.get(node.op_type, 0) + 1
    assert seen["Conv"] == sum(node.op_type == "Conv" for node in onnx.load(exported["fp32"]).graph.node)
    assert seen["ReduceSum"] > 0
    assert all(types[value.name] == single for value in (*model.graph.input, *model.graph.output))
    assert exported["fp16"].stat().st_size < 0.75 * exported["fp32"].stat().st_size


@pytest.mark.parametrize("precision", [pytest.param("fp32", marks=pytest.mark.slow), "fp16", "int8"])
def test_exporting_twice_gives_the_same_bytes(precision, exported, edge_weights, tmp_path, exporter, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", exporter)
    again = export_onnx("edge-n", edge_weights, tmp_path, precision=precision)
    assert sha256_of(again) == sha256_of(exported[precision])


@pytest.mark.parametrize("flavour", ["unsigned", "signed"])
def test_a_file_is_checked_once_and_in_its_last_form(flavour, edge_weights, tmp_path, exporter, monkeypatch):
    checked = []
    monkeypatch.setattr(torch.onnx, "export", exporter)
    monkeypatch.setattr(onnx.checker, "check_model", lambda model, full_check: checked.append(list(model.graph.node)))
    path = export_onnx("edge-n", edge_weights, tmp_path, precision="int8", flavour=flavour)
    assert checked == [list(onnx.load(path).graph.node)]


def test_files_carry_what_they_are(exported, edge_weights):
    for precision in ("fp32", "fp16", "int8"):
        model = onnx.load(exported[precision])
        onnx.checker.check_model(model, full_check=True)
        facts = json.loads({entry.key: entry.value for entry in model.metadata_props}[METADATA_KEY])
        manifest = read_manifest(exported[precision])
        assert facts["weights_sha256"] == manifest.weights_sha256 == sha256_of(edge_weights)
        assert facts["precision"] == manifest.precision == precision
        assert manifest.io.output == "affine"
        text = model.SerializeToString()
        assert b"/root" not in text
        assert b"site-packages" not in text


def constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_signed_flavour_is_what_tensorrt_reads(exported):
    model = onnx.load(exported["signed"])
    values = constants(model)
    pairs = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    for node in pairs:
        zero = values[node.input[2]]
        assert zero.dtype == np.int8
        assert (zero == 0).all()
        assert (values[node.input[1]] > 0).all()
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) > 2:  # the exporter drops biases of zeros
            assert values[node.input[2]].dtype == np.float32


def test_unsigned_flavour_keeps_every_scale_and_uses_integer_biases(exported):
    signed, unsigned = onnx.load(exported["signed"]), onnx.load(exported["int8"])
    values, before = constants(unsigned), constants(signed)
    producer = {name: node for node in unsigned.graph.node for name in node.output}
    seen = set()
    for ours, theirs in zip(
        [n for n in unsigned.graph.node if n.op_type == "QuantizeLinear"],
        [n for n in signed.graph.node if n.op_type == "QuantizeLinear"],
        strict=True,
    ):
        assert values[ours.input[1]] == before[theirs.input[1]]
        zero = values[ours.input[2]]
        assert zero.dtype == np.uint8
        source = producer.get(ours.input[0])
        if source is not None and source.op_type == "Relu":
            assert zero == 0
        seen.add(int(zero))
    assert seen == {0, 128}
    weights = set()
    for node in unsigned.graph.node:
        if node.op_type == "Conv":
            if len(node.input) > 2:
                assert values[producer[node.input[2]].input[0]].dtype == np.int32
            weights.add(producer[node.input[1]].input[2])
    assert len(weights) == sum(node.op_type == "Conv" for node in unsigned.graph.node)  # a zero point each


def test_onnx_runtime_really_computes_in_integers(exported, tmp_path):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(exported["int8"]), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    convolutions = sum(node.op_type == "Conv" for node in onnx.load(exported["int8"]).graph.node)
    assert kinds.count("QLinearConv") == convolutions - 1  # all but the head, whose result is float


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "opset"), [("default", 18), ("official", 20)])
def test_hdnet_exports_and_agrees(tmp_path, opset, variant):
    torch.manual_seed(0)
    model = HDNet(4, variant=variant, neighbours=3 if variant == "default" else 1).eval()
    proto = trace(model, (64, 64), opset=opset, dynamic_batch=True)
    assert {entry.domain: entry.version for entry in proto.opset_import}[""] == opset
    import onnxruntime as ort

    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    composite, mask = torch.rand(3, 3, 64, 64), (torch.rand(3, 1, 64, 64) > 0.5).float()
    result = session.run(None, {"composite": composite.numpy(), "mask": mask.numpy()})[0]
    with torch.no_grad():
        np.testing.assert_allclose(result, model(composite, mask), atol=3e-4)  # noise of an untrained network


def test_what_cannot_be_exported(tmp_path, edge_weights):
    path = tmp_path / "instance.safetensors"
    save_weights(path, build_model("edge-n", norm="instance"), name="edge-n", options={"norm": "instance"})
    with pytest.raises(CapabilityError, match="instance norms cannot be folded"):
        export_onnx("edge-n", path, tmp_path, precision="int8")
    plain = tmp_path / "plain.safetensors"
    save_weights(plain, build_model("edge-n"), name="edge-n")
    with pytest.raises(ArtifactError, match="no activation ranges"):
        export_onnx("edge-n", plain, tmp_path, precision="int8")
    with pytest.raises(CapabilityError, match="int4"):
        export_onnx("edge-n", edge_weights, tmp_path, precision="int4")
    large = tmp_path / "large.safetensors"
    model = build_model("edge-n")
    torch.nn.init.constant_(model.head.bias, 1e5)
    save_weights(large, model, name="edge-n")
    with pytest.raises(CapabilityError, match="range of half precision"):
        export_onnx("edge-n", large, tmp_path, precision="fp16", size=(64, 64))
    assert list(tmp_path.glob("*.onnx")) == []


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_runner_errors(exported, tmp_path, edge_weights, name):
    backend = get_backend(name)
    runner = backend.load(LoadRequest("edge-n", "int8", artifact=exported["int8"]))
    with pytest.raises(InputError, match="takes 256x256"):
        runner.infer(np.zeros((1, 3, 64, 64), np.float32), np.zeros((1, 1, 64, 64), np.float32))
    runner.close()
    runner.close()
    with pytest.raises(RuntimeError, match="closed"):
        runner.infer(*inputs(1))
    cut = tmp_path / exported["int8"].name
    cut.write_bytes(exported["int8"].read_bytes()[:2000])
    manifest = read_manifest(exported["int8"]).model_copy(update={"file_sha256": sha256_of(cut)})
    from edge_harmony.files.manifest import write_manifest

    write_manifest(cut, manifest)
    with pytest.raises(ArtifactError, match="does not take"):
        backend.load(LoadRequest("edge-n", "int8", artifact=cut))
    with pytest.raises(UsageError, match="artifact, not weights"):
        backend.load(LoadRequest("edge-n", "int8", weights=edge_weights))
    with pytest.raises(UsageError, match="shipped"):
        backend.load(LoadRequest("hdnet", "fp32"))
    with pytest.raises(CapabilityError, match="int4"):
        backend.load(LoadRequest("edge-s", "int4"))


def test_backends_are_found_by_entry_point():
    assert {"onnxruntime", "openvino", "pytorch"} <= set(backend_names())
    for name in ("onnxruntime", "openvino", "pytorch"):
        probe = get_backend(name).probe()
        assert probe.available
        assert "int8" in probe.precisions
    with pytest.raises(UsageError, match="did you mean onnxruntime"):
        get_backend("onnx-runtime")


def test_pytorch_backend_errors(edge_weights, exported, tmp_path):
    backend = get_backend("pytorch")
    with pytest.raises(UsageError, match="not an artifact"):
        backend.load(LoadRequest("edge-n", "fp32", artifact=exported["fp32"]))
    with pytest.raises(CapabilityError, match="fp16"):
        backend.load(LoadRequest("edge-n", "fp16", weights=edge_weights))
    plain = tmp_path / "plain.safetensors"
    save_weights(plain, build_model("edge-n"), name="edge-n")
    with pytest.raises(ArtifactError, match="no activation ranges"):
        backend.load(LoadRequest("edge-n", "int8", weights=plain))


def test_every_reader_of_the_signed_flavour_dequantizes_for_itself(exported):
    """Of activations and weights alike, and the arithmetic is that of shared dequantizations."""
    graph = onnx.load(exported["signed"]).graph
    readers = Counter(name for node in graph.node for name in node.input)
    outputs = [node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"]
    assert {readers[name] for name in outputs} == {1}
    quantized = {node.output[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    sources = Counter(node.input[0] for node in graph.node if node.op_type == "DequantizeLinear")
    assert max(sources[name] for name in quantized) > 1  # there was something to repeat


@pytest.mark.parametrize(("kind", "status"), [(KeyboardInterrupt, 130), (Terminated, 143)])
@pytest.mark.parametrize("verb", ["export", "selftest"])
def test_a_signal_that_the_exporter_makes_an_error_of(verb, kind, status, tmp_path, monkeypatch, capsys):
    """Interrupted while it imports a part of itself, torch fails again as it clears up."""

    def interrupted(*arguments, **options):
        try:
            raise kind
        finally:
            raise AttributeError("partially initialized module 'torch._dynamo' has no attribute 'decorators'")

    monkeypatch.setattr("torch.onnx.export", interrupted)
    monkeypatch.chdir(tmp_path)
    call = {
        "export": ["export", "edge-n", "--target", "cpu-onnxruntime-fp32", "-o", "out"],
        "selftest": ["selftest", "--target", "cpu-onnxruntime-fp32", "--model", "edge-n", "-o", "report.json"],
    }
    assert main(call[verb]) == status
    assert capsys.readouterr().err.splitlines()[-1] in ("error: interrupted", "error: terminated")
    assert not list(tmp_path.rglob("*.json"))
