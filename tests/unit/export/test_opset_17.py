"""Files for TensorRT 8: the same results with the operators of opset 17, or one line that says why not."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_harmony.backends.targets import read_target
from edge_harmony.errors import CapabilityError, InputError
from edge_harmony.export.onnx import export_onnx
from edge_harmony.export.opset_17 import to_opset_17
from edge_harmony.files.resources import find_resource

REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare", "Sum")
PICTURE = np.random.default_rng(4).random((2, 3, 4, 6), np.float32)


def model(nodes, constants=(), opset=18):
    """A graph from ``x`` to what the nodes make."""
    outputs = [name for node in nodes for name in node.output if name.startswith("y")]
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4, 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["a", "b", "c", "d"]) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def results(made):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": PICTURE})


def reduction(kind, inputs, **attributes):
    return helper.make_node(f"Reduce{kind}", inputs, [f"y{kind}"], name=kind, keepdims=1, **attributes)


@pytest.mark.parametrize("axes", [[2, 3], [-1], [1]])
def test_every_reduction_gives_what_it_gave(axes):
    newer = model([reduction(kind, ["x", "axes"]) for kind in REDUCTIONS], [("axes", np.array(axes, np.int64))])
    before = newer.SerializeToString()
    older = to_opset_17(newer)
    assert newer.SerializeToString() == before
    assert (older.opset_import[0].version, older.ir_version) == (17, 8)
    assert {len(node.input) for node in older.graph.node if node.op_type != "ReduceSum"} == {1}
    for ours, theirs in zip(results(older), results(newer), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_axes_of_a_constant_node_and_no_axes_at_all():
    axes = helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([1], np.int64)))
    newer = model([axes, reduction("Mean", ["x", "axes"]), reduction("Max", ["x"]), reduction("Min", ["x", ""])])
    for ours, theirs in zip(results(to_opset_17(newer)), results(newer), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_older_files_are_left_alone():
    older = model([reduction("Mean", ["x"], axes=[2])], opset=17)
    assert to_opset_17(older) is older


def test_splits_into_equal_parts_give_what_they_gave():
    newer = model([helper.make_node("Split", ["x"], ["y1", "y2", "y3"], name="split", axis=1, num_outputs=3)])
    for ours, theirs in zip(results(to_opset_17(newer)), results(newer), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def resized(**attributes):
    scales = ("scales", np.array([1, 1, 2, 2], np.float32))
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], name="resize", mode="linear", **attributes)
    return model([node], [scales])


def test_newer_attributes_that_ask_for_nothing_new_are_left_out():
    newer = resized(antialias=0, keep_aspect_ratio_policy="stretch")
    assert {a.name for a in to_opset_17(newer).graph.node[0].attribute} == {"mode"}
    np.testing.assert_array_equal(results(to_opset_17(newer))[0], results(newer)[0])
    with pytest.raises(CapabilityError, match="antialias"):
        to_opset_17(resized(antialias=1))


def test_what_opset_17_lacks_is_one_line():
    mish = helper.make_node("Mish", ["x"], ["y"], name="mish")
    with pytest.raises(CapabilityError, match="cannot be written for opset 17, the newest that TensorRT 8 reads"):
        to_opset_17(model([mish]))
    computed = helper.make_node("Shape", ["x"], ["axes"], start=0, end=1)
    with pytest.raises(CapabilityError, match="the axes of Mean are not fixed, as opset 17 wants them; use JetPack"):
        to_opset_17(model([computed, reduction("Mean", ["x", "axes"])]))
    nothing = model([reduction("Mean", ["x", "axes"], noop_with_empty_axes=1)], [("axes", np.zeros(0, np.int64))])
    with pytest.raises(CapabilityError, match="the axes of Mean are not fixed"):
        to_opset_17(nothing)


def test_our_networks_can_be_written_for_tensorrt_8(exported, edge_weights, tmp_path):
    for precision in ("fp32", "fp16", "signed"):
        newer = onnx.load(exported[precision])
        assert to_opset_17(newer).opset_import[0].version == 17
    path = export_onnx("edge-n", edge_weights, tmp_path, precision="fp32", opset=17)
    assert [entry.version for entry in onnx.load(path).opset_import if entry.domain == ""] == [17]


def test_a_target_may_ask_for_opset_17(tmp_path):
    text = find_resource("targets", "jetson-orin-nano-fp16").read_text()
    own = text.replace("opset = 18", "opset = 17").replace("opset = 20", "opset = 17")
    (tmp_path / "own.toml").write_text(own)
    target = read_target(str(tmp_path / "own.toml"))
    assert (target.opset, target.runtime.opset, target.request("edge-n").opset) == (17, 17, 17)
    (tmp_path / "own.toml").write_text(own.replace("opset = 17", "opset = 16"))
    with pytest.raises(InputError, match="greater than or equal to 17"):
        read_target(str(tmp_path / "own.toml"))
