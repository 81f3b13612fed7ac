"""The interpreter's operations against PyTorch, and rounding to 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("coremltools")
import coremltools as ct
from coremltools.converters.mil.mil import Builder as mb

from edge_harmony.backends.coreml.interpreter import elementwise, layout, spatial
from edge_harmony.backends.coreml.interpreter.evaluate import Interpreter
from edge_harmony.errors import CapabilityError, InputError


@pytest.fixture
def x():
    return np.random.default_rng(5).normal(size=(1, 6, 9, 12)).astype(np.float32)


def close(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions(x, stride, groups):
    weight = np.random.default_rng(6).normal(size=(4, 6 // groups, 3, 3)).astype(np.float32)
    bias = np.arange(4, dtype=np.float32)
    given = {"strides": (stride, stride), "pad_type": "custom", "pad": (1, 1, 2, 0), "groups": groups}
    padded = F.pad(torch.from_numpy(x), (2, 0, 1, 1))
    expected = F.conv2d(padded, torch.from_numpy(weight), torch.from_numpy(bias), stride, groups=groups)
    close(spatial.conv(x, weight, bias, **given), expected)
    same = spatial.conv(x, weight, strides=(stride, stride), pad_type="same", groups=groups)
    assert same.shape[2:] == (-(-9 // stride), -(-12 // stride))
    line = spatial.conv(x[:, :, 0], weight[..., 0], strides=(1,), pad_type="custom", pad=(1, 1), groups=groups)
    close(line, F.conv1d(torch.from_numpy(x[:, :, 0]), torch.from_numpy(weight[..., 0]), padding=1, groups=groups))


def test_transposed_convolutions(x):
    weight = np.random.default_rng(7).normal(size=(6, 3, 4, 4)).astype(np.float32)
    made = spatial.conv_transpose(x, weight, strides=(2, 2), pad_type="custom", pad=(1, 1, 1, 1))
    close(made, F.conv_transpose2d(torch.from_numpy(x), torch.from_numpy(weight), stride=2, padding=1))
    larger = spatial.conv_transpose(
        x, weight, strides=(2, 2), pad_type="custom", pad=(1, 1, 1, 1), output_shape=(1, 3, 19, 25)
    )
    close(
        larger,
        F.conv_transpose2d(torch.from_numpy(x), torch.from_numpy(weight), stride=2, padding=1, output_padding=1),
    )


def test_pools_and_resizes(x):
    tensor = torch.from_numpy(x)
    close(spatial.avg_pool(x, (3, 4), "valid"), F.avg_pool2d(tensor, (3, 4)))
    close(spatial.avg_pool(x, (2, 2), "custom", (2, 2), (1, 1, 1, 1)), F.avg_pool2d(tensor, 2, 2, 1))
    uncounted = spatial.avg_pool(x, (2, 2), "custom", (2, 2), (1, 1, 1, 1), False, True)
    close(uncounted, F.avg_pool2d(tensor, 2, 2, 1, count_include_pad=False))
    close(spatial.max_pool(x, (2, 2), "valid", (2, 2), None, True), F.max_pool2d(tensor, 2, 2, ceil_mode=True))
    for corners in (False, True):
        theirs = F.interpolate(tensor, scale_factor=2, mode="bilinear", align_corners=corners)
        close(spatial.upsample_bilinear(x, 2, 2, corners), theirs)
    theirs = F.interpolate(tensor, (5, 31), mode="bilinear", align_corners=False)
    close(spatial.resize_bilinear(x, 5, 31, "UNALIGN_CORNERS"), theirs)
    close(spatial.upsample_nearest(x, 2, 3), F.interpolate(tensor, scale_factor=(2.0, 3.0), mode="nearest"))


def test_norms_products_and_shares(x):
    tensor, ones = torch.from_numpy(x), np.arange(1, 7, dtype=np.float32)
    expected = F.instance_norm(tensor, weight=torch.from_numpy(ones), bias=torch.from_numpy(ones), eps=1e-3)
    close(spatial.instance_norm(x, ones, ones, 1e-3), expected)
    expected = F.batch_norm(tensor, torch.from_numpy(ones), torch.from_numpy(ones), eps=1e-3)
    close(spatial.batch_norm(x, ones, ones, epsilon=1e-3), expected)
    close(spatial.matmul(x, x, transpose_y=True), tensor @ tensor.transpose(-1, -2))
    close(elementwise.softmax(x, 1), tensor.softmax(1))
    close(elementwise.ELEMENTWISE["leaky_relu"](x, 0.2), F.leaky_relu(tensor, 0.2))
    close(elementwise.ELEMENTWISE["reduce_mean"](x, (2, 3), True), tensor.mean((2, 3), keepdim=True))


def test_levels(x):
    scale = np.float32(0.02)
    levels = elementwise.quantize(x, scale, "int8")
    assert levels.dtype == np.int8
    close(
        elementwise.dequantize(levels, scale),
        torch.fake_quantize_per_tensor_affine(torch.from_numpy(x), float(scale), 0, -128, 127),
    )
    assert elementwise.quantize(np.array([0.5, 1.5, 2.5, 300]), np.float32(1), "uint8").tolist() == [0, 2, 2, 255]
    scales = np.array([0.1, 0.2], np.float32)
    unpacked = elementwise.dequantize(np.array([[1, 2], [3, 4]], np.int8), scales, axis=0)
    np.testing.assert_allclose(unpacked, [[0.1, 0.2], [0.6, 0.8]], rtol=1e-6)


def test_palettes_are_packed_from_the_lowest_bit():
    packed = np.array([0b11_10_01_00, 0b00_00_00_11], np.uint8)
    palette = np.array([0.0, 0.25, 0.5, 4.0], np.float32)
    assert elementwise.from_palette(packed, palette, (1, 5)).tolist() == [[0.0, 0.25, 0.5, 4.0, 4.0]]


def test_parts(x):
    cut = layout.slice_by_index(
        x, (0, 1, 2, 0), (1, 3, 0, 12), (1, 1, 1, 2), end_mask=(0, 0, 1, 0), squeeze_mask=(1, 0, 0, 0)
    )
    assert np.array_equal(cut, x[0, 1:3, 2:, 0:12:2])
    assert np.array_equal(layout.reshape(x, (0, 2, 3, -1)), x.reshape(1, 2, 3, -1))
    values, where = layout.topk(x, 2, 1)
    close(values, torch.from_numpy(x).topk(2, 1).values)
    assert np.array_equal(np.take_along_axis(x, where, 1), values)
    assert [part.shape[1] for part in layout.split(x, 1, split_sizes=(1, 2, 3))] == [1, 2, 3]
    assert np.array_equal(layout.pad(x, (1, 0), "replicate")[..., 0], x[..., 0])


def saved(path, program, precision="float16"):
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=ct.precision(precision),
        skip_model_load=True,
    )
    model.save(str(path))
    return path


def tripled():
    @mb.program(input_specs=[mb.TensorSpec((4,))], opset_version=ct.target.iOS17)
    def made(x):
        return mb.sub(x=mb.mul(x=x, y=np.float32(3), name="tripled"), y=x, name="less")

    return made


def test_results_are_rounded_to_their_types(tmp_path):
    values = np.array([1.0003, 30000, 2e-5, 0], np.float32)
    wide = Interpreter(saved(tmp_path / "wide.mlpackage", tripled(), "float32"))
    half = Interpreter(saved(tmp_path / "half.mlpackage", tripled()))
    (exact,) = wide.predict({"x": values}).values()
    np.testing.assert_allclose(exact, 2 * values, rtol=1e-6)
    assert wide.problems == []
    (rounded,) = half.predict({"x": values}).values()
    assert rounded[0] == np.float16(np.float16(3 * np.float16(1.0003)) - np.float16(1.0003))
    assert not np.isfinite(rounded[1])  # 90,000
    assert any("exceeds 16 bits" in problem for problem in half.problems)
    assert any("is not finite" in problem for problem in half.problems)
    flushed = Interpreter(tmp_path / "half.mlpackage", rounding="flush")
    assert [float(one.ravel()[2]) for one in flushed.predict({"x": values}).values()] == [0.0]
    everything = Interpreter(tmp_path / "wide.mlpackage", rounding="half")
    assert not np.isfinite(next(iter(everything.predict({"x": values}).values()))[1])


def test_what_does_not_fit_is_one_clear_error(tmp_path):
    @mb.program(input_specs=[mb.TensorSpec((4,))], opset_version=ct.target.iOS17)
    def angles(x):
        return mb.asin(x=x)

    with pytest.raises(CapabilityError, match="operations that are not interpreted: asin"):
        Interpreter(saved(tmp_path / "angles.mlpackage", angles))
    program = Interpreter(saved(tmp_path / "half.mlpackage", tripled()))
    with pytest.raises(InputError, match=r"x takes \(4,\), not \(3,\)"):
        program.predict({"x": np.zeros(3, np.float32)})
    with pytest.raises(InputError, match="the input x is missing"):
        program.predict({})

    @mb.program(input_specs=[mb.TensorSpec((1, 2, 3, 3))], opset_version=ct.target.iOS17)
    def interleaved(x):
        return mb.concat(values=(x, x), axis=1, interleave=True)

    program = Interpreter(saved(tmp_path / "interleaved.mlpackage", interleaved))
    with pytest.raises(CapabilityError, match=r"form of the operation concat is not interpreted \(interleaved"):
        program.predict({"x": np.zeros((1, 2, 3, 3), np.float32)})
