"""Sums of 8-bit products in ONNX Runtime, as the runner sets it up."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_harmony.backends.onnxruntime import runner
from edge_harmony.backends.processor import Processor


def write_convolution(path, shape, *, group, kernel, size):
    """A convolution between Q/DQ pairs as exports have it, all weights 127 levels; its output has steps of 1 / 200."""
    constants = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "w": np.full(shape, 127, np.int8),
        "w_scale": np.full(shape[0], 1 / (127 * 255 * np.prod(shape[1:])), np.float32),
        "w_zero": np.zeros(shape[0], np.int8),
        "y_scale": np.float32(1 / 200),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "one", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["c"], group=group, kernel_shape=[kernel, kernel]),
        helper.make_node("QuantizeLinear", ["c", "y_scale", "zero"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "y_scale", "zero"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    ends[0] = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, shape[1] * group, size, size])
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "convolution", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


@pytest.mark.parametrize(
    ("shape", "group"),
    [
        ((32, 7, 3, 3), 1),
        ((96, 16, 1, 1), 1),
        ((24, 320, 1, 1), 1),
        ((64, 32, 3, 3), 1),
        ((48, 1, 3, 3), 48),
        ((48, 1, 5, 5), 48),
    ],
)
@pytest.mark.parametrize("processor", [None, Processor()], ids=["as it is", "unknown"])
def test_sums_of_products_do_not_saturate(tmp_path, monkeypatch, shape, group, processor):
    if processor is not None:
        monkeypatch.setattr(runner, "read_processor", lambda: processor)
    path = tmp_path / "convolution.onnx"
    write_convolution(path, shape, group=group, kernel=shape[2], size=shape[2] + 5)
    session = runner.open_session(path, runner._options(1))
    x = np.full((1, shape[1] * group, shape[2] + 5, shape[2] + 5), 255, np.float32)  # the largest product of each pair
    x[..., 0, 0] = 100
    sums = np.full((shape[2] + 5 - shape[2] + 1,) * 2, 255 * shape[2] ** 2)
    sums[0, 0] -= 155
    expected = np.broadcast_to(sums / (255 * shape[2] ** 2), (1, shape[0], *sums.shape))
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, atol=1.01 / 200)


@pytest.mark.parametrize(
    ("flags", "expected"), [({"avx2"}, True), ({"avx2", "avx_vnni"}, False), ({"avx512_vnni"}, False), (set(), True)]
)
def test_weights_become_unsigned_only_without_vnni(monkeypatch, flags, expected):
    monkeypatch.setattr(runner, "read_processor", lambda: Processor("", frozenset(flags)))
    options = runner._options(1)
    if expected:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
    else:
        with pytest.raises(Exception, match="x64quantprecision"):
            options.get_session_config_entry("session.x64quantprecision")
