"""What is checked in a file before it is built: what TensorRT's compiler takes in silence."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import edge_harmony.backends.tensorrt.backend as backend_module
from edge_harmony.backends.base import ExportRequest
from edge_harmony.backends.tensorrt.backend import TensorRTBackend
from edge_harmony.backends.tensorrt.engines import check_file, make_engine
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.errors import ArtifactError
from tests.fakes.tensorrt import fake_tensorrt


def planted(path, folder, change):
    model = onnx.load(path)
    change(model)
    target = folder / "planted.onnx"
    onnx.save(model, target)
    return target


def _zero_scale(model):
    node = next(n for n in model.graph.node if n.op_type == "QuantizeLinear")
    scale = next(i for i in model.graph.initializer if i.name == node.input[1])
    scale.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(scale)), scale.name))


def _zero_point(model):
    node = next(n for n in model.graph.node if n.op_type == "QuantizeLinear")
    point = next(i for i in model.graph.initializer if i.name == node.input[2])
    point.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(point), 3), point.name))


def _axis(model):
    weights = {n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear"}
    for convolution in (n for n in model.graph.node if n.op_type == "Conv"):
        source = weights.get(convolution.input[1])
        shapes = {i.name: list(i.dims) for i in model.graph.initializer}
        if source is not None and shapes.get(source.input[0], [0, 1])[0] == shapes.get(source.input[0], [0, 1])[1]:
            next(a for a in source.attribute if a.name == "axis").i = 1
            return
    raise AssertionError("no square convolution")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_zero_scale, "its scale is not positive and finite"),
        (_zero_point, "its zero point is not 0"),
        (_axis, "the scales of its weights lie along axis 1"),
    ],
)
@pytest.mark.parametrize("source", ["small_networks", "exported"])
def test_what_the_compiler_takes_silently_is_caught_before_the_build(
    source, change, said, world, tmp_path, monkeypatch, request
):
    onnx_file = request.getfixturevalue(source)["signed"]
    tensorrt = fake_tensorrt("10.3", world)
    check_file(onnx_file, tensorrt)
    with pytest.raises(ArtifactError, match=said):
        make_engine(tensorrt, planted(onnx_file, tmp_path, change), BuildOptions(), world.cuda.model)
    monkeypatch.setattr(backend_module, "find_tensorrt", lambda distribution: tensorrt)
    monkeypatch.setattr(backend_module, "find_cuda", lambda: world.cuda)
    with pytest.raises(ArtifactError, match=said):
        TensorRTBackend().build(ExportRequest("edge-n", "int8"), tmp_path / "planted.onnx", tmp_path)
    assert world.builds == 0


def test_a_newer_opset_than_documented_is_noted(world, onnx_file, tmp_path):
    for version in ("8.6", "10.3"):  # the former is given opset 17
        assert check_file(onnx_file, fake_tensorrt(version, world))[1] == ()
    model = onnx.load(onnx_file)
    model.opset_import[0].version = 21
    onnx.save(model, tmp_path / "newer.onnx")
    assert "opset 21 is newer" in check_file(tmp_path / "newer.onnx", fake_tensorrt("10.3", world))[1][0]
