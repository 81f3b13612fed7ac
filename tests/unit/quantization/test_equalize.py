"""Channels of equal range: the float network computes the same, and eight bits lose less."""

import pytest
import torch

from edge_harmony.errors import CapabilityError
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.layers.inverted_bottleneck import InvertedBottleneck
from edge_harmony.models.registry import build_model
from edge_harmony.quantization.calibrate import collect, set_ranges
from edge_harmony.quantization.equalize import equalize
from edge_harmony.quantization.prepare import prepare_qat, set_quantization


def inputs(count=3, side=64):
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        picture = torch.rand(1, 3, side, side, generator=generator)
        yield picture, (torch.rand(1, 1, side, side, generator=generator) > 0.5).float()


def uneven(factor=100):
    """A folded network in which one channel before every depthwise convolution is larger by a factor."""
    torch.manual_seed(0)
    model = fold_norms(build_model("edge-s").eval())
    with torch.no_grad():
        torch.nn.init.normal_(model.head.weight, std=0.05)
        for block in model.modules():
            if isinstance(block, InvertedBottleneck) and block.expand is not None:
                block.expand.conv.weight[0] *= factor
                block.filter.conv.weight[0] /= factor
    return model


def run(model):
    with torch.no_grad():
        return torch.cat([model(*pair) for pair in inputs()])


def error_in_integers(model):
    expected = run(model)
    prepare_qat(model)
    set_ranges(model, collect(model, inputs(), {}, lambda *_: None), "min-max", 100.0)
    set_quantization(model, enabled=True)
    return (run(model) - expected).square().mean()


def test_the_float_network_computes_the_same():
    model = uneven()
    before = run(model)
    equalize(model, inputs())
    assert torch.allclose(run(model), before, rtol=1e-4, atol=1e-5 * before.abs().max())


def share_at_the_top(model):
    """The share of the active channels before depthwise convolutions whose range is the largest of its tensor."""
    units = [
        model.encoder[0][0] if block.expand is None else block.expand
        for block in model.modules()
        if isinstance(block, InvertedBottleneck)
    ]
    seen = [[] for _ in units]
    for unit, rows in zip(units, seen, strict=True):
        unit.register_forward_hook(lambda _, __, result, rows=rows: rows.append(result.amax((0, 2, 3))))
    run(model)
    ranges = [torch.stack(rows).quantile(0.98, dim=0) for rows in seen]
    return torch.cat([torch.isclose(r[r > 0], r.amax(), rtol=1e-3).float() for r in ranges]).mean()


def test_ranges_are_equal_after_it():
    model = uneven(factor=10)
    assert share_at_the_top(model) < 0.05
    equalize(model, inputs())
    assert share_at_the_top(model) > 0.8  # factors have a limit


def test_eight_bits_lose_less():
    plain, equal = uneven(), uneven()
    equalize(equal, inputs())
    assert error_in_integers(equal) < error_in_integers(plain) / 4


def test_a_network_without_depthwise_convolutions():
    with pytest.raises(CapabilityError, match="has no depthwise convolutions"):
        equalize(fold_norms(build_model("edge-n")), inputs())


@pytest.mark.parametrize("name", ["edge-n", "edge-s"])
def test_halved_distances_are_the_same_network(name):
    torch.manual_seed(0)
    model = build_model(name, half_distances=False).eval()
    torch.nn.init.normal_(model.head.weight, std=0.05)
    (picture, mask), *_ = inputs()
    far = picture * mask, mask  # before a black background
    seen = []
    model.quantize_input.register_forward_hook(lambda _, __, planes: seen.append(planes.abs().amax((0, 2, 3))))
    with torch.no_grad():
        whole = model(*far)
        model.halve_distances()
        half = model(*far)
        model.halve_distances(False)
        again = model(*far)
    torch.testing.assert_close(half, whole, rtol=1e-4, atol=1e-5)
    assert torch.equal(again, whole)
    torch.testing.assert_close(seen[1] * torch.tensor([1, 1, 1, 2, 2, 2, 1]), seen[0])
    assert seen[1].amax() <= 1 < seen[0].amax()
