"""The changes for kernels of CPUs alter no result, and are made where they may be."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_harmony.export.cpu_kernels import for_cpu_kernels
from edge_harmony.export.unsigned import to_unsigned


def run(model, **feed):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


def axes_of(model):
    values = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer}
    return [values[node.input[1]] for node in model.graph.node if node.op_type == "ReduceMean"]


def test_a_network_is_changed_and_computes_the_same(exported):
    before = to_unsigned(onnx.load(exported["signed"]))
    after = for_cpu_kernels(before)
    assert [2] in axes_of(before)
    assert [2] not in axes_of(after)
    assert [len(node.input) for node in after.graph.node if node.op_type == "Concat"].count(4) > [
        len(node.input) for node in before.graph.node if node.op_type == "Concat"
    ].count(4)
    rng = np.random.default_rng(0)
    for batch in (1, 3):
        feed = {
            "composite": rng.random((batch, 3, 256, 256), dtype=np.float32),
            "mask": rng.random((batch, 1, 256, 256), dtype=np.float32),
        }
        expected = run(before, **feed)
        errors = np.abs(
            run(after, **feed) - expected
        )  # a mean that is rounded otherwise can move a level here or there
        assert errors.mean() < 0.001 * np.abs(expected).max()


def test_exports_are_changed_and_the_argument_is_not(exported):
    before = to_unsigned(onnx.load(exported["signed"]))
    text = before.SerializeToString()
    for_cpu_kernels(before)
    assert before.SerializeToString() == text
    assert [2] not in axes_of(onnx.load(exported["int8"]))
    assert [2] in axes_of(onnx.load(exported["signed"]))


def graph_of(nodes, shapes, constants, output, rank=4):
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None] * rank)]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((2, 3, 5, 1), [2], [2, 3]),
        ((2, 3, 5, 4), [2], [2]),
        ((2, 3, 5, None), [2], [2]),
        ((2, 3, 5), [2], [2]),
        ((2, 3, 5, 1), [1], [1]),
        ((2, 3, 5, 1), [2, 3], [2, 3]),
    ],
)
@pytest.mark.parametrize("keepdims", [1, 0])
def test_means_over_rows_of_one_element(shape, axes, expected, keepdims):
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=keepdims)
    before = graph_of(
        [node], {"x": shape}, {"axes": np.array(axes, np.int64)}, "y", len(shape) - (not keepdims) * len(axes)
    )
    after = for_cpu_kernels(before)
    assert axes_of(after) == [expected if keepdims else axes]
    x = np.random.default_rng(0).random([size or 1 for size in shape], dtype=np.float32)
    np.testing.assert_allclose(run(after, x=x), run(before, x=x), rtol=1e-6)


def convolution(*, last=1, axis=1, group=1, pair=True, shared=False, weights=7):
    """A convolution of two inputs' planes, concatenated."""
    levels = np.random.default_rng(0).integers(-127, 128, (8, weights // group, 3, 3)).astype(np.int8)
    constants = {
        "scale": np.float32(0.01),
        "zero": np.uint8(128),
        "levels": levels,
        "step": np.full(8, 0.01, np.float32),
        "none": np.zeros(8, np.int8),
    }
    nodes = [helper.make_node("Concat", ["a", "b"], ["planes"], axis=axis)]
    read = "planes"
    if pair:
        nodes += [
            helper.make_node("QuantizeLinear", ["planes", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        ]
        read = "d"
    nodes += [
        helper.make_node("DequantizeLinear", ["levels", "step", "none"], ["w"], axis=0),
        helper.make_node("Conv", [read, "w"], ["y"], pads=[1, 1, 1, 1], group=group),
    ]
    if shared:
        nodes += [
            helper.make_node("ReduceMax", ["planes"], ["largest"], keepdims=0),
            helper.make_node("Add", ["y", "largest"], ["sum"]),
        ]
    shapes = {"a": (1, weights - last, 6, 6), "b": (1, last, 6, 6)}
    if axis == 2:
        shapes = {"a": (1, weights, 5, 6), "b": (1, weights, last, 6)}
    return graph_of(nodes, shapes, constants, "sum" if shared else "y")


@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        ({}, 3),
        ({"weights": 5}, 5),
        ({"weights": 8}, 2),
        ({"last": 2}, 2),
        ({"axis": 2}, 2),
        ({"weights": 6, "group": 2}, 2),
        ({"pair": False}, 2),
        ({"shared": True}, 2),
    ],
)
def test_channels_are_repeated_where_that_changes_nothing(options, inputs):
    before = convolution(**options)
    after = for_cpu_kernels(before)
    assert len(next(node for node in after.graph.node if node.op_type == "Concat").input) == inputs
    rng = np.random.default_rng(1)
    feed = {
        value.name: rng.random([d.dim_value for d in value.type.tensor_type.shape.dim], dtype=np.float32)
        for value in before.graph.input
    }
    np.testing.assert_allclose(run(after, **feed), run(before, **feed), atol=1e-5)
