"""Fixtures: small data from photographs that packages carry, small weights, the development data where it is."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edge_harmony.export.onnx import export_onnx
from edge_harmony.models.layers.conv_unit import fold_norms
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import save_weights
from edge_harmony.quantization.prepare import observe_with, prepare_qat
from edge_harmony.samples import sample_pictures

DATA = "EDGE_HARMONY_TEST_DATA"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The development data; tests that need it skip without it."""
    if DATA not in os.environ:
        pytest.skip(f"{DATA} does not name the development data")
    return Path(os.environ[DATA])


def write_triplet(root: Path, subset: str, name: str, composite, mask, real) -> None:
    """Write one sample in the iHarmony4 layout; ``name`` is ``a_b_c``."""
    stem, region, _ = name.rsplit("_", 2)
    for folder in ("composite_images", "masks", "real_images"):
        (root / subset / folder).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / subset / "composite_images" / f"{name}.jpg"), composite[..., ::-1])
    cv2.imwrite(str(root / subset / "masks" / f"{stem}_{region}.png"), mask)
    cv2.imwrite(str(root / subset / "real_images" / f"{stem}.jpg"), real[..., ::-1])


@pytest.fixture(scope="session")
def mini_root(tmp_path_factory) -> Path:
    """A root of 24 small samples in two sub-sets with awkward names, cut from the shipped photographs."""
    root = tmp_path_factory.mktemp("mini")
    rng = np.random.default_rng(7)
    pictures = [pixels for _, pixels, _ in sample_pictures()]
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for k in range(24):
        source = pictures[k % len(pictures)]
        top, left = rng.integers(0, source.shape[0] - 160), rng.integers(0, source.shape[1] - 200)
        real = source[top : top + 160, left : left + 200]
        mask = np.zeros((160, 200), np.uint8)
        cv2.ellipse(mask, (100, 80), (30 + k, 40), 15.0 * k, 0, 360, 255, -1)
        gain = rng.uniform(0.6, 1.4, 3)
        changed = np.clip(real * gain, 0, 255).astype(np.uint8)
        composite = np.where(mask[..., None] > 0, changed, real)
        subset = ("HCOCO", "Hday2night")[k % 2]
        name = f"c-{k:03d}_x_1_2" if k % 3 else f"d{k:03d}_1_4"
        write_triplet(root, subset, name, composite, mask, real)
        lists["test" if k % 4 == 3 else "train"].append(f"{subset}/composite_images/{name}.jpg")
    for split, lines in lists.items():
        (root / f"IHD_{split}.txt").write_text("\n".join(lines) + "\n")
        for subset in ("HCOCO", "Hday2night"):
            own = [line.rsplit("/", 1)[1] for line in lines if line.startswith(subset)]
            (root / subset / f"{subset}_{split}.txt").write_text("\n".join(own) + "\n")
    return root


@pytest.fixture(scope="session")
def edge_weights(tmp_path_factory) -> Path:
    """Weights of a small, untrained but not trivial edge network with activation ranges."""
    torch.manual_seed(3)
    options = {"widths": [8, 8, 16, 16, 24], "hidden": 16}
    model = build_model("edge-n", **options)
    torch.nn.init.normal_(model.head.weight, std=0.02)
    model.train()
    for _ in range(4):
        model(torch.rand(4, 3, 64, 64), (torch.rand(4, 1, 64, 64) > 0.5).float())
    model = prepare_qat(fold_norms(model.eval()))
    batches = [(torch.rand(2, 3, 256, 256), (torch.rand(2, 1, 256, 256) > 0.5).float()) for _ in range(2)]
    observe_with(model, batches)
    path = tmp_path_factory.mktemp("weights") / "edge-n.safetensors"
    save_weights(path, model, name="edge-n", options=options)
    return path


@pytest.fixture(scope="session")
def exported(edge_weights, tmp_path_factory) -> dict[str, Path]:
    """ONNX files of these weights: ``fp32``, ``fp16``, ``int8`` (unsigned) and ``signed``."""
    folder = tmp_path_factory.mktemp("onnx")
    files = {p: export_onnx("edge-n", edge_weights, folder, precision=p) for p in ("fp32", "fp16", "int8")}
    files["signed"] = export_onnx("edge-n", edge_weights, folder / "signed", precision="int8", flavour="signed")
    return files
