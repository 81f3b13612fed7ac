"""Which operations of a small program compute in 16 bits, and its islands in 32."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("coremltools")
import coremltools as ct
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edge_harmony.backends.coreml.islands import wide_islands
from edge_harmony.backends.coreml.sixteen_bits import compute_precision, fits_half
from edge_harmony.models.registry import build_model

WEIGHT = np.full((4, 4, 1, 1), 0.1, np.float32)


def program():
    """Statistics, a convolution, an activation, a sum, statistics, a convolution, and a mean."""

    @mb.program(input_specs=[mb.TensorSpec((1, 4, 8, 8))], opset_version=ct.target.iOS17)
    def made(x):
        centred = mb.sub(x=x, y=mb.reduce_mean(x=x, axes=[2, 3], keep_dims=True, name="first_mean"), name="centred")
        first = mb.conv(x=centred, weight=WEIGHT, name="first")
        total = mb.add(x=mb.relu(x=first, name="active"), y=first, name="total")
        mean = mb.reduce_mean(x=total, axes=[2, 3], keep_dims=True, name="mean")
        second = mb.conv(x=mb.mul(x=total, y=mean, name="scaled"), weight=WEIGHT, name="second")
        return mb.reduce_mean(x=second, axes=[2, 3], name="last")

    return made


def converted(extent, precision="fp16"):
    model = ct.convert(
        program(),
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=compute_precision(precision, extent),
        skip_model_load=True,
    )
    operations = model._mil_program.functions["main"].operations
    return [op for op in operations if op.op_type not in ("const", "cast")]


@pytest.mark.parametrize(
    ("extent", "wide"),
    [
        ("all", []),
        ("between", [{"first_mean", "centred"}, {"last"}]),
        ("features", [{"first_mean", "centred"}, {"mean", "scaled"}, {"last"}]),
    ],
)
def test_the_program_changes_as_seldom_as_it_may(extent, wide):
    operations = converted(extent)
    half = {op.name.removesuffix("_cast_fp16") for op in operations if op.outputs[0].dtype is types.fp16}
    assert {"first", "active", "total", "second"} <= half
    assert [set(names) for names in wide_islands(operations)] == wide


def test_a_program_in_32_bits_is_one_piece():
    operations = converted("all", "fp32")
    assert {op.outputs[0].dtype for op in operations} == {types.fp32}
    assert wide_islands(operations) == []


def test_networks_say_whether_they_fit():
    fitting = {name: fits_half(build_model(name)) for name in ("edge-n", "edge-s", "hdnet-lite", "fmm", "rcl")}
    assert fitting == {"edge-n": True, "edge-s": True, "hdnet-lite": False, "fmm": False, "rcl": False}
    assert not fits_half(build_model("edge-n", decoder="rain"))
