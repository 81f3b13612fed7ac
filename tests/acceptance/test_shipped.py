"""Quality of the shipped networks at native size, on the shipped photographs and on the development data."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from edge_harmony.backends.discovery import load_runner
from edge_harmony.data.iharmony4 import read_split
from edge_harmony.files.resources import find_resource
from edge_harmony.files.toml import read_toml
from edge_harmony.models.registry import MODELS, bundled_weights, has_weights, weights_folder
from edge_harmony.models.weights_file import read_weights
from edge_harmony.quality.evaluation import evaluate, score_samples, summarize
from edge_harmony.quality.preparation import SEALED
from edge_harmony.samples import sample_files
from edge_harmony.training.recipe import Recipe

SHIPPED = [name for name in MODELS if has_weights(name)]

LEAST_GAIN = 0.2  # dB
FAMILY = ("edge-n", "edge-s")
GAINS = {"edge-n": 0.4, "edge-s": 1.2}  # dB, least on this part of the pictures


@pytest.mark.parametrize("name", FAMILY)
def test_quality_and_parity_on_the_shipped_photographs(mini_root, name):
    samples = read_split(mini_root, "train") + read_split(mini_root, "test")
    with load_runner(name, backend="onnxruntime", precision="int8") as runner:
        scores = evaluate(runner, samples, preparation=SEALED)
    assert scores["images"] == 24
    assert scores["harm"]["gain"] > LEAST_GAIN
    with load_runner(name, backend="pytorch", precision="fp32") as reference:
        # pictures differ by 1 dB either way, so the mean of 24 scatters; over the 612 of the test split it is 0.04 dB
        assert abs(evaluate(reference, samples, preparation=SEALED)["psnr"] - scores["psnr"]) < 0.4


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILY)
def test_users_pictures_gain_and_pictures_that_fit_stay(test_data, name):
    """Sealed by 2 is what users have; the composites' own scores are those of the data set."""
    samples = read_split(test_data / "lbharmony", "test")[::5]  # the cards have the scores of all
    integer = load_runner(name, backend="onnxruntime", precision="int8")
    scores = evaluate(integer, samples, preparation=SEALED)
    assert scores["images"] == 123
    harm = scores["harm"]
    assert harm["gain"] > GAINS[name]
    assert harm["worse"] < 0.35
    assert harm["no_change"] < 100
    plain = evaluate(integer, samples[::2])
    reference = evaluate(load_runner(name, backend="pytorch", precision="fp32"), samples[::2])
    assert abs(plain["psnr"] - reference["psnr"]) < 0.15  # 0.1 over all, see the cards
    assert plain["psnr"] > plain["composite"]["psnr"] + GAINS[name] - 0.2


@pytest.mark.data
@pytest.mark.slow
def test_composites_of_the_test_split_score_as_the_files_have_them(test_data):
    samples = read_split(test_data / "lbharmony", "test")
    scores = summarize(score_samples(lambda composite, mask: composite, samples))
    assert scores["images"] == 612
    assert scores["psnr"] == scores["composite"]["psnr"]
    assert scores["composite"]["psnr"] == pytest.approx(28.38, abs=0.005)
    assert scores["composite"]["fmse"] == pytest.approx(1160.1, abs=0.05)


def test_weights_in_the_repository_stay_small_and_have_cards():
    assert sum(path.stat().st_size for path in weights_folder().iterdir() if path.is_file()) < 24e6
    for name in SHIPPED:
        card = json.loads((weights_folder() / f"{name}.json").read_text())
        assert card["recipe_sha256"] == read_weights(bundled_weights(name)).recipe_sha256
        text = (weights_folder() / f"{name}.md").read_text()
        assert "## Known failures" in text
        assert "PENDING" not in text


@pytest.mark.data
@pytest.mark.slow
def test_genuine_composites_score_as_they_do_elsewhere(test_data):
    runner = load_runner("edge-s", backend="onnxruntime", precision="int8")
    scores = evaluate(runner, read_split(test_data / "iharmony4_sample", "test"))
    assert scores["composite"]["psnr"] == pytest.approx(21.37, abs=0.005)
    assert scores["psnr"] > scores["composite"]["psnr"]


@pytest.fixture(params=["shipped", pytest.param("genuine", marks=pytest.mark.data)])
def large_pair(request, tmp_path):
    """Files of a composite of 12 megapixels and of its mask."""
    if request.param == "genuine":
        samples = read_split(request.getfixturevalue("test_data") / "iharmony4_sample", "test")
        sample = next(s for s in samples if cv2.imread(str(s.composite)).shape[:2] == (2848, 4272))
        return sample.composite, sample.mask
    paths = tmp_path / "composite.jpg", tmp_path / "mask.png"
    for path, small in zip(paths, next(iter(sample_files())), strict=True):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(small)), (4272, 2848), interpolation=cv2.INTER_CUBIC))
    return paths


def test_a_large_picture_keeps_its_size_and_background_within_the_memory_limit(large_pair, tmp_path):
    target = tmp_path / "large.png"
    code = (
        "import re, sys; from edge_harmony.cli.main import main; status = main(sys.argv[1:]); "
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1]); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "harmonize", *map(str, large_pair), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1.5 * 1024**2  # KiB; getrusage would count this process too, which forked it
    composite, mask = (cv2.imread(str(path)) for path in large_pair)
    composite, mask = cv2.cvtColor(composite, cv2.COLOR_BGR2RGB), mask[..., 0]
    result = cv2.cvtColor(cv2.imread(str(target)), cv2.COLOR_BGR2RGB)
    assert result.shape == composite.shape
    np.testing.assert_array_equal(result[mask == 0], composite[mask == 0])
    assert (result[mask > 0] != composite[mask > 0]).mean() > 0.2


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_those_that_made_the_weights(tmp_path, name):
    recipe = read_toml(find_resource("recipes", MODELS[name].owner), Recipe)
    roots = [f"{source.name}={tmp_path}" for source in recipe.data.sources] or [str(tmp_path)]
    rooted = recipe.model_copy(update={"data": recipe.data.with_roots(roots)})  # where pictures lie does not enter
    assert rooted.sha256() == recipe.sha256() == read_weights(bundled_weights(name)).recipe_sha256
