"""The registry's figures are those of the networks; weights on disk."""

import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edge_harmony.errors import ArtifactError, UsageError
from edge_harmony.models.edge import EdgeNet
from edge_harmony.models.registry import MODELS, build_model, find_model
from edge_harmony.models.state import load_model, read_weights, restore, save_weights


@pytest.mark.parametrize("name", MODELS)
def test_figures_of_the_registry(name):
    entry = MODELS[name]
    model = entry.build().eval()
    assert sum(p.numel() for p in model.parameters()) == entry.parameters
    assert model.output == entry.output
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, 3, 256, 256), torch.rand(1, 1, 256, 256))
    assert counter.get_total_flops() == entry.flops


def test_edge_s_has_a_seventh_of_the_work_of_hdnet_lite():
    assert MODELS["edge-s"].flops * 7 <= MODELS["hdnet-lite"].flops


def test_misspelt_names_are_not_guessed():
    with pytest.raises(UsageError, match="did you mean edge-s"):
        find_model("edge_s")
    with pytest.raises(UsageError, match="does not take the options"):
        build_model("edge-s", depth=4)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("rain", [False, True])
def test_edge_gives_finite_transforms_for_any_mask(value, rain):
    model = EdgeNet((8, 8, 16, 16, 24), 16, rain=rain).eval()
    torch.nn.init.normal_(model.head.weight)
    result = model(torch.rand(2, 3, 64, 96), torch.full((2, 1, 64, 96), value))
    assert result.shape == (2, 12, 8, 12)
    assert torch.isfinite(result).all()
    with pytest.raises(ValueError, match="multiples of 32"):
        model(torch.rand(1, 3, 60, 64), torch.rand(1, 1, 60, 64))


def test_edge_starts_as_the_identity_and_does_not_mix_samples():
    model = EdgeNet((8, 8, 16, 16, 24), 16).eval()
    composite, mask = torch.rand(3, 3, 64, 64), (torch.rand(3, 1, 64, 64) > 0.5).float()
    assert torch.equal(model(composite, mask), torch.zeros(3, 12, 8, 8))
    torch.nn.init.normal_(model.head.weight)
    alone = torch.cat([model(composite[k : k + 1], mask[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(model(composite, mask), alone, rtol=1e-4, atol=1e-4)


def test_shipped_weights_load_and_carry_ranges():
    model = load_model("edge-s")
    assert not model.training
    weights = read_weights(find_weights("edge-s"))
    assert weights.folded
    assert all(np.isfinite(list(weights.ranges.values())))
    assert len(weights.ranges) > 10


def find_weights(name):
    from edge_harmony.models.registry import bundled_weights

    return bundled_weights(name)


def test_weights_round_trip_bit_for_bit(edge_weights, tmp_path):
    weights = read_weights(edge_weights)
    model = restore("edge-n", weights)
    save_weights(tmp_path / "again.safetensors", model, name="edge-n", options=weights.options)
    again = read_weights(tmp_path / "again.safetensors")
    assert again.folded
    assert again.options == weights.options
    assert all(torch.equal(again.tensors[name], value) for name, value in weights.tensors.items())


def test_weights_of_another_network_or_damaged_ones(edge_weights, tmp_path):
    weights = read_weights(edge_weights)
    with pytest.raises(ArtifactError, match="not of edge-m"):
        restore("edge-m", weights)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(edge_weights.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="damaged"):
        read_weights(cut)
    foreign = tmp_path / "foreign.safetensors"
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, foreign)
    with pytest.raises(ArtifactError, match="edge-harmony import"):
        read_weights(foreign)
    with pytest.raises(UsageError, match="no weights"):
        read_weights(tmp_path / "absent.safetensors")
    with pytest.raises(UsageError, match="no weights of hdnet are shipped"):
        load_model("hdnet")


def test_cards_are_complete():
    from edge_harmony.models.registry import weights_folder

    for path in weights_folder().glob("*.safetensors"):
        card = json.loads(path.with_suffix(".json").read_text())
        assert {"licence", "data", "images_seen", "quality"} <= set(card)
        assert path.with_suffix(".md").is_file()
