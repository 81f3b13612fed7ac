"""check: layers and reasons of real exports, every refusal planted once, and the command line."""

import json
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_harmony.backends.discovery import backend_names
from edge_harmony.backends.onnxruntime import rules as onnxruntime
from edge_harmony.backends.onnxruntime.placement import placed_operators
from edge_harmony.backends.openvino import rules as openvino
from edge_harmony.backends.targets import read_target
from edge_harmony.backends.tensorrt import rules as tensorrt
from edge_harmony.cli.main import main
from edge_harmony.errors import ArtifactError, UsageError
from edge_harmony.export.onnx import export_onnx
from edge_harmony.files.resources import find_resource
from edge_harmony.inspection.graph import index, read_graph
from edge_harmony.inspection.layers import broken_chains, report_layers
from edge_harmony.inspection.refusals import find_refusals
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import save_weights
from edge_harmony.quantization.prepare import observe_with, prepare_qat


def layers(path, rules=onnxruntime):
    return report_layers(read_graph(path), rules.LAYERS)


def refusals(graph, rules, **limits):
    return find_refusals(graph, rules.REFUSALS, **limits)


def test_integer_layers_are_those_that_onnx_runtime_really_fuses(exported):
    rows = layers(exported["int8"])
    integer = [row for row in rows if row.kind.startswith("Conv") and row.precision == "int8"]
    placed = placed_operators(exported["int8"])
    assert len(integer) == placed["QLinearConv"]
    assert sum(row.kind == "Add" and row.precision == "int8" for row in rows) == placed["QLinearAdd"]
    assert not any(row.reason for row in integer)
    head = [row for row in rows if row.kind.startswith("Conv")][-1]
    assert head.precision == "float"
    assert "result" in head.reason
    islands = [row for row in rows if row.name.startswith("island")]
    assert islands
    assert all("ReduceSum" in row.kind or "statistics" in row.reason for row in islands)
    assert any("read in float" in place for place in broken_chains(read_graph(exported["int8"])))


def test_other_runtimes_need_no_quantized_result(exported):
    for rules in (openvino, tensorrt):
        assert all(row.precision == "int8" for row in layers(exported["signed"], rules) if row.kind.startswith("Conv"))


def test_float_and_half_files_say_so(exported):
    assert {row.reason for row in layers(exported["fp32"]) if row.kind.startswith("Conv")} == {
        "the file is not quantized"
    }
    half = [row for row in layers(exported["fp16"]) if row.kind.startswith("Conv")]
    assert {row.precision for row in half} == {"fp16"}
    assert {row.reason for row in half} == {"typed in 16 bits"}


@pytest.mark.slow
def test_transposed_convolutions_and_layers_kept_in_float_are_explained(tmp_path, edge_weights):
    import torch

    from edge_harmony.models.layers.conv_unit import fold_norms

    torch.manual_seed(0)
    model = prepare_qat(fold_norms(build_model("hdnet-lite", width=4).eval()))
    mask = (torch.rand(1, 1, 64, 64) > 0.5).float()
    observe_with(model, [(torch.rand(1, 3, 64, 64), mask)])
    save_weights(tmp_path / "lite.safetensors", model, name="hdnet-lite", options={"width": 4})
    path = export_onnx("hdnet-lite", tmp_path / "lite.safetensors", tmp_path, precision="int8", size=(64, 64))
    reasons = {row.kind: row.reason for row in layers(path)}
    assert reasons["ConvTranspose"] == "ONNX Runtime has no integer kernel for ConvTranspose"
    kept = export_onnx("edge-n", edge_weights, tmp_path, precision="int8", keep_float=["encoder.1.0"])
    convolutions = [row for row in layers(kept) if row.kind.startswith("Conv")]
    assert convolutions[1].reason == "its weights are not quantized"
    assert "its input is not quantized" in convolutions[2].reason


def tensor(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def planted(nodes, initializers=(), inputs=(("x", TensorProto.FLOAT, [1, 4, 8, 8]),), output=("y", TensorProto.FLOAT)):
    graph = helper.make_graph(
        nodes,
        "planted",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(output[0], output[1], None)],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def quantize_then_back(zero, scale=0.1):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    return planted(nodes, [tensor("s", np.float32(scale)), tensor("z", zero)])


def convolution(weights, bias=(), inputs=("x", "w")):
    return helper.make_node("Conv", [*inputs, *bias], ["y"], name="conv"), weights


def per_channel(axis):
    node, _ = convolution(None)
    levels = tensor("l", np.ones((4, 4, 1, 1), np.int8))
    scales, zeros = tensor("s", np.full(4, 0.1, np.float32)), tensor("z", np.zeros(4, np.int8))
    return planted(
        [helper.make_node("DequantizeLinear", ["l", "s", "z"], ["w"], axis=axis), node], [levels, scales, zeros]
    )


def integer_bias():
    node, _ = convolution(None, ("b",))
    constants = [
        tensor("w", np.ones((4, 4, 1, 1), np.float32)),
        tensor("l", np.ones(4, np.int32)),
        tensor("s", np.float32(1)),
    ]
    return planted([helper.make_node("DequantizeLinear", ["l", "s"], ["b"]), node], constants)


def top_k(k):
    nodes = [helper.make_node("TopK", ["x", "k"], ["y", "i"])]
    return planted(nodes, [tensor("k", np.array([k], np.int64))], (("x", TensorProto.FLOAT, [1, 5000]),))


def half_weights():
    node, _ = convolution(None)
    shape = (("x", TensorProto.FLOAT16, [1, 4, 8, 8]),)
    return planted([node], [tensor("w", np.ones((4, 4, 1, 1), np.float32))], shape, ("y", TensorProto.FLOAT16))


def resize():
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], antialias=1, mode="linear")
    return planted([node], [tensor("s", np.array([1, 1, 0.5, 0.5], np.float32))])


BYTES = (("x", TensorProto.UINT8, [1, 8, 8, 3]),)
PLANTED = {
    "scale of zero": (onnxruntime, quantize_then_back(np.int8(0), 0.0), "not positive", True),
    "scale that is not finite": (tensorrt, quantize_then_back(np.int8(0), np.nan), "not positive", True),
    "wrong axis": (onnxruntime, per_channel(1), "axis 1", False),
    "zero point": (tensorrt, quantize_then_back(np.int8(3)), "zero point is not 0", True),
    "unsigned": (tensorrt, quantize_then_back(np.uint8(0)), "unsigned", True),
    "integer bias": (tensorrt, integer_bias(), "32-bit bias", True),
    "QLinear": (
        tensorrt,
        planted([helper.make_node("QLinearConv", ["x"] * 8, ["y"])]),
        "QLinearConv",
        True,
    ),
    "NonZero": (
        tensorrt,
        planted([helper.make_node("NonZero", ["x"], ["y"])], output=("y", TensorProto.INT64)),
        "NonZero",
        True,
    ),
    "TopK": (tensorrt, top_k(4000), "3840", True),
    "bytes in": (
        tensorrt,
        planted([helper.make_node("Transpose", ["x"], ["y"])], (), BYTES, ("y", TensorProto.UINT8)),
        "Transpose reads",
        True,
    ),
    "bytes out": (
        tensorrt,
        planted(
            [
                helper.make_node("Cast", ["x"], ["c"], to=TensorProto.UINT8),
                helper.make_node("Transpose", ["c"], ["y"]),
            ],
            output=("y", TensorProto.UINT8),
        ),
        "Transpose makes",
        True,
    ),
    "antialias": (tensorrt, resize(), "antialias", True),
    "mixed types": (tensorrt, half_weights(), "different types", True),
    "open shape": (
        tensorrt,
        planted([helper.make_node("Relu", ["x"], ["y"])], (), (("x", TensorProto.FLOAT, ["N", 3]),)),
        "shape is open",
        False,
    ),
    "signed activations": (onnxruntime, quantize_then_back(np.int8(0)), "slower than float", False),
    "signed concatenation": (
        openvino,
        planted(
            [
                helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
                helper.make_node("Concat", ["d", "d"], ["y"], axis=1),
            ],
            [tensor("s", np.float32(0.1)), tensor("z", np.int8(0))],
        ),
        "wrong numbers",
        False,
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_problems_are_found(name):
    rules, model, problem, fatal = PLANTED[name]
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:
        inferred = model
    found = [f for f in refusals(index(model, inferred), rules) if problem in f.problem]
    assert found
    assert found[0].fatal == fatal
    assert found[0].fix


def test_clean_files_have_no_refusals(exported):
    assert not [f for f in refusals(read_graph(exported["int8"]), onnxruntime) if f.fatal]
    assert not [f for f in refusals(read_graph(exported["signed"]), tensorrt) if f.fatal]
    (finding,) = refusals(read_graph(exported["int8"]), onnxruntime, opset_ceiling=17)
    assert finding.fatal
    assert "opset 18" in finding.problem
    assert refusals(index(top_k(100)), tensorrt) == []
    assert refusals(index(per_channel(0)), onnxruntime) == []


def test_files_that_cannot_be_read(tmp_path, exported):
    with pytest.raises(UsageError, match="no file"):
        read_graph(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ArtifactError, match="no usable ONNX"):
        read_graph(tmp_path / "text.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(exported["int8"].read_bytes()[:3000])
    with pytest.raises(ArtifactError, match="no usable ONNX"):
        read_graph(cut)
    with pytest.raises(ArtifactError, match="does not take"):
        placed_operators(tmp_path / "text.onnx")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="is a folder, no ONNX file"):
        read_graph(tmp_path / "folder")


def test_the_command_line(capsys, exported):
    call = ["check", str(exported["int8"]), "--placement", "--json"]
    assert main([*call, "--target", "cpu-onnxruntime-int8"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["runtime"] == "onnxruntime"
    assert report["counts"]["int8"] == sum(layer["precision"] == "int8" for layer in report["layers"])
    assert report["placement"]["QLinearConv"] > 5
    assert main([*call, "--target", "cpu-openvino-int8"]) == 2
    assert "the openvino backend does not count fused operators" in capsys.readouterr().err
    assert main([*call[:2], "--target", "tensorrt"]) == 3
    streams = capsys.readouterr()
    assert "refused" in streams.out
    assert "signed flavour" in streams.err
    assert main(["check", str(exported["signed"]), "--target", "tensorrt"]) == 0
    assert "note: composite: its shape is open" in capsys.readouterr().out
    assert main(["check", str(exported["int8"]), "--target", "other"]) == 2


@pytest.mark.parametrize("target", ["jetson-orin-nano-int8", "jetson-agx-orin-int8", "jetson-thor-int8"])
def test_reformats_and_float_islands_are_counted_and_named(target, exported, capsys):
    assert main(["check", str(exported["signed"]), "--target", target, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    graph = read_graph(exported["signed"])
    assert report["reformats"] == broken_chains(graph)
    rows = {layer["name"]: layer["reason"] for layer in report["layers"] if layer["name"].startswith("island")}
    assert {name: int(reason.split()[0]) for name, reason in rows.items()} == {
        name: len(operators) for name, operators in report["islands"].items()
    }
    named = [operator for operators in report["islands"].values() for operator in operators]
    assert len(set(named)) == len(named) > 0
    assert {node.name for node in graph.nodes} > set(named)
    assert not {node.name for node in graph.nodes if node.op_type in ("Conv", "QuantizeLinear")} & set(named)
    assert main(["check", str(exported["signed"]), "--target", target]) == 0
    said = capsys.readouterr().out
    assert f"{len(report['reformats'])} reformats, {len(rows)} float islands" in said
    assert all(f"reformat expected {place}" in said for place in report["reformats"])
    assert all(f"{name}: {operators[0]}" in said for name, operators in report["islands"].items())


def test_the_opset_that_a_target_reads_reaches_check(exported, tmp_path, capsys):
    text = find_resource("targets", "cpu-openvino-int8").read_text()
    assert read_target("cpu-openvino-int8").runtime.opset == 20
    newer = onnx.load(exported["int8"])
    newer.opset_import[0].version = 21
    onnx.save(newer, tmp_path / "newer.onnx")
    call = ["check", str(tmp_path / "newer.onnx"), "--json", "--target"]
    assert main([*call, "cpu-openvino-int8"]) == 3
    streams = capsys.readouterr()
    (finding,) = [found for found in json.loads(streams.out)["findings"] if found["fatal"]]
    assert finding["problem"] == "opset 21 is above 20"
    assert "export with opset 20" in streams.err
    (tmp_path / "own.toml").write_text(text.replace("opset = 20", "opset = 21"))
    for target in (str(tmp_path / "own.toml"), "openvino"):  # one that reads it, and a backend without a target
        assert main([*call, target]) == 0, target
        capsys.readouterr()


@pytest.mark.parametrize("name", backend_names())
def test_every_backend_judges_a_file_or_says_why_not(name, exported, capsys):
    status = main(["check", str(exported["fp32"]), "--target", name, "--json"])
    said = capsys.readouterr()
    if name in ("pytorch", "coreml-reference"):
        assert (status, said.err) == (
            2,
            f"error: the {name} backend has no rules to judge a file by; check another target\n",
        )
    elif name == "coreml":
        assert status == 2
        assert "Core ML reads no other files; export the network for the target" in " ".join(said.err.split())
    elif name == "litert" and find_spec("ai_edge_litert"):
        assert status == 1
        assert "is no LiteRT file; export the network for the target" in " ".join(said.err.split())
    elif name == "litert":
        assert status == 3
    else:
        assert status == 0
        rows = json.loads(said.out)["layers"]
        assert {row["reason"] for row in rows if row["kind"].startswith("Conv")} == {"the file is not quantized"}
