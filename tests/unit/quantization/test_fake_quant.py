"""Fake quantization against NumPy arithmetic; preparing, observing, saving."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import ArtifactError, CapabilityError, InputError
from edge_harmony.export.onnx import export_onnx
from edge_harmony.models.layers.conv_unit import FloatIsland, fold_norms
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import activation_ranges, read_weights, restore, save_weights
from edge_harmony.quantization.fake_quant import ActivationQuantizer, QuantizedConv2d, QuantizedConvTranspose2d
from edge_harmony.quantization.prepare import load_ranges, observe_with, prepare_qat, set_quantization


def prepared(seed=0):
    torch.manual_seed(seed)
    return prepare_qat(fold_norms(build_model("edge-n", widths=(8, 8, 16, 16, 24), hidden=16).eval()))


def batches(count=2, value=None):
    composite = torch.rand(2, 3, 64, 64) if value is None else torch.full((2, 3, 64, 64), value)
    return [(composite, (torch.rand(2, 1, 64, 64) > 0.5).float()) for _ in range(count)]


def quantizer_of(scale):
    quantizer = ActivationQuantizer()
    quantizer.scale.fill_(scale)
    return quantizer


def test_activation_rounding_is_numpys():
    x = torch.linspace(-3, 3, 1001)
    result = quantizer_of(0.02).eval()(x).numpy()
    scale = np.float32(0.02)
    assert_allclose(result, np.clip(np.rint(x.numpy() / scale), -128, 127) * scale, atol=1e-6)


def test_gradient_passes_inside_the_range_only():
    x = torch.tensor([0.5, 100.0, -0.1], requires_grad=True)
    quantizer_of(0.02).eval()(x).sum().backward()
    assert_array_equal(x.grad, [1, 0, 1])


def test_weights_are_rounded_per_output_channel():
    conv = QuantizedConv2d(3, 4, 3, bias=False)
    with torch.no_grad():
        conv.weight.mul_(torch.tensor([1.0, 10.0, 0.1, 0.0]).view(-1, 1, 1, 1))
    weight = conv.weight.detach().numpy()
    scale = np.maximum(np.abs(weight).max((1, 2, 3)) / np.float32(127), 1e-8)
    rounded = np.clip(np.rint(weight / scale[:, None, None, None]), -127, 127) * scale[:, None, None, None]
    x = torch.randn(1, 3, 8, 8)
    expected = torch.nn.functional.conv2d(x, torch.from_numpy(rounded.astype(np.float32)))
    assert_allclose(conv(x).detach(), expected, rtol=1e-5, atol=1e-6)


def test_scales_follow_the_largest_magnitude():
    quantizer = ActivationQuantizer().train()
    quantizer.momentum = 0.5
    quantizer(torch.tensor([-12.7, 3.0]))
    assert quantizer.scale.item() == pytest.approx(0.1)
    quantizer(torch.tensor([25.4]))
    assert quantizer.scale.item() == pytest.approx(0.15)
    quantizer.eval()(torch.tensor([1000.0]))
    assert quantizer.scale.item() == pytest.approx(0.15)


def test_every_convolution_and_point_is_replaced():
    model = prepared()
    assert not any(type(m) is torch.nn.Conv2d for m in model.modules())
    assert sum(isinstance(m, ActivationQuantizer) for m in model.modules()) >= 18
    before = sum(isinstance(m, ActivationQuantizer) for m in model.modules())
    assert sum(isinstance(m, ActivationQuantizer) for m in prepare_qat(model).modules()) == before


def test_switched_off_it_is_the_float_network(edge_weights):
    weights = read_weights(edge_weights)
    plain, twin = restore("edge-n", weights), prepare_qat(restore("edge-n", weights))
    load_ranges(twin, weights.ranges)
    composite, mask = batches(1)[0]
    set_quantization(twin, enabled=False)
    assert torch.equal(plain(composite, mask), twin(composite, mask))
    set_quantization(twin, enabled=True)
    result = twin.eval()(composite, mask)
    assert not torch.equal(plain(composite, mask), result)
    assert (plain(composite, mask) - result).abs().max() < 0.1


def test_ranges_are_the_same_bits_after_saving(edge_weights):
    weights = read_weights(edge_weights)
    model = prepare_qat(restore("edge-n", weights))
    load_ranges(model, weights.ranges)
    assert activation_ranges(model) == weights.ranges
    assert all(value > 0 for value in weights.ranges.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r | {"odd.point": 0.1}, "odd.point"),
        (lambda r: dict(list(r.items())[1:]), "do not fit"),
        (lambda r: r | {next(iter(r)): 0.0}, "is 0.0"),
        (lambda r: r | {next(iter(r)): float("nan")}, "is nan"),
    ],
)
def test_wrong_ranges_are_refused(edge_weights, change, message):
    weights = read_weights(edge_weights)
    with pytest.raises(ArtifactError, match=message):
        load_ranges(prepare_qat(restore("edge-n", weights)), change(weights.ranges))


def test_calibration_data_that_cannot_be_used():
    with pytest.raises(InputError, match="empty"):
        observe_with(prepared(), [])
    with pytest.raises(InputError, match="not finite"):
        observe_with(prepared(), batches(1, float("nan")))
    model = prepared()
    observe_with(model, batches(1, 0.0))  # black pictures: small but positive scales
    assert all(value > 0 for value in activation_ranges(model).values())


def test_networks_without_points_and_unfolded_norms():
    with pytest.raises(CapabilityError, match="Sequential marks no quantization points"):
        prepare_qat(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1)))
    with pytest.raises(ValueError, match="fold"):
        prepare_qat(build_model("edge-n"))


@pytest.mark.parametrize(
    "name", ["fmm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("hdnet-lite", "rcl"))]
)
def test_networks_of_papers_are_quantized_with_their_float_islands(tmp_path, name):
    torch.manual_seed(0)
    model = build_model(name, width=4).eval()
    with torch.no_grad():
        reference = model(*(inputs := batches(1)[0]))
    islands = {m for m in model.modules() if isinstance(m, FloatIsland)}
    assert islands
    model = prepare_qat(fold_norms(model))
    assert not any(isinstance(m, QuantizedConv2d) for island in islands for m in island.modules())
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    outside = [m for m in model.modules() if isinstance(m, kinds) and not any(m in i.modules() for i in islands)]
    assert all(isinstance(m, QuantizedConv2d | QuantizedConvTranspose2d) for m in outside)
    observe_with(model, [inputs, *batches(2)])
    with torch.no_grad():
        result = model(*inputs)
    assert 0 < (result - reference).abs().mean() < 0.03
    save_weights(tmp_path / "net.safetensors", model, name=name, options={"width": 4})
    path = export_onnx(name, tmp_path / "net.safetensors", tmp_path, precision="int8", size=(64, 64))
    runner = load_runner(name, backend="onnxruntime", precision="int8", artifact=path)
    exported = runner.infer(*(x.numpy() for x in inputs))
    assert np.abs(exported - result.numpy()).mean() < 0.02


def test_learned_scales_have_the_gradient_of_lsq():
    quantizer = quantizer_of(0.1).train()
    quantizer.learn()
    x = torch.tensor([[0.26, -3.0, 40.0, -40.0]])
    quantizer(x).sum().backward()
    levels = x.numpy()[0] / np.float32(0.1)
    inside = (levels > -128) & (levels < 127)
    expected = np.where(inside, np.rint(levels) - levels, np.clip(levels, -128, 127)).sum() / np.sqrt(4 * 127)
    assert quantizer.log_scale.grad.item() == pytest.approx(0.1 * expected, rel=1e-3)  # of the logarithm
    before = quantizer.eval()(x)
    assert_allclose(before, np.clip(np.rint(levels), -128, 127)[None] * np.float32(0.1), atol=1e-5)
    assert activation_ranges(quantizer) == {"": pytest.approx(0.1)}


def test_transposed_convolutions_are_rounded_per_tensor():
    layer = QuantizedConvTranspose2d(3, 4, 4, 2, 1)
    weight = layer.weight.detach().numpy()
    scale = np.abs(weight).max() / np.float32(127)
    rounded = (np.clip(np.rint(weight / scale), -127, 127) * scale).astype(np.float32)
    x = torch.randn(1, 3, 8, 8)
    expected = torch.nn.functional.conv_transpose2d(x, torch.from_numpy(rounded), layer.bias, 2, 1)
    assert_allclose(layer(x).detach(), expected.detach(), rtol=1e-5, atol=1e-6)
    layer.enabled = False
    plain = torch.nn.functional.conv_transpose2d(x, layer.weight, layer.bias, 2, 1)
    assert_allclose(layer(x).detach(), plain.detach())
    with pytest.raises(ValueError, match="output_size"):
        layer(x, output_size=[16, 16])
