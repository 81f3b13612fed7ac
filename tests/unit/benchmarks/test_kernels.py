"""Quantized convolutions in real engines of TensorRT for RTX; no GPU is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("tensorrt_rtx")

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from kernels import build_kernels, connected, count

pytestmark = pytest.mark.lengthy

CHANNELS = 32


def chain(
    path, *, quantized=True, half=False, per_channel=True, skip=False, relu=True, bias=True, integers_outside=False
):
    """Two convolutions with pairs before, between and after them, by ONNX operators alone."""
    rng, kind = np.random.default_rng(0), np.float16 if half else np.float32
    floats = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    constants = {"zero": np.int8(0), "scale": kind(0.02)}
    nodes = []

    def add(operator, inputs, **attributes):
        name = f"{operator}_{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def quantize(name):
        return add("QuantizeLinear", [name, "scale", "zero"]) if quantized else name

    def dequantize(name):
        return add("DequantizeLinear", [name, "scale", "zero"]) if quantized else name

    value = dequantize("x" if integers_outside else quantize("x"))
    for k in range(2):
        shape, channels = (CHANNELS, CHANNELS, 3, 3), (CHANNELS,) if per_channel else ()
        if quantized:
            constants |= {
                f"weight_{k}": rng.integers(-127, 128, shape).astype(np.int8),
                f"weight_scale_{k}": rng.uniform(1e-3, 2e-3, channels).astype(kind),
                f"weight_zero_{k}": np.zeros(channels, np.int8),
            }
            names = [f"weight_{k}", f"weight_scale_{k}", f"weight_zero_{k}"]
            weight = add("DequantizeLinear", names, **({"axis": 0} if per_channel else {}))
        else:
            constants[weight := f"weight_{k}"] = rng.normal(0, 0.05, shape).astype(kind)
        constants[f"bias_{k}"] = rng.normal(0, 0.1, CHANNELS).astype(kind)
        before = value
        value = add("Conv", [value, weight, *([f"bias_{k}"] if bias else [])], pads=[1] * 4)
        value = add("Add", [value, before]) if skip else value
        value = quantize(add("Relu", [value]) if relu else value)
        if k == 0 or not integers_outside:
            value = dequantize(value)
    outside = TensorProto.INT8 if integers_outside else floats
    ends = [helper.make_tensor_value_info(n, outside, [1, CHANNELS, 16, 16]) for n in ("x", value)]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    opset = 19 if half else 18  # halves are quantized since 19
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"relu": False},
        {"relu": False, "bias": False},
        {"per_channel": False},
        {"skip": True},
        {"half": True},
        {"relu": False, "bias": False, "per_channel": False, "integers_outside": True},
    ],
    ids=lambda form: ", ".join(form) or "as exported",
)
def test_no_form_of_pairs_makes_a_convolution_write_8_bits(form, tmp_path):
    """A limit of TensorRT for RTX 1.7: if this fails, a form fuses, and the exporter should write that form."""
    found = count(build_kernels(chain(tmp_path / "chain.onnx", **form)))
    assert (found["integer_convolutions"], found["writing_integers"]) == (2, 0)
    assert found["requantizing"] == 2


def test_what_a_convolution_writes_is_read_from_the_builder(tmp_path):
    """Halves only where the weights have one scale; and float convolutions take their ReLU in, with kernels that only
    change layouts around them."""
    assert written(tmp_path, half=True) == ["Float", "Float"]
    assert written(tmp_path, half=True, per_channel=False) == ["Half", "Half"]
    kernels = build_kernels(chain(tmp_path / "chain.onnx", quantized=False))
    assert [kernel.kind for kernel in kernels] == ["kgen", "correlation", "correlation", "kgen"]
    assert count(kernels)["integer_convolutions"] == 0


def written(folder, **form):
    kernels = build_kernels(chain(folder / "chain.onnx", **form))
    return [next(iter(kernel.writes.values())) for kernel in kernels if kernel.is_integer_convolution]


def test_groups_are_joined_by_the_tensors_that_they_hand_over():
    first, second, apart = ({"a"}, {"b"}), ({"c"}, {"d"}), ({"x"}, {"y"})
    assert connected([first, second, apart]) == 3
    assert connected([first, second, apart, ({"b", "d"}, {"e"})]) == 2
    assert connected([]) == 0
