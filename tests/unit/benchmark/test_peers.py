"""Peers against independent readings, and adapters against checkouts of the same layout."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab

from edge_harmony.benchmark.peers import PEERS, reinhard, seamless_clone
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError
from edge_harmony.samples import sample_pictures


@pytest.fixture(scope="module")
def sample():
    _, composite, mask = next(iter(sample_pictures()))
    small = cv2.resize(composite, (160, 120), interpolation=cv2.INTER_AREA)
    return small, (cv2.resize(mask, (160, 120), interpolation=cv2.INTER_AREA) > 0.5).astype(np.float32)


def test_reinhard_gives_the_foreground_the_backgrounds_statistics(sample):
    composite, mask = sample
    muted = (composite * 0.4 + 60).astype(np.uint8)  # so that little is clipped
    changed = np.where(mask[..., None] > 0, composite // 4 + 20, muted).astype(np.uint8)
    result = reinhard(changed, mask)
    inside = mask > 0
    wanted, found = rgb2lab(changed)[~inside], rgb2lab(result)[inside]
    before = rgb2lab(changed)[inside]
    for statistic in (np.mean, np.std):
        distance = np.abs(statistic(found, axis=0) - statistic(wanted, axis=0))
        assert (distance < 1.5).all()
        assert (distance <= np.abs(statistic(before, axis=0) - statistic(wanted, axis=0)) + 0.5).all()


@pytest.mark.parametrize("peer", [reinhard, seamless_clone])
def test_peers_leave_the_background_and_odd_masks_alone(sample, peer):
    composite, mask = sample
    result = peer(composite, mask)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result[mask == 0], composite[mask == 0])
    assert (result[mask > 0] != composite[mask > 0]).any()
    for odd in (np.zeros_like(mask), np.ones_like(mask)):
        np.testing.assert_array_equal(peer(composite, odd), composite)


def test_cloning_closes_the_step_at_the_border():
    """A grey disc on a white picture: the gradients inside are kept, and there are none."""
    composite = np.full((96, 128, 3), 200, np.uint8)
    mask = np.zeros((96, 128), np.float32)
    cv2.circle(mask, (64, 48), 30, 1, -1)
    composite[mask > 0] = 90
    result = seamless_clone(composite, mask)
    assert np.abs(result[mask > 0].astype(int) - 200).max() <= 3


def test_cloning_works_up_to_the_edge_of_the_picture(sample):
    composite, _ = sample
    mask = np.zeros(composite.shape[:2], np.float32)
    mask[:60, :] = 1
    assert seamless_clone(composite, mask).shape == composite.shape


def test_a_python_file(tmp_path, sample):
    path = tmp_path / "mine.py"
    path.write_text("def load(checkpoint):\n    return lambda composite, mask: 255 - composite\n")
    composite, mask = sample
    np.testing.assert_array_equal(PEERS["file"].load(path, None)(composite, mask), 255 - composite)
    path.write_text("x = 1\n")
    with pytest.raises(UsageError, match="no function load"):
        PEERS["file"].load(path, None)
    with pytest.raises(UsageError, match="not a Python file"):
        PEERS["file"].load(tmp_path, None)


# Stand-ins with the folders, names and signatures of the public repositories, and none of their code.
CHECKOUTS = {
    "hdnet-public": {
        "models/__init__.py": "",
        "models/networks.py": """
            from torch import nn
            class RAIN(nn.Module): pass
            class HDNet(nn.Module):
                def __init__(self, input_nc, output_nc, ngf=64, norm_layer=None):
                    super().__init__()
                    assert (input_nc, output_nc, ngf, norm_layer) == (3, 3, 32, RAIN)
                    self.head = nn.Conv2d(3, 3, 1)
                def forward(self, inputs, mask):
                    assert inputs.shape == (1, 3, 256, 256) and mask.shape == (1, 1, 256, 256)
                    assert inputs.min() < -0.9 and inputs.max() > 0.9
                    return (inputs + 1) * 0.5 - 1 + 0 * self.head(inputs)  # half of the light
        """,
    },
    "pct-net": {
        "iharm/__init__.py": "",
        "iharm/mconfigs/__init__.py": """
            from torch import nn
            class PCTNet(nn.Module):
                def __init__(self, **parameters):
                    super().__init__()
                    self.head = nn.Linear(1, 1)
            ALL_MCONFIGS = {"CNN_pct": {"model": PCTNet, "params": {
                "use_attn": True, "input_normalization": {"mean": [0, 0, 0], "std": [1, 1, 1]}}}}
        """,
        "iharm/inference/__init__.py": "",
        "iharm/inference/predictor.py": """
            class Predictor:
                def __init__(self, net, device, use_attn=True, mean=None, std=None):
                    assert not net.training and use_attn
                def predict(self, image, image_highres, mask, mask_highres, return_numpy=True):
                    assert image.shape == (256, 256, 3) and mask.shape == (256, 256)
                    changed = image_highres * 0.5
                    return image, image_highres + mask_highres[..., None] * (changed - image_highres)
        """,
    },
    "harmonizer": {
        "src/__init__.py": "",
        "src/model/__init__.py": """
            from torch import nn
            class Harmonizer(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.head = nn.Linear(1, 1)
                def predict_arguments(self, comp, mask):
                    return [0.5]
                def restore_image(self, comp, mask, arguments):
                    return comp * (1 - mask * arguments[0])
        """,
    },
}


@pytest.mark.parametrize("name", CHECKOUTS)
def test_an_adapter_calls_a_checkout_as_its_scripts_do(tmp_path, name):
    """In a process of its own, as the harness does: checkouts bring modules with everyday names."""
    pytest.importorskip("torch")
    for file, text in CHECKOUTS[name].items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    code = f"""
        import numpy as np, sys, torch
        from pathlib import Path
        from edge_harmony.benchmark.peers import PEERS
        root = Path(sys.argv[1])
        composite = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
        mask = np.zeros((90, 120), np.float32); mask[20:60, 30:80] = 1
        first = PEERS[{name!r}].load(root, None)
        torch.save({{"head.bias": torch.full((3 if {name!r} == "hdnet-public" else 1,), 7.0)}}, root / "own.pth")
        result = PEERS[{name!r}].load(root, root / "own.pth")(composite, mask)
        assert result.dtype == np.uint8 and result.shape == composite.shape
        inside = mask > 0
        assert (result[~inside] == composite[~inside]).all()
        error = np.abs(result[inside].astype(float) - composite[inside] * 0.5)
        assert error.max() <= (80 if {name!r} == "hdnet-public" else 1), error.max()  # HDNet paints at 256 x 256
        assert abs(result[inside].mean() - composite[inside].mean() / 2) < 2
        try:
            PEERS[{name!r}].load(root, root / "src.txt")
        except Exception as error:
            assert "there is no checkpoint" in str(error)
        else:
            raise SystemExit("a missing checkpoint was taken")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_checkouts_that_are_not_there_or_do_not_fit(tmp_path):
    with pytest.raises(UsageError, match="no checkout"):
        PEERS["pct-net"].load(tmp_path / "none", None)
    with pytest.raises(CapabilityError, match="cannot be imported"):
        PEERS["harmonizer"].load(tmp_path, None)
    bad = tmp_path / "mine.py"
    bad.write_text("raise_here = 1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        PEERS["file"].load(bad, None)


def test_a_checkpoint_that_is_none(tmp_path):
    import torch

    from edge_harmony.benchmark.peers import _ready

    path = tmp_path / "x.pth"
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")  # a pickle that would run a program
    with pytest.raises(ArtifactError, match="does not fit"):
        _ready(torch.nn.Linear(1, 1), path)
