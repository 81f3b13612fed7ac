"""The scripts beside the package run, and what they read is valid."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from edge_harmony.config import read_toml
from edge_harmony.models.registry import build_model
from edge_harmony.samples import sample_files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "docs"))


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "ablations").glob("*.toml")), ids=lambda p: p.stem)
def test_every_variant_of_an_ablation_can_be_built(path):
    from ablation import Ablation

    ablation = read_toml(path, Ablation)
    folders = [variant.folder for variant in ablation.variants]
    assert len(set(folders)) == len(folders)
    for variant in ablation.variants:
        recipe = ablation.recipe_of(variant, Path("data"))
        assert recipe.stages[0].images == ablation.recipe.stages[0].images  # equal images
        build_model(recipe.model.name, **recipe.model.options)


def test_the_contact_sheet_shows_every_picture(tmp_path):
    folder = next(iter(sample_files()))[0].parent
    command = [sys.executable, str(ROOT / "benchmarks" / "contact_sheet.py"), str(folder), str(folder), "--edges"]
    done = subprocess.run([*command, "-o", str(tmp_path / "sheet.png")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * 270, 2 * 4 * 248 + 16, 3)


def test_the_pareto_front_is_what_nothing_beats():
    from plot_pareto import front

    assert front([(3, 5), (1, 9), (2, 9), (2, 7), (4, 5), (5, 1)]) == [(1, 9), (2, 7), (3, 5), (5, 1)]
