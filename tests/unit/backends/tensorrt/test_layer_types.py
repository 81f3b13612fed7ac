"""Types of single layers, of inputs and outputs, and what else of trtexec's flags reaches a builder."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge_harmony.backends.tensorrt.builder import build_plan
from edge_harmony.backends.tensorrt.layer_types import set_io_formats, set_layer_types
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.errors import EdgeHarmonyError, UsageError
from tests.fakes.tensorrt import World, fake_tensorrt


class Layer:
    """As much of ``ILayer`` as is asked for."""

    def __init__(self, name, *dtypes):
        self.name, self.num_outputs, self.types = name, len(dtypes), {}
        self.outputs = [SimpleNamespace(dtype=dtype, is_shape_tensor=False) for dtype in dtypes]

    def get_output(self, index):
        return self.outputs[index]

    def set_output_type(self, index, dtype):
        self.types[index] = dtype.name


@pytest.fixture
def network():
    trt = fake_tensorrt("10.3", World()).module
    kinds = trt.DataType
    layers = [Layer("/a/Conv", kinds.FLOAT), Layer("/b/Conv", kinds.FLOAT), Layer("/b/Shape", kinds.INT32)]
    layers.append(Layer("/c/Split", kinds.FLOAT, kinds.FLOAT))
    tensors = [
        SimpleNamespace(name=name, dtype=kinds.FLOAT, allowed_formats=1) for name in ("composite", "mask", "out")
    ]
    flags = []
    return SimpleNamespace(
        layers=layers, num_layers=len(layers), get_layer=layers.__getitem__, tensors=tensors, flags=flags,
        num_inputs=2, get_input=tensors.__getitem__, num_outputs=1, get_output=lambda k: tensors[2],
        set_flag=lambda flag: flags.append(flag.name),
    )  # fmt: skip


def weak(**options):
    return BuildOptions(precision="fp16", precision_constraints="obey", **options)


def test_the_last_match_counts_and_layers_without_a_choice_are_passed_over(network):
    options = weak(layer_precisions={"*": "fp16", "/b/*": "fp32"}, layer_output_types={"/c/Split": ("fp16", "fp32")})
    set_layer_types(fake_tensorrt("10.3", World()), network, network, options)
    found = {layer.name: getattr(layer, "precision", None) for layer in network.layers}
    assert {name: kind and kind.name for name, kind in found.items()} == {
        "/a/Conv": "HALF", "/b/Conv": "FLOAT", "/b/Shape": None, "/c/Split": "HALF"
    }  # fmt: skip
    assert network.layers[3].types == {0: "HALF", 1: "FLOAT"}
    assert network.flags == ["OBEY_PRECISION_CONSTRAINTS"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layer_precisions": {"/d": "fp16"}}, "--layerPrecisions names /d, and there is no such layer"),
        ({"layer_output_types": {"/a/Conv": ("fp16", "fp32")}}, "has 2 types for /a/Conv, which has 1 outputs"),
    ],
)
def test_names_and_counts_that_do_not_fit_are_refused(options, said, network):
    with pytest.raises(UsageError, match=said):
        set_layer_types(fake_tensorrt("10.3", World()), network, network, weak(**options))


def test_formats_of_inputs_and_outputs(network):
    tensorrt = fake_tensorrt("10.3", World())
    formats = tensorrt.module.TensorFormat
    options = BuildOptions(
        precision="fp16", input_formats=("fp16:chw+hwc8", "int8:chw32"), output_formats=("fp32:chw",)
    )
    set_io_formats(tensorrt, network, options)
    assert [tensor.dtype.name for tensor in network.tensors] == ["HALF", "INT8", "FLOAT"]
    expected = [1 << formats.LINEAR | 1 << formats.HWC8, 1 << formats.CHW32, 1 << formats.LINEAR]
    assert [tensor.allowed_formats for tensor in network.tensors] == expected
    set_io_formats(tensorrt, network, BuildOptions(precision="fp16", input_formats=("fp32:chw",)))
    assert [tensor.dtype.name for tensor in network.tensors] == ["FLOAT"] * 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"input_formats": ("fp16:chw",)}, "asks for fp16, and composite is FLOAT in the file, whose types rule"),
        ({"input_formats": ("fp32:chw",) * 3}, "has 3 formats for composite, mask"),
        ({"output_formats": ("fp32",)}, "cannot be read at 'fp32'"),
        ({"output_formats": ("fp12:chw",)}, "cannot be read"),
    ],
)
def test_formats_that_do_not_fit_are_refused(options, said, network):
    with pytest.raises(UsageError, match=said):
        set_io_formats(fake_tensorrt("10.3", World()), network, BuildOptions(**options))


@pytest.mark.parametrize("version", ["8.6", "10.3"])
def test_flags_reach_the_builder(version, small_networks):
    world = World()
    options = BuildOptions(
        fp8=True,
        direct_io=True,
        builder_cache=False,
        auxiliary_streams=0,
        tactic_sources={"CUDNN": False, "CUBLAS": True},
    )
    build_plan(fake_tensorrt(version, world), small_networks["signed"], options)
    config = world.configs[0]
    assert {"FP8", "DIRECT_IO", "DISABLE_TIMING_CACHE"} <= config["flags"]
    assert config["max_aux_streams"] == 0
    assert config["tactics"] == {"CUBLAS", "CUBLAS_LT", "EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"}


@pytest.mark.parametrize(
    ("version", "options", "said"),
    [
        ("8.6", {"bf16": True}, "--bf16 is not in tensorrt 8.6"),
        ("11.4", {"bf16": True}, "--bf16 is not in tensorrt 11.4"),
        ("11.4", {"fp8": True}, "--fp8 is not in"),
        (
            "11.4",
            {"precision_constraints": "obey", "layer_precisions": {"*": "fp16"}},
            "--precisionConstraints is not in",
        ),
        ("11.4", {"tactic_sources": {"CUDNN": False}}, "--tacticSources=CUDNN is not in"),
    ],
)
def test_what_a_version_lacks_is_refused_by_its_name(version, options, said, small_networks):
    world = World()
    with pytest.raises(EdgeHarmonyError) as error:
        build_plan(fake_tensorrt(version, world), small_networks["signed"], BuildOptions(**options))
    assert said in str(error.value)
    assert world.builds == 0


def test_verbose_shows_what_tensorrt_says_but_for_its_own_verbose_lines(small_networks, caplog):
    caplog.set_level("INFO", "edge_harmony")
    build_plan(fake_tensorrt("10.3", World()), small_networks["signed"], BuildOptions())
    said = [record.getMessage() for record in caplog.records if record.name.endswith("tensorrt.logger")]
    assert "WARNING: a warning" in said
    assert not any("much ado" in line for line in said)
