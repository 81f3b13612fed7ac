"""The registry's figures are those of the networks; weights on disk."""

import json
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from edge_harmony.backends.discovery import load_runner
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError, is_out_of_memory
from edge_harmony.export.onnx import export_onnx
from edge_harmony.models.edge import EdgeNet, Exchange
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.registry import MODELS, build_model, bundled_weights, find_model
from edge_harmony.models.weights_file import load_model, read_weights, restore, save_weights, write_half
from edge_harmony.quantization.prepare import observe_with, prepare_qat


@pytest.mark.parametrize("name", MODELS)
def test_figures_of_the_registry(name):
    entry = MODELS[name]
    model = entry.build().eval()
    assert sum(p.numel() for p in model.parameters()) == entry.parameters
    assert model.output == entry.output
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, 3, *entry.size), torch.rand(1, 1, *entry.size))
    assert counter.get_total_flops() == entry.flops


def test_edge_s_has_less_than_a_sixth_of_the_work_of_hdnet_lite():
    assert MODELS["edge-s"].flops * 6.5 <= MODELS["hdnet-lite"].flops


def test_weights_that_name_no_options_are_of_the_network_as_it_was(tmp_path):
    path = tmp_path / "old.safetensors"
    first = EdgeNet((32, 32, 56, 96, 128))
    save_weights(path, first, name="edge-s")
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata=metadata | {"options": "{}"})
    assert read_weights(path).options == {"widths": (32, 32, 56, 96, 128)}
    loaded = load_model("edge-s", path).state_dict()
    assert loaded.keys() == first.state_dict().keys()


def test_weights_name_all_options_of_their_network(tmp_path):
    """A later registry may define another network of this name, so files must not depend on the registry."""
    path = tmp_path / "edge-s.safetensors"
    save_weights(path, build_model("edge-s", hidden=64), name="edge-s", options={"hidden": 64})
    options = json.loads(json.dumps(find_model("edge-s").options)) | {"hidden": 64}
    assert read_weights(path).options == options
    assert restore("edge-s", read_weights(path)).bottleneck[0].reduce.out_features == 64


def test_weights_of_the_network_that_the_name_had_before_are_still_read(tmp_path):
    path = tmp_path / "edge-s.safetensors"
    save_weights(path, EdgeNet((32, 32, 64, 96, 128), 128, overall=64), name="edge-s")
    options = {"widths": [32, 32, 64, 96, 128], "hidden": 128, "overall": 64}
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata=metadata | {"options": json.dumps(options)})
    assert load_model("edge-s", path)(torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape == (1, 12, 8, 8)


def test_networks_that_are_one_at_several_sizes_share_weights(tmp_path):
    path = tmp_path / "any.safetensors"
    save_weights(path, build_model("edge-s"), name="edge-s")
    for name in ("edge-m", "edge-l"):
        assert bundled_weights(name) == bundled_weights("edge-s")
        assert load_model(name, path).state_dict().keys() == build_model(name).state_dict().keys()
    save_weights(path, build_model("edge-l"), name="edge-l")
    assert load_model("edge-s", path).state_dict().keys() == build_model("edge-s").state_dict().keys()
    with pytest.raises(ArtifactError, match="weights of edge-l, not of edge-n"):
        load_model("edge-n", path)
    assert len({MODELS[name].size for name in ("edge-s", "edge-m", "edge-l")}) == 3


def test_weights_in_16_bits_are_half_as_large_and_are_read_as_32(tmp_path):
    source, target = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    model = build_model("edge-n")
    with torch.no_grad():
        model.head.bias[0] = 1e5  # more than 16 bits hold
    save_weights(source, model, name="edge-n", recipe_sha256="1" * 64, images=3)
    write_half(source, target)
    assert target.stat().st_size < 0.55 * source.stat().st_size
    whole, half = read_weights(source), read_weights(target)
    assert (half.name, half.options, half.recipe_sha256, half.images) == ("edge-n", whole.options, "1" * 64, 3)
    for key, value in whole.tensors.items():
        assert half.tensors[key].dtype == value.dtype
        torch.testing.assert_close(half.tensors[key], value, rtol=2**-11, atol=1e-7)
    assert half.tensors["head.bias"][0] == 1e5
    again = tmp_path / "again.safetensors"
    write_half(target, again)
    assert again.read_bytes() == target.read_bytes()


def test_misspelt_names_are_not_guessed():
    with pytest.raises(UsageError, match="did you mean edge-s"):
        find_model("edge_s")
    with pytest.raises(UsageError, match="does not take the options"):
        build_model("edge-s", depth=4)


EXCHANGES = get_args(Exchange)
OPTIONS = [
    {},
    *({"decoder": kind} for kind in ("", *EXCHANGES)),
    *({"bottleneck": (kind,)} for kind in EXCHANGES),
    {"bottleneck": ()},
    {"bottleneck": ("modulation", "local-dynamics", "mask-dynamics")},
    *({"stride": stride} for stride in (2, 4, 16, 32)),
    {"transform": "difference", "stride": 2},
    {"transform": "gain", "stride": 4},
    {"transform": "gain", "stride": 2, "finest_exchange": 8},
    {"transform": "difference", "stride": 32},
    {"transform": "bilateral", "stride": 16},
    {"norm": "instance"},
    {"norm": "none"},
    {"centred": False, "relative": False, "colour_statistics": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_edge_gives_finite_transforms_for_any_mask(options):
    model = EdgeNet((8, 8, 16, 16, 24), 16, **options).eval()
    torch.nn.init.normal_(model.head.weight)
    stride = 4 if options.get("transform") == "bilateral" else options.get("stride", 8)
    size = (1, 1) if stride == 32 else (64 // stride, 96 // stride)
    for mask in (torch.zeros(2, 1, 64, 96), torch.ones(2, 1, 64, 96), torch.rand(2, 1, 64, 96)):
        result = model(torch.rand(2, 3, 64, 96), mask)
        assert result.shape == (2, {"difference": 3, "gain": 6, "affine": 12}[model.output], *size)
        assert torch.isfinite(result).all()
    with pytest.raises(ValueError, match="multiples of 32"):
        model(torch.rand(1, 3, 60, 64), torch.rand(1, 1, 60, 64))


def test_the_decoder_exchanges_at_coarse_levels_only_where_asked():
    assert len(EdgeNet(stride=2).match) == 4
    assert len(EdgeNet(stride=2, finest_exchange=4).match) == 3
    assert len(EdgeNet(stride=2, finest_exchange=32).match) == 0


@pytest.mark.parametrize("wrong", [{"stride": 3}, {"transform": "rgb"}, {"decoder": "other"}, {"norm": "layer"}])
def test_edge_options_are_checked(wrong):
    with pytest.raises(UsageError, match="does not take the options"):
        build_model("edge-n", **wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"bottleneck": ("rain", "feature-modulation"), "decoder": "style-fusion"},
        {"bottleneck": ("modulation", "local-dynamics", "mask-dynamics"), "decoder": "", "stride": 32},
        {"transform": "bilateral", "stride": 16},
    ],
    ids=str,
)
def test_edge_networks_of_other_options_can_be_quantized_and_exported(tmp_path, options):
    torch.manual_seed(0)
    options = {"widths": [8, 8, 16, 16, 24], "hidden": 16} | options
    model = build_model("edge-n", **options).eval()
    torch.nn.init.normal_(model.head.weight, std=0.02)
    composite, mask = torch.rand(1, 3, 64, 64), (torch.rand(1, 1, 64, 64) > 0.5).float()
    prepared = prepare_qat(fold_norms(model))
    observe_with(prepared, [(composite, mask)])
    save_weights(tmp_path / "net.safetensors", prepared, name="edge-n", options=options)
    path = export_onnx("edge-n", tmp_path / "net.safetensors", tmp_path, precision="int8", size=(64, 64))
    runner = load_runner("edge-n", backend="onnxruntime", precision="int8", artifact=path)
    result = runner.infer(composite.numpy(), mask.numpy())
    with torch.no_grad():
        reference = prepared(composite, mask).numpy()
    assert np.abs(result - reference).mean() < 0.1 * np.abs(reference).max()


def test_instance_norm_cannot_be_quantized():
    with pytest.raises(CapabilityError, match="norm"):
        prepare_qat(fold_norms(build_model("edge-n", norm="instance")))


@pytest.mark.parametrize("mode", ["baseline", "self-attention", "no-attention", "full"])
@pytest.mark.parametrize("variant", ["default", "published"])
def test_fmm_with_its_ablations(mode, variant):
    torch.manual_seed(0)
    model = build_model("fmm", width=4, mode=mode, variant=variant).eval()
    if mode != "baseline":
        torch.nn.init.constant_(model.modulate.gamma, 0.5)
    composite = torch.rand(2, 3, 32, 40)
    for mask in (torch.zeros(2, 1, 32, 40), torch.ones(2, 1, 32, 40), torch.rand(2, 1, 32, 40)):
        result = model(composite, mask)
        assert result.shape == composite.shape
        assert (result - composite).abs().max() <= 0.5  # a residual through tanh
        alone = torch.cat([model(composite[k : k + 1], mask[k : k + 1]) for k in range(2)])
        torch.testing.assert_close(result, alone, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="multiples of 8"):
        model(torch.rand(1, 3, 30, 32), torch.rand(1, 1, 30, 32))
    with pytest.raises(UsageError, match="does not take the options"):
        build_model("fmm", mode="other")


def test_rcl_restyles_with_the_encoders_background():
    torch.manual_seed(0)
    model = build_model("rcl", width=4).eval()
    composite = torch.rand(2, 3, 32, 40)
    for mask in (torch.zeros(2, 1, 32, 40), torch.ones(2, 1, 32, 40), torch.rand(2, 1, 32, 40)):
        result = model(composite, mask)
        assert result.shape == composite.shape
        assert torch.isfinite(result).all()
        assert ((result >= 0) & (result <= 1)).all()
    references = []
    for layer in model.fusion:
        layer.register_forward_hook(lambda _, inputs, __: references.append(inputs[2]))
    model(composite, mask)
    features = model.style_features(composite, mask)
    assert len(features) == 8
    assert all(torch.equal(a, b) for a, b in zip(references, reversed(features[:-1]), strict=True))


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


ODD = ({"widths": [-1, 8, 8, 8, 8]}, {"hidden": -3}, {"hidden": "x" * 900}, {"widths": {}})


@pytest.mark.parametrize("options", ODD)
def test_whatever_the_factory_makes_of_options_is_one_error(options):
    with pytest.raises(UsageError, match="edge-n does not take the options") as caught:
        build_model("edge-n", **options)
    assert len(str(caught.value)) < 400


def test_a_lack_of_memory_by_any_name():
    lacks = "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
    assert is_out_of_memory(RuntimeError(lacks))
    assert is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_a_gate_scales_the_transform_towards_the_identity():
    torch.manual_seed(3)
    network = EdgeNet((8, 8, 16, 16, 24), 16, overall=8, gate=True).eval()
    composite, mask = torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    mask[:, :, 16:48, 16:48] = 1
    torch.nn.init.normal_(network.head.weight, std=0.1)
    changes = {}
    for logit in (-30.0, 0.0, 30.0):
        with torch.no_grad():
            network.overall.expand.bias[-1] = logit
            changes[logit] = network(composite, mask)
    assert changes[30.0].abs().max() > 1e-4
    assert changes[-30.0].abs().max() < 1e-9
    torch.testing.assert_close(changes[0.0], changes[30.0] / 2)
    with pytest.raises(ValueError, match="overall"):
        EdgeNet(gate=True)
