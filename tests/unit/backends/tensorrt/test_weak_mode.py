"""Weak mode of TensorRT 8.6 to 10: float islands, DLA cores, and opset 17 for the parser of 8.6."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_harmony.backends.tensorrt.builder import build_plan
from edge_harmony.backends.tensorrt.engines import check_file
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.errors import CapabilityError
from tests.fakes.tensorrt import WEAK, fake_tensorrt

NETWORK = (
    ("CONVOLUTION", ("composite",), "features"),
    ("ACTIVATION", ("features",), "active"),
    ("ELEMENTWISE:SUM", ("features", "active"), "added"),
    ("ELEMENTWISE:PROD", ("added", "added"), "squares"),
    ("ELEMENTWISE:PROD", ("added", "mask"), "masked"),
    ("REDUCE", ("masked",), "sum"),
    ("SHUFFLE", ("sum",), "turned"),
    ("UNARY", ("turned",), "root"),
    ("CONCATENATION", ("features", "active"), "joined"),
    ("CONCATENATION", ("joined", "mask"), "joined with the mask"),
    ("RESIZE", ("joined",), "larger"),
    ("CONVOLUTION", ("larger",), "transform"),
)


@pytest.fixture
def onnx_file(small_networks):
    return small_networks["fp32"]


def made(version, world, path, **options):
    build_plan(fake_tensorrt(version, world), path, BuildOptions(**options))
    return world.configs[-1]


# --- float islands


@pytest.mark.parametrize("version", WEAK)
@pytest.mark.parametrize("precision", ["fp16", "best"])
def test_statistics_stay_in_float_where_flags_allow_half(version, precision, world, onnx_file):
    world.layers = NETWORK
    config = made(version, world, onnx_file, precision=precision)
    assert config["precisions"] == {name: ["FLOAT", "FLOAT"] for name in ("squares", "masked", "sum", "root")}
    assert "OBEY_PRECISION_CONSTRAINTS" in config["flags"]


def test_nothing_is_pinned_where_no_half_is_allowed_or_the_file_says_half(world, onnx_file):
    world.layers = NETWORK
    for version, options in (("8.6", {}), ("8.6", {"precision": "int8"}), ("10.3", {}), ("11.4", {})):
        config = made(version, world, onnx_file, **options)
        assert "precisions" not in config
        assert "OBEY_PRECISION_CONSTRAINTS" not in config["flags"]
    world.halves = True
    config = made("8.6", world, onnx_file)
    assert "FP16" in config["flags"]
    assert "precisions" not in config


def test_what_the_user_prefers_is_not_made_a_must(world, onnx_file):
    world.layers = NETWORK
    wishes = {"layer_precisions": {"CONVOLUTION to transform": "fp32"}, "precision_constraints": "prefer"}
    config = made("10.3", world, onnx_file, precision="fp16", **wishes)
    assert "PREFER_PRECISION_CONSTRAINTS" in config["flags"]
    assert "OBEY_PRECISION_CONSTRAINTS" not in config["flags"]
    assert config["precisions"]["sum"] == ["FLOAT", "FLOAT"]


def test_a_dla_core_gets_float_islands_only_with_the_gpu_behind_it(world, onnx_file):
    world.layers, world.dla = NETWORK, 2
    assert "precisions" not in made("10.3", world, onnx_file, precision="fp16", dla_core=0)
    assert made("10.3", world, onnx_file, precision="fp16", dla_core=0, gpu_fallback=True)["precisions"]["sum"]


# --- opset 17


def reductions(path, opset=18, axes=(2, 3), fixed=True):
    """Two reductions with axes as input; the first one over ``axes``."""
    constants = [numpy_helper.from_array(np.array(axes, np.int64), "axes")] if fixed else []
    inputs = [helper.make_tensor_value_info("composite", TensorProto.FLOAT, [1, 3, 4, 6])]
    if not fixed:
        inputs.append(helper.make_tensor_value_info("axes", TensorProto.INT64, [2]))
    nodes = [
        helper.make_node("ReduceMean", ["composite", "axes"], ["mean"], name="mean", keepdims=1),
        helper.make_node("ReduceMax", ["composite"], ["max"], name="max", keepdims=1),
        helper.make_node("Sub", ["mean", "max"], ["y"], name="sub"),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 1, 1])]
    graph = helper.make_graph(nodes, "reductions", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
    return path


def test_tensorrt_8_is_given_axes_as_attributes(world, tmp_path):
    path = reductions(tmp_path / "reductions.onnx")
    for version in ("8.6", "10.3", "rtx-1.7"):
        made(version, world, path)
    assert world.parsed == [17, 18, 18]
    assert check_file(path, fake_tensorrt("8.6", world))[1] == ()


def test_a_file_that_opset_17_cannot_hold_is_refused_before_the_build(world, tmp_path):
    path = reductions(tmp_path / "reductions.onnx", fixed=False)
    with pytest.raises(CapabilityError, match="the axes of mean are not fixed, as opset 17 wants them; use JetPack"):
        check_file(path, fake_tensorrt("8.6", world))
    check_file(path, fake_tensorrt("10.3", world))


# --- DLA


@pytest.mark.parametrize("version", ["8.6", "10.3"])
def test_a_dla_core_computes_in_half_and_has_the_gpu_behind_it_where_that_is_allowed(version, world, onnx_file):
    world.dla = 2
    config = made(version, world, onnx_file, dla_core=1, gpu_fallback=True)
    assert (config["DLA_core"], config["default_device_type"].name) == (1, "DLA")
    assert {"GPU_FALLBACK", "FP16"} <= config["flags"]
    assert "DIRECT_IO" not in config["flags"]
    config = made(version, world, onnx_file, dla_core=0)
    assert {"DIRECT_IO", "FP16"} <= config["flags"]
    assert "GPU_FALLBACK" not in config["flags"]


@pytest.mark.parametrize("version", WEAK)
@pytest.mark.parametrize("options", [{}, {"precision": "fp16"}, {"precision": "best"}])
def test_a_dla_core_before_tensorrt_11_takes_no_pairs(version, options, world, onnx_file):
    world.dla, world.quantized = 2, True
    with pytest.raises(CapabilityError, match=r"a DLA core takes no Q/DQ pairs in tensorrt .*export fp16"):
        made(version, world, onnx_file, dla_core=0, gpu_fallback=True, **options)
    assert world.builds == 0


def test_a_dla_core_of_tensorrt_11_takes_the_types_of_the_file(world, onnx_file):
    world.dla, world.quantized = 2, True
    config = made("11.4", world, onnx_file, dla_core=1, gpu_fallback=True)
    assert (config["DLA_core"], "GPU_FALLBACK" in config["flags"]) == (1, True)


def test_a_dla_core_and_strong_types_do_not_go_together_before_11(world, onnx_file):
    world.dla = 2
    with pytest.raises(CapabilityError, match="a DLA core takes no strongly typed network in tensorrt 10"):
        made("10.3", world, onnx_file, dla_core=0, strongly_typed=True)


def test_no_dla_core_names_the_versions_that_have_them(world, onnx_file):
    with pytest.raises(CapabilityError, match=r"no DLA core 0 here \(0 found\).*up to 10\.7, and from 11\.4\.1"):
        made("10.13", world, onnx_file, dla_core=0)
