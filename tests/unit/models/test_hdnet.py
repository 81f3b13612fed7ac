"""HDNet: size, parity with the public code, and behaviour where the public code fails."""

import numpy as np
import pytest
import torch

from edge_harmony.errors import InputError, UsageError
from edge_harmony.models import hdnet
from edge_harmony.models.hdnet import HDNet
from edge_harmony.models.import_hdnet import convert_public_state, import_public_checkpoint, read_public_checkpoint
from edge_harmony.models.weights_file import read_weights, restore


@pytest.fixture(scope="module")
def golden(test_data):
    with np.load(test_data / "golden" / "hdnet_lite_public.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def public_state(width=8):
    """A state dict with the public names, from our own network with random weights."""
    from edge_harmony.models.import_hdnet import _renames

    torch.manual_seed(1)
    ours = HDNet(width).state_dict()
    return {theirs: ours[name] for theirs, name in _renames().items()}


@pytest.mark.parametrize(("width", "millions"), [(32, 10.41), (8, 0.653)])
def test_parameter_counts_are_the_papers(width, millions):
    assert sum(p.numel() for p in HDNet(width).parameters()) / 1e6 == pytest.approx(millions, rel=1e-3)


@pytest.mark.data
def test_official_variant_reproduces_the_public_code(golden):
    net = HDNet(8, variant="official").eval()
    state = {name.removeprefix("weight/"): value for name, value in golden.items() if name.startswith("weight/")}
    net.load_state_dict(convert_public_state(state))
    seen = {}
    for name, module in net.named_modules():
        module.register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)}))
    with torch.no_grad():
        result = net((golden["composite"] + 1) / 2, golden["mask"]) * 2 - 1
    assert (result - golden["output"]).abs().max() < 1e-4
    layers = {
        "LD": "local_dynamics",
        "model_layer8norm": "norms.1",
        "model_layer11att": "mask_dynamics.0",
        "model_layer13att": "mask_dynamics.2",
    }
    for theirs, ours in layers.items():
        divisor = 1 if theirs == "LD" else hdnet._DIVISOR
        for k, kind in enumerate(("in", "out")):
            assert (seen[ours][k] * divisor - golden[f"{theirs}.{kind}"]).abs().max() < 1e-4, (theirs, kind)


@pytest.mark.data
def test_import_of_the_public_weights(test_data, tmp_path, golden):
    source = test_data / "golden" / "hdnet_lite_public.npz"
    path = tmp_path / "hdnet-lite.safetensors"
    assert import_public_checkpoint(source, path, "hdnet-lite", "official") == 652_663
    net = restore("hdnet-lite", read_weights(path))
    with torch.no_grad():
        result = net((golden["composite"] + 1) / 2, golden["mask"]) * 2 - 1
    assert (result - golden["output"]).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["zeros", "ones", "soft"])
@pytest.mark.parametrize("variant", ["default", "official"])
def test_any_mask_gives_finite_pictures(kind, variant):
    mask = {"zeros": torch.zeros, "ones": torch.ones, "soft": torch.rand}[kind](2, 1, 32, 40)
    result = HDNet(4, variant=variant)(torch.rand(2, 3, 32, 40), mask)
    assert result.shape == (2, 3, 32, 40)
    assert torch.isfinite(result).all()
    assert ((result >= 0) & (result <= 1)).all()


def test_samples_of_a_batch_do_not_mix():
    torch.manual_seed(0)
    net = HDNet(4, neighbours=3).eval()
    composite, mask = torch.rand(3, 3, 32, 32), (torch.rand(3, 1, 32, 32) > 0.6).float()
    with torch.no_grad():
        together = net(composite, mask)
        alone = torch.cat([net(composite[k : k + 1], mask[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_sizes_and_variants_are_checked():
    with pytest.raises(ValueError, match="multiples of 8"):
        HDNet(4)(torch.rand(1, 3, 30, 32), torch.rand(1, 1, 30, 32))
    with pytest.raises(ValueError, match="variant"):
        HDNet(4, variant="other")


@pytest.mark.parametrize("prefix", ["", "module.", "netG.", "netG.module."])
def test_public_names_are_converted(prefix):
    state = {prefix + name: value for name, value in public_state().items()}
    state[prefix + "model_layer11att.conv_guide.weight"] = torch.zeros(2, 64, 1, 1)
    HDNet(8).load_state_dict(convert_public_state(state))


def test_other_state_dicts_are_refused():
    with pytest.raises(InputError, match="missing"):
        convert_public_state({"conv1.weight": torch.zeros(1)})


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_checkpoints_in_every_form(tmp_path, suffix, wrapped):
    state, path = public_state(), tmp_path / f"net{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": state, "epoch": 3} if wrapped else state, path)
    elif suffix == ".npz":
        np.savez(path, **{("weight/" if wrapped else "") + name: value.numpy() for name, value in state.items()})
    else:
        from safetensors.torch import save_file

        save_file(state, path)
    assert import_public_checkpoint(path, tmp_path / "out.safetensors", "hdnet-lite", "default") == 652_663
    with pytest.raises(InputError, match="--as"):
        import_public_checkpoint(path, tmp_path / "other.safetensors", "hdnet", "default")
    assert not (tmp_path / "other.safetensors").exists()


class Evil:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return open, ("unpickled", "w")


def test_nothing_but_tensors_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    for name in ("evil.pth", "text.pth"):
        with pytest.raises(InputError, match="damaged or holds more than tensors"):
            read_public_checkpoint(tmp_path / name)
    assert not (tmp_path / "unpickled").exists()
    with pytest.raises(UsageError, match="no checkpoint"):
        read_public_checkpoint(tmp_path / "absent.pth")
