"""Each layer against an independent NumPy reading of its equation."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from edge_harmony.export.onnx import trace
from edge_harmony.models.layers.colour_transform import apply_coarse, slice_bilateral, uncentre
from edge_harmony.models.layers.conv_unit import ConvUnit, fold_norms
from edge_harmony.models.layers.feature_modulation import FeatureModulation
from edge_harmony.models.layers.local_dynamics import LocalDynamics
from edge_harmony.models.layers.mask_dynamics import MaskAwareGlobalDynamics
from edge_harmony.models.layers.masks import paired_statistics, pooled_background, region_statistics, resize_mask
from edge_harmony.models.layers.rain import RAIN
from edge_harmony.models.layers.region_modulation import RegionModulation
from edge_harmony.models.layers.style_fusion import StyleFusion


def randomize(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def half_mask(batch, height, width, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy((rng.random((batch, 1, height, width)) > 0.5).astype(np.float32))


def numpy_statistics(x, weight, eps=1e-5):
    total = weight.sum() + eps
    mean = (x * weight).sum((1, 2)) / total
    variance = (((x - mean[:, None, None]) ** 2) * weight).sum((1, 2)) / total
    return mean, np.sqrt(variance + eps)


@pytest.mark.parametrize("offset", [0.0, 40.0])
def test_paired_statistics_are_those_of_both_regions(offset):
    x = torch.randn(2, 3, 32, 40) + offset  # the second case: cancellation in mean(x x) - mean(x) mean(x)
    mask = torch.rand(2, 1, 32, 40)
    mask[1] = 1
    mean_f, std_f, mean_b, std_b = paired_statistics(x, mask, 1e-3)
    for mean, std, weight in ((mean_f, std_f, mask), (mean_b, std_b, 1 - mask)):
        torch.testing.assert_close((mean, std), region_statistics(x, weight, 1e-3), rtol=1e-3, atol=1e-5)
        for n in range(2):
            expected = numpy_statistics(x[n].double().numpy(), weight[n, 0].double().numpy(), 1e-3)
            assert_allclose(mean[n].flatten(), expected[0], rtol=1e-4, atol=1e-5)
            assert_allclose(std[n].flatten(), expected[1], rtol=1e-3)
    assert not mean_b[1].any()  # an empty region


def test_region_statistics_keep_their_digits_under_autocast():
    """Colours near each other: in bfloat16 the deviation would be lost in the mean's rounding."""
    torch.manual_seed(0)
    x, mask = 0.8 + 0.01 * torch.randn(2, 3, 32, 32), half_mask(2, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        _, deviation = region_statistics(x, mask)
    assert deviation.dtype == torch.float32
    _, expected = numpy_statistics(x[0].double().numpy(), mask[0].double().numpy())
    assert_allclose(deviation[0].flatten(), expected, rtol=1e-3)


def test_region_statistics_of_a_known_region():
    x = torch.tensor([[[[1.0, 3.0], [100.0, -100.0]]]])
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    mean, std = region_statistics(x, mask, 1e-8)
    assert_allclose(mean.item(), 2.0, rtol=1e-6)
    assert_allclose(std.item(), 1.0, rtol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (5, 7)])
def test_resized_masks_keep_their_weight(size):
    mask = half_mask(2, 40, 56)
    assert_allclose(resize_mask(mask, size).mean((1, 2, 3)), mask.mean((1, 2, 3)), atol=0.02)


def check_region_norm(layer, result, x, mask, reference):
    """The foreground takes the background statistics of ``reference``, the background its own."""
    gamma_f, beta_f = layer.foreground_gamma.detach().numpy(), layer.foreground_beta.detach().numpy()
    gamma_b, beta_b = layer.background_gamma.detach().numpy(), layer.background_beta.detach().numpy()
    for n in range(len(x)):
        picture, m = x[n].numpy().astype(np.float64), mask[n, 0].numpy().astype(np.float64)
        mean_f, std_f = numpy_statistics(picture, m)
        mean_b, std_b = numpy_statistics(picture, 1 - m)
        mean_r, std_r = numpy_statistics(reference[n].numpy().astype(np.float64), 1 - m)
        for c in range(x.shape[1]):
            restyled = (picture[c] - mean_f[c]) / std_f[c] * std_r[c] + mean_r[c]
            foreground = restyled * (1 + gamma_f[c]) + beta_f[c]
            background = (picture[c] - mean_b[c]) / std_b[c] * (1 + gamma_b[c]) + beta_b[c]
            expected = np.where(m > 0, foreground, background)
            assert_allclose(result[n, c].detach(), expected, rtol=2e-4, atol=2e-4)


def test_rain_matches_its_equations():
    layer, mask = randomize(RAIN(5)), half_mask(2, 12, 10)
    x = torch.randn(2, 5, 12, 10)
    check_region_norm(layer, layer(x, mask), x, mask, x)


def test_rain_gives_the_foreground_the_backgrounds_statistics():
    x, mask = torch.randn(1, 3, 32, 32) * 3 + 5, torch.zeros(1, 1, 32, 32)
    mask[..., :16] = 1
    x[..., 16:] = x[..., 16:] * 0.1 - 2
    result = RAIN(3)(x, mask)
    mean_f, std_f = region_statistics(result, mask)
    mean_b, std_b = region_statistics(x, 1 - mask)
    assert_allclose(mean_f.detach(), mean_b, atol=1e-3)
    assert_allclose(std_f.detach(), std_b, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_rain_without_one_region_keeps_the_other_alive(value):
    x = torch.randn(1, 3, 16, 16)
    mask = torch.full((1, 1, 16, 16), value)
    assert RAIN(3)(x, mask).std() > 0.5
    if value == 1:
        assert RAIN(3, official=True)(x, mask).std() < 0.1  # the published behaviour, kept for parity


def test_mask_dynamics_matches_its_equation():
    layer, mask = randomize(MaskAwareGlobalDynamics(6)), half_mask(2, 9, 7)
    x = torch.randn(2, 6, 9, 7)
    result = layer(x, mask).detach().numpy()
    reduce, _, expand = layer.kernel
    w1, b1 = reduce.weight.detach().numpy()[:, :, 0, 0], reduce.bias.detach().numpy()
    w2, b2 = expand.weight.detach().numpy()[:, :, 0, 0], expand.bias.detach().numpy()
    for n in range(2):
        picture, m = x[n].numpy(), mask[n, 0].numpy()
        hidden = 1 / (1 + np.exp(-(w1 @ picture.mean((1, 2)) + b1)))
        half = len(w2) // 2
        kernels = [w2[:half] @ hidden[:2] + b2[:half], w2[half:] @ hidden[2:] + b2[half:]]
        mapped = [np.einsum("oc,chw->ohw", kernel.reshape(6, 6), picture) for kernel in kernels]
        assert_allclose(result[n], m * mapped[0] + (1 - m) * mapped[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("neighbours", [1, 3])
def test_local_dynamics_matches_its_equation(neighbours):
    layer, mask = randomize(LocalDynamics(4, neighbours)), half_mask(2, 6, 5)
    x = torch.randn(2, 4, 6, 5)
    result = layer(x, mask).detach().numpy()
    weight, bias = layer.linear.weight.detach().numpy()[:, :, 0], layer.linear.bias.detach().numpy()
    for n in range(2):
        features, m = x[n].numpy().reshape(4, -1), mask[n, 0].numpy().reshape(-1)
        background = np.flatnonzero(m == 0)
        expected = features.copy()
        for p in np.flatnonzero(m == 1):
            q = features[:, p]
            keys = features[:, background]
            similarity = (q @ keys) / (np.linalg.norm(q) * np.linalg.norm(keys, axis=0))
            chosen = np.argsort(-similarity)[:neighbours]
            weights = np.exp(similarity[chosen]) / np.exp(similarity[chosen]).sum()
            expected[:, p] = weight @ np.concatenate([keys[:, chosen] @ weights, q]) + bias
        assert_allclose(result[n].reshape(4, -1), expected, rtol=1e-4, atol=1e-4)


def test_local_dynamics_without_background_passes_features_unchanged():
    layer, x = randomize(LocalDynamics(4, 2)), torch.randn(1, 4, 6, 6)
    assert torch.equal(layer(x, torch.ones(1, 1, 6, 6)), x)
    assert torch.equal(layer(x, torch.zeros(1, 1, 6, 6)), x)


def test_local_dynamics_in_portions_is_the_same_for_queries_and_close_for_keys():
    layer, x = randomize(LocalDynamics(4)), torch.randn(1, 4, 16, 16)
    x = torch.nn.functional.interpolate(x[..., :4, :4], size=(16, 16), mode="bilinear")  # smooth, as features are
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    whole = layer(x, mask)
    layer.max_keys = 64
    portions = layer(x, mask)
    assert torch.isfinite(portions).all()
    assert (portions - whole).abs().mean() < 0.2 * whole.abs().mean()


def test_local_dynamics_refuses_what_the_public_code_leaves_undefined():
    with pytest.raises(ValueError, match="neighbours=1"):
        LocalDynamics(4, 2, official=True)


def test_region_modulation_starts_as_identity_and_matches_its_equation():
    layer, mask, x = RegionModulation(3, 2, 8), half_mask(2, 8, 8), torch.randn(2, 3, 8, 8)
    context = torch.randn(2, 2)
    assert torch.equal(layer(x, mask, context), x)
    randomize(layer)
    result = layer(x, mask, context).detach().numpy()
    w1, b1 = layer.reduce.weight.detach().numpy(), layer.reduce.bias.detach().numpy()
    w2, b2 = layer.expand.weight.detach().numpy(), layer.expand.bias.detach().numpy()
    for n in range(2):
        picture, m = x[n].numpy(), mask[n, 0].numpy()
        statistics = [*numpy_statistics(picture, m, 1e-3), *numpy_statistics(picture, 1 - m, 1e-3), context[n].numpy()]
        hidden = np.maximum(w1 @ np.concatenate(statistics) + b1, 0)
        scale, shift = np.split(w2 @ hidden + b2, 2)
        expected = picture * (1 + scale[:, None, None]) + shift[:, None, None]
        assert_allclose(result[n], expected, rtol=1e-4, atol=1e-4)


def test_uncentred_coefficients_do_the_same_to_every_colour():
    coefficients, centre = torch.randn(2, 12, 1, 1), torch.rand(2, 3, 1, 1)
    plain = uncentre(coefficients, centre)
    x = torch.rand(2, 3, 5, 5)
    for n in range(2):
        matrix = coefficients[n, :9, 0, 0].view(3, 3).numpy()
        offset = coefficients[n, 9:, 0, 0].numpy()
        c = centre[n, :, 0, 0].numpy()
        expected = (
            x[n].numpy() + np.einsum("kc,chw->khw", matrix, x[n].numpy() - c[:, None, None]) + offset[:, None, None]
        )
        result = apply_coarse(x[n : n + 1], torch.ones(1, 1, 5, 5), plain[n : n + 1], "affine")
        assert_allclose(result[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "channels"), [("affine", 12), ("gain", 6), ("difference", 3), ("rgb", 3)])
def test_apply_coarse_leaves_the_background_alone(kind, channels):
    x, mask = torch.rand(1, 3, 16, 16), half_mask(1, 16, 16)
    size = 16 if kind == "rgb" else 4
    result = apply_coarse(x, mask, torch.randn(1, channels, size, size), kind)
    outside = (mask == 0).expand_as(x)
    assert torch.equal(result[outside], x[outside])
    assert not torch.equal(result, x)
    with pytest.raises(ValueError, match="kind"):
        apply_coarse(x, mask, torch.randn(1, 3, 4, 4), "other")


@pytest.mark.parametrize("relu", [True, False])
def test_folded_units_compute_the_same(relu):
    torch.manual_seed(0)
    unit = ConvUnit(3, 8, stride=2, relu=relu)
    unit.train()
    for _ in range(5):
        unit(torch.randn(4, 3, 16, 16) * 2 + 1)
    unit.eval()
    x = torch.randn(2, 3, 16, 16)
    before = unit(x)
    fold_norms(unit)
    assert isinstance(unit.norm, torch.nn.Identity)
    assert_allclose(unit(x).detach(), before.detach(), rtol=1e-4, atol=1e-5)
    fold_norms(unit)  # folding twice changes nothing
    assert_allclose(unit(x).detach(), before.detach(), rtol=1e-4, atol=1e-5)


def test_style_fusion_takes_the_style_from_the_reference():
    layer, mask = randomize(StyleFusion(4)), half_mask(2, 10, 12)
    x, reference = torch.randn(2, 4, 10, 12), torch.randn(2, 4, 10, 12) * 3 + 1
    check_region_norm(layer, layer(x, mask, reference), x, mask, reference)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_style_fusion_without_one_region_keeps_the_other_alive(value):
    x, reference = torch.randn(1, 3, 16, 16), torch.randn(1, 3, 16, 16)
    result = StyleFusion(3)(x, torch.full((1, 1, 16, 16), value), reference)
    assert torch.isfinite(result).all()
    assert result.std() > 0.5


def numpy_attention(layer, features, queries, keys):
    """Background values mixed for every query, ``(C, Q)``."""
    q, k, v = (
        (part.weight.detach().numpy()[:, :, 0], part.bias.detach().numpy()[:, None])
        for part in (layer.query, layer.key, layer.value)
    )
    similarity = (q[0] @ queries + q[1]).T @ (k[0] @ keys + k[1])
    weights = np.exp(similarity - similarity.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return (v[0] @ keys + v[1]) @ weights.T


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("mode", ["full", "self-attention", "no-attention"])
def test_feature_modulation_matches_its_equation(mode, published):
    layer, mask = randomize(FeatureModulation(8, mode, published=published)), half_mask(2, 6, 7)
    x = torch.randn(2, 8, 6, 7)
    result = layer(x, mask).detach().numpy()
    for n in range(2):
        features, m = x[n].numpy().reshape(8, -1), mask[n, 0].numpy().reshape(-1)
        inside, outside = m == 1, m == 0

        def deviation(values, weight):
            mean = (values * weight).sum(1) / weight.sum()
            return np.sqrt((np.square(values - mean[:, None]) * weight).sum(1) / weight.sum() + 1e-3)[:, None]

        if mode == "no-attention":
            picked, where = (features * outside, np.ones_like(m)) if published else (features, 1.0 - m)
        elif published:  # foreground keys are zeros that still take part, and every position is a query
            picked, where = numpy_attention(layer, features, features * inside, features * outside), np.ones_like(m)
        else:
            picked, where = numpy_attention(layer, features, features, features[:, outside]), m
        own = deviation(features * inside, np.ones_like(m) if published else m)
        change = picked if mode == "self-attention" else features * deviation(picked, where) / own
        expected = np.where(inside, features + layer.gamma.item() * change, features)
        assert_allclose(result[n].reshape(8, -1), expected, rtol=1e-3, atol=1e-3)


def test_feature_modulation_starts_as_identity_and_needs_a_background():
    x = torch.randn(1, 8, 6, 6)
    assert torch.equal(FeatureModulation(8)(x, half_mask(1, 6, 6)), x)
    layer = randomize(FeatureModulation(8))
    assert torch.equal(layer(x, torch.ones(1, 1, 6, 6)), x)
    assert torch.equal(layer(x, torch.zeros(1, 1, 6, 6)), x)
    with pytest.raises(ValueError, match="mode"):
        FeatureModulation(8, "other")


def test_feature_modulation_in_portions_is_the_same_for_queries():
    layer, x = randomize(FeatureModulation(8)), torch.randn(1, 8, 8, 8)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    whole = layer(x, mask)
    keys = pooled_background(x, mask, 4096)
    layer.max_keys = 16
    portions = layer._attend(x, mask, *keys)  # the same keys, queries by sixteens
    layer.max_keys = 4096
    torch.testing.assert_close(portions, layer._attend(x, mask, *keys))
    assert torch.isfinite(whole).all()


def test_pooled_background_averages_what_is_background():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0] = 1
    features, is_background = pooled_background(x, mask, 4)
    assert_allclose(features[0, 0], [3.0, 4.5, 11.0, 12.5])
    assert_allclose(is_background[0, 0], [0, 1, 0, 1])


def test_modulation_by_means_alone_is_global_average_pooling():
    layer, mask, x = (
        randomize(RegionModulation(3, hidden=8, deviations=False)),
        half_mask(1, 8, 8),
        torch.randn(1, 3, 8, 8),
    )
    m = mask[0, 0].numpy()
    picture = x[0].numpy()
    means = [(picture * r).mean((1, 2)) / (r.mean() + 1e-3 / 64) for r in (m, 1 - m)]
    hidden = np.maximum(
        layer.reduce.weight.detach().numpy() @ np.concatenate(means) + layer.reduce.bias.detach().numpy(), 0
    )
    scale, shift = np.split(layer.expand.weight.detach().numpy() @ hidden + layer.expand.bias.detach().numpy(), 2)
    expected = picture * (1 + scale[:, None, None]) + shift[:, None, None]
    assert_allclose(layer(x, mask)[0].detach(), expected, rtol=1e-4, atol=1e-4)


def test_gains_and_offsets_are_applied_per_channel_and_uncentred():
    raw, x, centre = torch.randn(1, 6, 1, 1), torch.rand(1, 3, 4, 4), torch.rand(1, 3, 1, 1)
    result = apply_coarse(x, torch.ones(1, 1, 4, 4), uncentre(raw, centre), "gain")
    assert_allclose(result, x + (x - centre) * raw[:, :3] + raw[:, 3:], rtol=1e-5, atol=1e-5)


def test_bilateral_grids_are_read_at_the_lightness_of_the_pixel():
    grid, guide = torch.randn(1, 12 * 5, 1, 1), torch.rand(1, 3, 6, 6)
    levels = grid.view(5, 12).numpy()
    result = slice_bilateral(grid, guide)
    for row, column in np.ndindex(6, 6):
        position = guide[0, :, row, column].mean().item() * 4
        expected = [np.interp(position, np.arange(5), levels[:, c]) for c in range(12)]
        assert_allclose(result[0, :, row, column], expected, rtol=1e-4, atol=1e-5)


class _Alone(torch.nn.Module):
    """A layer as a network, with features made from the picture."""

    output = "difference"

    def __init__(self, layer, channels=8):
        super().__init__()
        torch.manual_seed(1)
        self.lift = torch.nn.Conv2d(3, channels, 3, 2, 1)
        self.layer = layer

    def forward(self, composite, mask):
        x = self.lift(composite)
        return self.layer(x, mask, x * 2 + 1) if isinstance(self.layer, StyleFusion) else self.layer(x, mask)


@pytest.mark.parametrize(
    "layer",
    [
        RAIN(8),
        LocalDynamics(8, 3),
        MaskAwareGlobalDynamics(8),
        RegionModulation(8),
        RegionModulation(8, deviations=False),
        StyleFusion(8),
        FeatureModulation(8),
        FeatureModulation(8, published=True),
        FeatureModulation(8, "self-attention"),
        FeatureModulation(8, "no-attention"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_export_and_agree_with_onnx_runtime(layer):
    import onnxruntime as ort

    model = _Alone(randomize(layer)).eval()
    proto = trace(model, (32, 32), opset=18, dynamic_batch=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    composite, mask = torch.rand(3, 3, 32, 32), half_mask(3, 32, 32)
    result = session.run(None, {"composite": composite.numpy(), "mask": mask.numpy()})[0]
    with torch.no_grad():
        assert_allclose(result, model(composite, mask), rtol=1e-3, atol=1e-3)
