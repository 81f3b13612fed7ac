"""Weights in 16 bits where that loses nothing."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.discovery import get_backend
from edge_harmony.export.compact import store_in_half
from edge_harmony.models.weights_file import resolve_weights

SIDE = 256


def product(weights):
    """The graph ``y = x @ weights``."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, len(weights)]) for name in "xy"]
    graph = helper.make_graph(nodes, "product", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def halves(side=SIDE):
    return np.random.default_rng(0).normal(size=(side, side)).astype(np.float16).astype(np.float32)


def test_weights_of_16_bits_take_half_the_room_and_give_equal_results():
    model = product(halves())
    compact = store_in_half(model)
    onnx.checker.check_model(compact, full_check=True)
    assert len(compact.SerializeToString()) < 0.51 * len(model.SerializeToString())
    x = np.random.default_rng(1).normal(size=(1, SIDE)).astype(np.float32)
    np.testing.assert_array_equal(run(compact, x), run(model, x))


def changed(value):
    weights = halves()
    weights[3, 4] = value
    return weights


@pytest.mark.parametrize(
    "weights",
    [changed(0.1), changed(1e6), changed(1e-9), changed(np.nan), halves(8), halves().astype(np.float64)],
    ids=["between", "too large", "too small", "nan", "few", "float64"],
)
def test_all_other_weights_stay(weights):
    model = product(weights.astype(np.float64) if weights.dtype == np.float64 else weights)
    assert store_in_half(model) == model


def test_the_int8_file_for_cpus_stores_its_float_layers_in_half_and_the_others_do_not(tmp_path):
    def kinds(backend, precision):
        request = ExportRequest("edge-s", precision)
        path = get_backend(backend).build(request, resolve_weights("edge-s"), tmp_path / backend)
        return {tensor.data_type for tensor in onnx.load(path).graph.initializer}

    assert TensorProto.FLOAT16 in kinds("onnxruntime", "int8")
    assert TensorProto.FLOAT16 not in kinds("onnxruntime", "fp32")
