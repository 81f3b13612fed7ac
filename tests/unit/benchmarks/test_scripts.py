"""The scripts beside the package run, and what they read is valid."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edge_harmony.errors import ArtifactError, UsageError
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.manifest import read_manifest
from edge_harmony.files.resources import find_resource
from edge_harmony.files.toml import read_toml
from edge_harmony.models.registry import build_model, bundled_weights
from edge_harmony.models.tensors_file import read_tensors, write_tensors
from edge_harmony.models.weights_file import read_weights
from edge_harmony.samples import sample_files, sample_pictures
from edge_harmony.training.recipe import Recipe
from tests.conftest import write_triplet

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "docs"))


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "ablations").glob("*.toml")), ids=lambda p: p.stem)
def test_every_variant_of_an_ablation_can_be_built(path):
    from ablation import Ablation

    ablation = read_toml(path, Ablation)
    folders = [variant.folder for variant in ablation.variants]
    assert len(set(folders)) == len(folders)
    for variant in ablation.variants:
        recipe = ablation.recipe_of(
            variant, [f"{source.name}=data" for source in ablation.recipe.data.sources] or ["data"]
        )
        assert recipe.stages[0].images == ablation.recipe.stages[0].images  # equal images
        build_model(recipe.model.name, **recipe.model.options)


def test_the_contact_sheet_shows_every_picture(tmp_path):
    folder = next(iter(sample_files()))[0].parent
    command = [sys.executable, str(ROOT / "benchmarks" / "contact_sheet.py"), str(folder), str(folder), "--edges"]
    done = subprocess.run([*command, "-o", str(tmp_path / "sheet.png")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, columns = -(-len(list(sample_files())) // 2), 2
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (rows * 270, columns * 4 * 248 + 16, 3)


def test_processes_are_measured_each_by_itself():
    from startup import cost_of

    ballast = "x = bytearray(64 << 20)"
    large, small = cost_of(["-c", ballast]), cost_of(["-c", ""])
    assert large.mib - small.mib > 48
    assert min(small.seconds, small.cpu_seconds, small.mib) > 0
    with pytest.raises(subprocess.CalledProcessError):
        cost_of(["-c", "import sys; sys.exit(3)"])


def test_the_base_install_is_what_the_package_requires():
    from startup import base_packages, megabytes

    packages = base_packages()
    assert {"numpy", "opencv-python", "onnxruntime", "typer"} <= set(packages)
    assert not {"torch", "openvino", "edge-harmony"} & set(packages)
    assert megabytes("numpy") > 10


def test_the_pareto_front_is_what_nothing_beats():
    from plot_pareto import front

    assert front([(3, 5), (1, 9), (2, 9), (2, 7), (4, 5), (5, 1)]) == [(1, 9), (2, 7), (3, 5), (5, 1)]


def test_weights_of_another_shape_than_the_registrys_say_what_to_edit(edge_weights):
    from land_weights import check_figures

    model = build_model("edge-n", widths=[8, 8, 16, 16, 24], hidden=16)
    parameters = sum(p.numel() for p in model.parameters())
    with pytest.raises(UsageError, match=rf"{parameters:_} parameters.*\(?8, 8, 16, 16, 24"):
        check_figures(edge_weights, "edge-n")
    check_figures(bundled_weights("edge-n"), "edge-n")


@pytest.fixture
def landing(tmp_path, monkeypatch):
    """A finished run of edge-n with the shipped weights, and folders of its own to land in."""
    import land_weights

    run, package = tmp_path / "run", tmp_path / "package"
    run.mkdir()
    package.mkdir()
    weights = read_weights(bundled_weights("edge-n"))
    shutil.copy(bundled_weights("edge-n"), run)
    shutil.copy(find_resource("recipes", "edge-n"), run / "recipe.toml")
    facts = {"images": 145600, "training_samples": 18, "validation_samples": 0, "recipe_sha256": weights.recipe_sha256}
    scores = {"psnr": 30.1, "fmse": 700.0, "composite_psnr": 28.0, "composite_fmse": 1000.0}
    (run / "summary.json").write_text(json.dumps(facts | {"validation": scores}))
    monkeypatch.setattr(land_weights, "weights_folder", lambda: package)
    monkeypatch.setattr(land_weights, "RECIPES", package)
    return run, package


@pytest.fixture
def every_bin(tmp_path):
    """A root whose three test pictures have a foreground of each size that cards tell apart."""
    real = next(sample_pictures())[1][:160, :200]
    for number, radius in enumerate((15, 30, 60)):
        mask = np.zeros((160, 200), np.uint8)
        cv2.circle(mask, (100, 80), radius, 255, -1)
        write_triplet(
            tmp_path / "root", "HCOCO", f"p{number}_1_1", np.where(mask[..., None], real // 2, real), mask, real
        )
    lines = [f"HCOCO/composite_images/p{number}_1_1.jpg" for number in range(3)]
    (tmp_path / "root" / "IHD_test.txt").write_text("\n".join(lines))
    return tmp_path / "root"


def test_a_finished_run_lands_with_its_recipe_artifact_and_card(landing, every_bin):
    from land_weights import land

    run, package = landing
    land("edge-n", run, run / "recipe.toml", every_bin)
    made = {path.name for path in package.iterdir()}
    artifact = "edge-n-256x256-int8.onnx"
    texts = {"edge-n.toml", "edge-n.json", "edge-n.md", f"{artifact}.json"}
    assert made == texts | {"edge-n.safetensors", "edge-n.answers.npz", artifact}
    manifest = read_manifest(package / artifact)
    assert manifest.weights_sha256 == sha256_of(package / "edge-n.safetensors")
    card = json.loads((package / "edge-n.json").read_text())
    assert card["recipe_sha256"] == read_toml(package / "edge-n.toml", Recipe).sha256()
    text = (package / "edge-n.md").read_text()
    assert "18 pairs; 0 more" in text
    assert f"{card['quality']['psnr']:.2f}" in text
    assert "## Known failures" in text


KEPT = """quantize = true
[[stages]]
name = "kept"
images = 3200
size = 256
learning_rate = 1e-4
quantize = true
scales = "kept"
"""


def with_ranges_of_the_card(landing, tmp_path, monkeypatch, quantization):
    """The run as one with another quantization, and a card whose words say how the ranges are calibrated."""
    import land_weights
    from model_card import CARDS

    run, _ = landing
    cards = tmp_path / "cards"
    cards.mkdir()
    words = (CARDS / "edge-n.toml").read_text()
    (cards / "edge-n.toml").write_text(f'{words}\n[ranges]\nset = "samples-24"\nmethod = "min-max"\n')
    monkeypatch.setattr(land_weights, "CARDS", cards)
    text = (run / "recipe.toml").read_text()
    assert text.count("quantize = true") == 1
    (run / "recipe.toml").write_text(text.replace("quantize = true", quantization))
    changed = read_toml(run / "recipe.toml", Recipe).sha256()
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"recipe_sha256": changed}))
    tensors, metadata = read_tensors(run / "edge-n.safetensors", "damaged", "again", ArtifactError)
    write_tensors(run / "edge-n.safetensors", tensors, metadata | {"recipe_sha256": changed})


def test_float_weights_land_with_ranges_calibrated_as_their_card_says(landing, every_bin, tmp_path, monkeypatch):
    from land_weights import land

    run, package = landing
    with_ranges_of_the_card(landing, tmp_path, monkeypatch, "")
    land("edge-n", run, run / "recipe.toml", every_bin)
    before, landed = (read_weights(folder / "edge-n.safetensors") for folder in (run, package))
    assert landed.ranges.keys() == before.ranges.keys()
    assert landed.ranges != before.ranges
    assert (landed.images, landed.history) == (before.images, before.history)
    assert "calibrated after training: `samples-24`, min-max |" in (package / "edge-n.md").read_text()


def test_a_mean_with_the_weights_that_quantized_training_began_from_keeps_their_ranges(
    landing, every_bin, tmp_path, monkeypatch
):
    from land_weights import land

    run, package = landing
    with_ranges_of_the_card(landing, tmp_path, monkeypatch, KEPT)
    trained, began = run / "edge-n.safetensors", tmp_path / "began.safetensors"
    tensors, metadata = read_tensors(trained, "damaged", "again", ArtifactError)
    write_tensors(began, {key: value * 1.5 for key, value in tensors.items()}, metadata)
    land("edge-n", run, run / "recipe.toml", every_bin, began, 0.75)
    before, landed = (read_weights(folder / "edge-n.safetensors") for folder in (run, package))
    assert landed.ranges == before.ranges
    for key, value in landed.tensors.items():
        torch.testing.assert_close(value, before.tensors[key] * (0.25 + 0.75 * 1.5), rtol=2e-3, atol=1e-6)
    assert (
        "| calibrated before the training with fake quantization, which kept them: "
        in (package / "edge-n.md").read_text()
    )

    write_tensors(began, tensors, metadata | {"ranges": json.dumps(dict.fromkeys(before.ranges, 1.0))})
    with pytest.raises(UsageError, match="other activation ranges"):
        land("edge-n", run, run / "recipe.toml", every_bin, began)
    with pytest.raises(UsageError, match="7 is no share"):
        land("edge-n", run, run / "recipe.toml", every_bin, trained, 7)


def test_a_run_of_another_recipe_or_an_unfinished_one_lands_nowhere(landing, mini_root):
    from land_weights import land

    run, package = landing
    with pytest.raises(UsageError, match="was not made by"):
        land("edge-n", run, find_resource("recipes", "hdnet-lite"), mini_root)
    (run / "summary.json").unlink()
    with pytest.raises(UsageError, match="no finished run"):
        land("edge-n", run, run / "recipe.toml", mini_root)
    assert not list(package.iterdir())


@pytest.mark.slow
def test_harm_of_a_shipped_network_and_its_card(mini_root, tmp_path):
    from harm import PREPARATIONS
    from model_card import Words, markdown, quality

    from edge_harmony.backends.discovery import load_runner
    from edge_harmony.data.iharmony4 import read_split
    from edge_harmony.quality.evaluation import evaluate
    from edge_harmony.quality.harm import HARM_LINES
    from edge_harmony.quality.preparation import PLAIN, SEALED

    output = tmp_path / "harm.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "harm.py"), "--data", str(mini_root), "--networks", "edge-n"]
    subprocess.run([*command, "-o", str(output)], check=True, capture_output=True)
    written = output.read_bytes()
    rows = {row["preparation"]: row for row in json.loads(written)["rows"]}
    assert list(rows) == [preparation.label for preparation in PREPARATIONS]
    assert subprocess.run([*command, "-o", str(output)], check=True, capture_output=True, text=True).stdout == ""
    assert output.read_bytes() == written  # nothing was missing

    runner, samples = (
        load_runner("edge-n", backend="onnxruntime", precision="int8"),
        read_split(mini_root, "test"),
    )
    plain, sealed = (evaluate(runner, samples, preparation=preparation) for preparation in (PLAIN, SEALED))
    runner.close()
    assert rows["sealed by 2"]["gain"] == pytest.approx(sealed["harm"]["gain"], abs=1e-4)
    facts = {
        **{"name": "edge-n", "licence": "MIT", "recipe": "edge-n", "recipe_sha256": "0" * 64, "machine": "made"},
        **{"images_seen": 1, "training_samples": 1, "validation_samples": 1},
        "validation": {"composite_psnr": 28.0, "psnr": 29.0, "composite_fmse": 900.0, "fmse": 500.0},
        "quality": quality(plain | {"by_foreground_ratio": []}, sealed, "onnxruntime", "int8"),
        "float_quality": {"psnr": 30.0, "fmse": 400.0},
        "parity": {"images": 1, "int8_onnxruntime_against_fp32_pytorch_db": 40.0},
    }
    stages = read_toml(find_resource("recipes", "edge-n"), Recipe).stages
    lines = markdown(facts, stages, Words(data="d", trained_on="t", machine="m", notes="n")).splitlines()
    assert f"| gain, dB | {sealed['harm']['gain']:+.2f} | {plain['harm']['gain']:+.2f} |" in lines
    worse = f"| {HARM_LINES[1][0]} | {100 * sealed['harm']['worse']:.1f} | {100 * plain['harm']['worse']:.1f} |"
    assert worse in lines
