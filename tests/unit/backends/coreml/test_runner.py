"""Running packages: on a Mac only, and by the backend that made them."""

from __future__ import annotations

import platform

import cv2
import numpy as np
import pytest

from edge_harmony.backends.base import LoadRequest
from edge_harmony.backends.discovery import get_backend
from edge_harmony.cli.main import main
from edge_harmony.errors import CapabilityError, UsageError
from edge_harmony.samples import sample_pictures

pytest.importorskip("coremltools")


@pytest.fixture
def drawn(tmp_path):
    """A folder with the picture a.png and its mask, a_mask.png."""
    _, pixels, mask = next(iter(sample_pictures()))
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    cv2.imwrite(str(tmp_path / "a_mask.png"), np.rint(mask * 255).astype(np.uint8))
    return tmp_path


@pytest.mark.skipif(platform.system() == "Darwin", reason="predictions work there")
def test_predictions_need_a_mac(packages, edge_weights, drawn, capsys):
    backend = get_backend("coreml")
    assert "predictions need macOS" in backend.probe().detail
    with pytest.raises(CapabilityError, match="need macOS"):
        backend.load(LoadRequest("edge-n", "int8", artifact=packages["int8"]))
    package, weights = str(packages["int8"]), ["--weights", str(edge_weights)]
    for call in (
        ["compare", package, "--backend", "coreml", *weights],
        ["compare", package, *weights],
        ["benchmark", package],
        [
            "harmonize",
            str(drawn / "a.png"),
            str(drawn / "a_mask.png"),
            "-o",
            str(drawn / "b.png"),
            "--artifact",
            package,
        ],
    ):
        assert main(call) == 3, call
        assert "Core ML predictions need macOS" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(UsageError, match="runs a package"):
        backend.load(LoadRequest("edge-n", "int8"))
    with pytest.raises(UsageError, match="no device cuda"):
        backend.load(LoadRequest("edge-n", "int8", artifact=packages["int8"], device="cuda"))


def test_a_runtime_of_other_files_says_whose_a_package_is(packages):
    with pytest.raises(UsageError, match=r"was made for the coreml backend, .*; leave --backend out"):
        get_backend("onnxruntime").load(LoadRequest("edge-n", "int8", artifact=packages["int8"]))
    shipped = get_backend("onnxruntime").shipped("edge-n", "int8")
    with pytest.raises(UsageError, match="was made for the onnxruntime backend, and coreml does not run it"):
        get_backend("coreml").load(LoadRequest("edge-n", "int8", artifact=shipped))
