"""EfficientNet-lite0's public weights as an encoder, against a reading of its own of the public network."""

import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

from edge_harmony.errors import InputError, UsageError
from edge_harmony.models.edge import EdgeNet
from edge_harmony.models.import_efficientnet import import_lite0
from edge_harmony.models.layers.inverted_bottleneck import LITE0_WIDTHS
from edge_harmony.models.weights_file import load_model

# kernel, stride, expansion, inputs, outputs, repeats: the table of the public code
ARGUMENTS = (
    (3, 1, 1, 32, 16, 1),
    (3, 2, 6, 16, 24, 2),
    (5, 2, 6, 24, 40, 2),
    (3, 2, 6, 40, 80, 3),
    (5, 1, 6, 80, 112, 3),
    (5, 2, 6, 112, 192, 4),
    (3, 1, 6, 192, 320, 1),
)


def blocks():
    number = 0
    for kernel, stride, expansion, inputs, outputs, repeats in ARGUMENTS:
        for k in range(repeats):
            yield f"_blocks.{number}.", kernel, 1 if k else stride, expansion, outputs if k else inputs, outputs
            number += 1


def public_state():
    """A state dict with the names and shapes of the public code, and values that keep activations of order 1."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def add(convolution, norm, shape):
        fan = shape[1] * shape[2] * shape[3]
        state[f"{convolution}.weight"] = torch.randn(shape, generator=generator) * (2 / fan) ** 0.5
        count = (shape[0],)
        state[f"{norm}.weight"] = 0.5 + torch.rand(count, generator=generator)
        state[f"{norm}.bias"] = 0.1 * torch.randn(count, generator=generator)
        state[f"{norm}.running_mean"] = 0.1 * torch.randn(count, generator=generator)
        state[f"{norm}.running_var"] = 0.01 + torch.rand(count, generator=generator)

    add("_conv_stem", "_bn0", (32, 3, 3, 3))
    for prefix, kernel, _, expansion, inputs, outputs in blocks():
        width = inputs * expansion
        if expansion > 1:
            add(f"{prefix}_expand_conv", f"{prefix}_bn0", (width, inputs, 1, 1))
        add(f"{prefix}_depthwise_conv", f"{prefix}_bn1", (width, 1, kernel, kernel))
        add(f"{prefix}_project_conv", f"{prefix}_bn2", (outputs, width, 1, 1))
    state["_fc.weight"] = torch.zeros(1000, 1280)
    return state


def unit(x, state, convolution, norm, stride=1, groups=1, relu=True):
    weight = state[f"{convolution}.weight"]
    x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
    names = ("running_mean", "running_var", "weight", "bias")
    x = F.batch_norm(x, *(state[f"{norm}.{name}"] for name in names), eps=1e-3)
    return F.relu(x) if relu else x


def public_features(x, state):
    x = unit(x, state, "_conv_stem", "_bn0", 2)
    for prefix, _, stride, expansion, inputs, outputs in blocks():
        y = unit(x, state, f"{prefix}_expand_conv", f"{prefix}_bn0") if expansion > 1 else x
        y = unit(y, state, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride, y.shape[1])
        y = unit(y, state, f"{prefix}_project_conv", f"{prefix}_bn2", relu=False)
        x = x + y if stride == 1 and inputs == outputs else y
    return x


def test_features_are_those_of_the_public_network(tmp_path):
    state = public_state()
    torch.save(state, tmp_path / "lite0.pth")
    taken = import_lite0(tmp_path / "lite0.pth", tmp_path / "start.safetensors", "edge-s")
    assert taken == sum(value.numel() for name, value in state.items() if not name.startswith("_fc"))
    model = load_model("edge-s", tmp_path / "start.safetensors").eval()
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(2, 1, 64, 64)
    mask[:, :, 16:48, 16:48] = 1
    with torch.no_grad():
        ours = model.style_features(picture, mask)[-1]
        theirs = public_features(picture * 2 - 1, state)
    assert ours.shape == (2, LITE0_WIDTHS[-1], 2, 2)
    assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("broken", ["_blocks.3._bn1.running_var", "_conv_stem.weight"])
def test_what_is_no_such_checkpoint_is_told(tmp_path, broken):
    state = public_state()
    del state[broken]
    torch.save(state, tmp_path / "lite0.pth")
    with pytest.raises(InputError, match=broken):
        import_lite0(tmp_path / "lite0.pth", tmp_path / "start.safetensors", "edge-s")
    assert not (tmp_path / "start.safetensors").exists()


def test_networks_without_such_an_encoder_are_refused(tmp_path):
    torch.save(public_state(), tmp_path / "lite0.pth")
    for name in ("hdnet-lite", "edge-n"):
        with pytest.raises(InputError, match="use edge-s"):
            import_lite0(tmp_path / "lite0.pth", tmp_path / "start.safetensors", name)
    with pytest.raises(UsageError, match="there is no checkpoint"):
        import_lite0(tmp_path / "none.pth", tmp_path / "start.safetensors", "edge-s")


def test_widths_that_are_not_the_encoders_are_refused():
    with pytest.raises(ValueError, match="widths of efficientnet-lite0"):
        EdgeNet(encoder="efficientnet-lite0")
    with pytest.raises(ValueError, match="decoder_widths must name 2"):
        EdgeNet(decoder_widths=(64,))
