"""Model repositories for Triton: against Triton's own schema, and against the network's file."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format

from edge_harmony.backends.targets import read_target
from edge_harmony.cli.main import main
from edge_harmony.errors import ArtifactError, InputError
from edge_harmony.export.triton import (
    SERVERS,
    ServedTensor,
    TritonOptions,
    engine_path,
    repository_path,
    tensors_of,
    write_config,
    write_repository,
)
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.manifest import IOSpec, Manifest, read_manifest
from edge_harmony.harmonizer import Harmonizer
from edge_harmony.models.registry import weights_folder
from edge_harmony.samples import sample_pictures
from tests.unit.test_imports import ROOT

pytestmark = pytest.mark.lengthy

TYPES = {"tensor(float)": "TYPE_FP32"}
SHIPPED = weights_folder() / "edge-s-160x160-int8.onnx"


@pytest.fixture(scope="module")
def schema():
    """``ModelConfig`` as the client library of Triton carries it, without importing gRPC."""
    found = importlib.util.find_spec("tritonclient")
    if found is None:
        pytest.skip("tritonclient is not installed")
    spec = importlib.util.spec_from_file_location(
        "model_config_pb2", Path(found.origin).parent / "grpc" / "model_config_pb2.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_config(path, schema):
    return text_format.Parse(path.read_text(encoding="utf-8"), schema.ModelConfig())


def manifest_of(path):
    io = IOSpec(height=64, width=64, output="affine")
    return Manifest(
        model="edge-n",
        precision="fp32",
        backend="onnx",
        io=io,
        file_sha256=sha256_of(path),
        weights_sha256="0" * 64,
    )


def network(folder, batch, name="edge-n-64x64-fp32.onnx"):
    """An ONNX file with the inputs and the output of a network; it adds the mask to the first channel."""
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Add", ["composite", "mask"], ["transform"])],
            "sum",
            [
                onnx.helper.make_tensor_value_info("composite", onnx.TensorProto.FLOAT, [batch, 3, 64, 64]),
                onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, [batch, 1, 64, 64]),
            ],
            [onnx.helper.make_tensor_value_info("transform", onnx.TensorProto.FLOAT, [batch, 3, 64, 64])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.save(made, str(folder / name))
    return folder / name


def agree(config, session, batch):
    """Names, types and sides of a configuration are those that ONNX Runtime reads from the file."""
    for described, own in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [tensor.name for tensor in described] == [tensor.name for tensor in own]
        for tensor, value in zip(described, own, strict=True):
            assert list(tensor.dims) == value.shape[1 if batch else 0 :]
            assert (
                config.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number[tensor.data_type].name
                == TYPES[value.type]
            )


def test_an_export_for_cpus_is_a_repository_that_runs(edge_weights, tmp_path, capsys, schema):
    arguments = ["export", "edge-n", "--weights", edge_weights, "--target", "triton-cpu-int8", "-o", tmp_path]
    assert main([*map(str, arguments)]) == 0
    said = capsys.readouterr().out
    repository = tmp_path / "triton"
    assert said.splitlines()[-1] == f"serve: tritonserver --model-repository={repository}"
    (model,) = repository.iterdir()
    assert sorted(str(path.relative_to(model)) for path in model.rglob("*")) == ["1", "1/model.onnx", "config.pbtxt"]
    config = read_config(model / "config.pbtxt", schema)
    assert config.name == model.name == "edge-n-256x256-int8"
    assert (config.backend, config.default_model_filename) == ("onnxruntime", "model.onnx")
    assert config.max_batch_size == 8
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    (group,) = config.instance_group
    assert (group.count, group.kind) == (1, schema.ModelInstanceGroup.KIND_CPU)
    manifest = read_manifest(tmp_path / f"{model.name}.onnx")
    assert sha256_of(model / "1" / "model.onnx") == manifest.file_sha256
    assert config.parameters["edge_harmony_sha256"].string_value == manifest.file_sha256
    assert config.parameters["edge_harmony_output"].string_value == "affine"
    session = onnxruntime.InferenceSession(str(model / "1" / "model.onnx"), providers=["CPUExecutionProvider"])
    agree(config, session, batch=True)
    feeds = {tensor.name: np.zeros((config.max_batch_size, *tensor.dims), np.float32) for tensor in config.input}
    (output,) = session.run(None, feeds)
    assert output.shape == (config.max_batch_size, *config.output[0].dims)
    assert main([*map(str, arguments), "--json"]) == 0  # again: it is replaced
    report = json.loads(capsys.readouterr().out)
    assert report["repository"] == str(repository)


def test_without_a_gpu_the_repository_waits_for_its_engine(edge_weights, tmp_path, capsys, schema, monkeypatch):
    monkeypatch.setattr("edge_harmony.backends.tensorrt.bridge.is_installed", lambda name: False)
    arguments = ["export", "edge-n", "--weights", edge_weights, "--target", "triton-cuda-int8", "-o", tmp_path]
    assert main([*map(str, arguments)]) == 0
    model = tmp_path / "triton" / "edge-n-256x256-int8-signed-batch1"
    assert capsys.readouterr().out.splitlines()[-2] == f"then copy the engine to {model / '1' / 'model.plan'}"
    assert list((model / "1").iterdir()) == []
    config = read_config(model / "config.pbtxt", schema)
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    (group,) = config.instance_group
    assert (group.count, group.kind) == (2, schema.ModelInstanceGroup.KIND_GPU)
    session = onnxruntime.InferenceSession(str(tmp_path / f"{model.name}.onnx"), providers=["CPUExecutionProvider"])
    agree(config, session, batch=False)


def test_an_engine_is_copied_as_it_is(tmp_path, schema):
    file = network(tmp_path, 1)
    engine = tmp_path / "any-name.plan"
    engine.write_bytes(b"engine")
    manifest = manifest_of(engine)
    model = write_repository(tmp_path, file, engine, manifest, "tensorrt", TritonOptions())
    assert engine_path(model, "tensorrt").read_bytes() == b"engine"
    config = read_config(model / "config.pbtxt", schema)
    assert list(config.input[0].dims) == [1, 3, 64, 64]
    assert config.parameters["edge_harmony_sha256"].string_value == sha256_of(engine)


def test_texts_are_escaped(tmp_path, schema):
    name = 'a "b"\\ \n ä'
    manifest = manifest_of(network(tmp_path, "N"))
    text = write_config(
        name, SERVERS["onnxruntime"], (ServedTensor(name, "TYPE_FP32", (-1, 3)),), (), manifest, TritonOptions()
    )
    assert text.isascii()
    config = text_format.Parse(text, schema.ModelConfig())
    assert config.name == config.input[0].name == name


def test_the_batch_is_open_only_if_it_is_so_everywhere(tmp_path):
    manifest = manifest_of(network(tmp_path, "N"))
    inputs, outputs = tensors_of(network(tmp_path, "N"))
    assert inputs[0] == ServedTensor("composite", "TYPE_FP32", (-1, 3, 64, 64))
    fixed = (ServedTensor("transform", "TYPE_FP32", (1, 12, 8, 8)),)
    for given, most in ((outputs, 4), (fixed, 0)):
        text = write_config("m", SERVERS["onnxruntime"], inputs, given, manifest, TritonOptions(max_batch_size=4))
        assert f"max_batch_size: {most}\n" in text


def test_what_is_refused(edge_weights, tmp_path, capsys):
    base = [
        "export",
        "edge-n",
        "--weights",
        str(edge_weights),
        "--target",
        "triton-cpu-int8",
        "-o",
        str(tmp_path / "o"),
    ]
    assert main([*base, "--whole-pipeline"]) == 2
    assert "leave --whole-pipeline out" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    own = tmp_path / "own-fp32.toml"
    text = (ROOT / "export" / "targets" / "cpu-openvino-fp32.toml").read_text()
    own.write_text(f"{text}\n[triton]\n")
    with pytest.raises(InputError, match="goes with the backends onnxruntime and tensorrt, not with openvino"):
        read_target(str(own))
    own.write_text(
        (ROOT / "export" / "targets" / "cpu-onnxruntime-fp32.toml").read_text() + "\n[triton]\ninstances = 0\n"
    )
    with pytest.raises(InputError, match="triton"):
        read_target(str(own))
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(ArtifactError, match="cannot be read"):
        tensors_of(tmp_path / "x.onnx")


GUIDE = (ROOT / "docs" / "triton.md").read_text(encoding="utf-8")


def in_guide(language):
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    return text


def test_the_guides_client_gives_what_harmonize_gives():
    _, composite, mask = next(iter(sample_pictures()))
    session = onnxruntime.InferenceSession(str(SHIPPED), providers=["CPUExecutionProvider"])
    names = {"composite": composite, "mask": mask, "infer": lambda feeds: session.run(None, feeds)[0]}
    exec(in_guide("python"), names)
    with Harmonizer.from_pretrained("edge-s") as harmonizer:
        np.testing.assert_array_equal(names["result"], harmonizer.harmonize(composite, mask))


def test_the_guides_target_has_batches(tmp_path, capsys, schema, monkeypatch):
    monkeypatch.setattr("edge_harmony.backends.tensorrt.bridge.is_installed", lambda name: False)
    own = tmp_path / "own-fp16.toml"
    own.write_text(in_guide("toml"))
    assert main(["export", "edge-s", "--target", str(own), "-o", str(tmp_path)]) == 0, capsys.readouterr().err
    (model,) = (tmp_path / "triton").iterdir()
    config = read_config(model / "config.pbtxt", schema)
    assert config.max_batch_size == read_target(str(own)).options.profile.largest["mask"][0] == 8
    agree(config, onnxruntime.InferenceSession(str(tmp_path / f"{model.name}.onnx")), batch=True)


def read_text(text):
    """The fields of a protocol buffer in text form, as ``(name, value)``; messages are lists."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.sub(r"#.*", "", text))

    def value():
        token = tokens.pop(0)
        if token != "[":
            return json.loads(token) if re.match(r'["\d.-]', token) else token
        items = []
        while tokens[0] != "]":
            items.append(value())
            if tokens[0] == ",":
                tokens.pop(0)
        tokens.pop(0)
        return items

    def message():
        fields = []
        while tokens and tokens[0] != "}":
            name = tokens.pop(0)
            assert re.fullmatch(r"[a-z_]+", name), name
            if tokens[0] == ":":
                tokens.pop(0)
                fields.append((name, value()))
            else:
                assert tokens.pop(0) == "{", name
                fields.append((name, message()))
                assert tokens.pop(0) == "}", name
        return fields

    found = message()
    assert not tokens
    return found


def test_the_configuration_for_deepstream_names_the_network_as_it_is():
    config = dict(read_text((ROOT / "examples" / "deepstream" / "edge-s.pbtxt").read_text(encoding="utf-8")))
    infer = dict(config["infer_config"])
    backend = infer["backend"]
    triton = dict(dict(backend)["triton"])
    assert triton["model_name"] == repository_path(Path(), SHIPPED.name).name
    assert dict(triton["model_repo"])["root"] == "out/triton"
    inputs, outputs = tensors_of(SHIPPED)
    given = [dict(fields) for name, fields in backend if name == "inputs"]
    assert [(one["name"], tuple(one["dims"])) for one in given] == [(one.name, one.dims[1:]) for one in inputs]
    assert {one["data_type"].removeprefix("TENSOR_DT_") for one in given} == {"FP32"}
    assert [dict(fields)["name"] for name, fields in backend if name == "outputs"] == [one.name for one in outputs]
    before = dict(infer["preprocess"])
    assert before["tensor_name"] == inputs[0].name
    assert dict(before["normalize"])["scale_factor"] * 255 == pytest.approx(1, abs=1e-6)
    assert infer["max_batch_size"] == read_target("triton-cpu-int8").triton.max_batch_size
