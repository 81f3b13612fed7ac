"""What the shipped network reaches on the development data, at native size."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from edge_harmony.backends.base import LoadRequest, get_backend
from edge_harmony.config import read_toml
from edge_harmony.data.iharmony4 import read_split
from edge_harmony.evaluation import evaluate
from edge_harmony.models.registry import bundled_weights
from edge_harmony.models.state import read_weights
from edge_harmony.resources import find_resource
from edge_harmony.training.distributed import World
from edge_harmony.training.recipe import Recipe
from edge_harmony.training.trainer import Trainer

pytestmark = pytest.mark.data


@pytest.mark.slow
def test_quality_and_parity_on_the_test_split(test_data):
    samples = read_split(test_data / "lbharmony", "test")
    integer = get_backend("onnxruntime").load(LoadRequest("edge-s", "int8"))
    scores = evaluate(integer, samples)
    assert scores["images"] == 612
    assert scores["psnr"] >= scores["composite"]["psnr"] + 1.9
    assert scores["fmse"] <= 0.56 * scores["composite"]["fmse"]
    part = samples[::3]
    reference = evaluate(get_backend("pytorch").load(LoadRequest("edge-s", "fp32")), part)
    assert abs(evaluate(integer, part)["psnr"] - reference["psnr"]) < 0.15


def test_a_large_picture_keeps_its_size_and_background_within_the_memory_limit(test_data, tmp_path):
    samples = read_split(test_data / "iharmony4_sample", "test")
    sample = next(s for s in samples if cv2.imread(str(s.composite)).shape[:2] == (2848, 4272))
    target = tmp_path / "large.png"
    code = (
        "import resource, sys; from edge_harmony.cli.main import main; status = main(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "harmonize", str(sample.composite), str(sample.mask), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1.5 * 1024**2  # KiB
    composite, mask, _ = sample.load()
    result = cv2.cvtColor(cv2.imread(str(target)), cv2.COLOR_BGR2RGB)
    assert result.shape == composite.shape
    np.testing.assert_array_equal(result[mask == 0], composite[mask == 0])
    assert (result[mask > 0] != composite[mask > 0]).mean() > 0.2


def test_the_shipped_recipe_is_the_one_that_made_the_weights(test_data, tmp_path):
    recipe = read_toml(find_resource("recipes", "edge-s"), Recipe)
    data = recipe.data.model_copy(update={"root": test_data / "lbharmony"})
    trainer = Trainer(recipe.model_copy(update={"data": data}), tmp_path, World(0, 1, torch.device("cpu")))
    assert trainer.recipe_sha256 == read_weights(bundled_weights("edge-s")).recipe_sha256
