"""Converting networks and whole pipelines to Core ML packages."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from edge_harmony.backends.base import LoadRequest
from edge_harmony.backends.discovery import get_backend
from edge_harmony.cli.main import main
from edge_harmony.errors import UsageError
from edge_harmony.export.prepare import exportable
from edge_harmony.export.trace import decomposed
from edge_harmony.files.atomic import size_of
from edge_harmony.files.manifest import read_manifest
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import read_weights, save_weights
from edge_harmony.models.whole_pipeline import PlanarPipeline
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.samples import sample_pictures
from tests.unit.backends.coreml.conftest import convert

pytest.importorskip("coremltools")
from edge_harmony.backends.coreml.contents import read_contents
from edge_harmony.backends.coreml.program import decomposed_pipeline


def test_pictures_and_palettes(edge_weights, tmp_path):
    path = convert("edge-n", edge_weights, tmp_path, inputs="image", palette_bits=6, minimum="iOS16")
    found = read_contents(path)
    assert found.inputs == {"composite": "image RGB 256x256", "mask": "image grayscale 256x256"}
    assert found.operations["constexpr_lut_to_dense"] > 5
    assert found.islands == ()  # the levels are divided in 16 bits, too
    assert len(np.unique(next(w for w in found.weights.values() if w.size > 2000))) <= 64


@pytest.mark.slow
def test_one_package_for_several_sizes_holds_the_weights_once(packages, edge_weights, tmp_path):
    path = convert("edge-n", edge_weights, tmp_path, precision="int8", more_sizes=[(192, 256)], minimum="iOS18")
    both = read_contents(path), read_contents(path, "h192w256")
    assert [found.functions for found in both] == [("h256w256", "h192w256")] * 2
    assert [found.inputs["mask"] for found in both] == ["float 1x1x256x256", "float 1x1x192x256"]
    assert [found.outputs["transform"] for found in both] == ["float 1x12x32x32", "float 1x12x24x32"]
    assert [found.integer_convolutions for found in both] == [14, 14]
    stored, single = (package / "Data/com.apple.CoreML/weights/weight.bin" for package in (path, packages["int8"]))
    assert stored.stat().st_size < 1.1 * single.stat().st_size
    assert read_manifest(path).engine["functions"] == ["h256w256", "h192w256"]
    assert json.loads(both[1].metadata["edge_harmony"])["precision"] == "int8"
    assert both[0].metadata["license"] == "MIT"
    assert both[0].metadata["com.github.apple.coremltools.version"] == read_manifest(path).versions["coremltools"]
    with pytest.raises(UsageError, match="no function 'main'"):
        read_contents(path, "main")


def test_the_whole_pipeline_takes_and_returns_pictures_of_all_sizes(edge_weights, tmp_path):
    path = convert("edge-n", edge_weights, tmp_path, precision="int8", whole_pipeline=True)
    found = read_contents(path)
    assert path.name == "edge-n-256x256-int8-whole.mlpackage"
    assert found.inputs == {
        "picture": "image RGB 256x256 to 4096x4096",
        "mask": "image grayscale 256x256 to 4096x4096",
        "strength": "float 1, 1 unless given",
    }
    assert found.outputs == {"harmonized": "image RGB 256x256 to 4096x4096"}
    assert found.integer_convolutions == 14
    assert 1 <= len(found.islands) <= 2  # what is before the first convolution, and what is after the last
    assert (read_manifest(path).io.output, read_manifest(path).engine["inputs"]) == ("picture", "image")


@pytest.mark.slow
def test_the_whole_pipeline_for_one_size(edge_weights, tmp_path):
    path = convert("edge-n", edge_weights, tmp_path, whole_pipeline=True, picture_sizes=[(270, 480)], palette_bits=4)
    found = read_contents(path)
    assert found.inputs["picture"] == "image RGB 270x480"
    assert found.outputs == {"harmonized": "image RGB 270x480"}
    network = read_contents(convert("edge-n", edge_weights, tmp_path, palette_bits=4))
    palettes = network.operations["constexpr_lut_to_dense"]
    assert found.operations["constexpr_lut_to_dense"] == palettes > 5  # what resizes is not put into palettes


@pytest.mark.parametrize("size", [None, (300, 401)])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_decomposed_pipeline_computes_what_the_pipeline_does(size, strength, edge_weights):
    whole = PlanarPipeline(exportable("edge-n", read_weights(edge_weights), "fp32"), (256, 256))
    program = decomposed_pipeline(whole, size).module()
    runner = get_backend("pytorch").load(LoadRequest("edge-n", "fp32", weights=edge_weights))
    _, pixels, mask = next(iter(sample_pictures()))
    for height, width in [size] if size else [(256, 256), (300, 401)]:
        picture = cv2.resize(np.ascontiguousarray(pixels), (width, height))
        soft = np.rint(cv2.resize(mask, (width, height)) * 255).astype(np.uint8)
        planes = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32))
        with torch.no_grad():
            result = program(planes, torch.from_numpy(soft[None, None].astype(np.float32)), torch.tensor([strength]))
        result = result[0].numpy().transpose(1, 2, 0)
        assert np.array_equal(result, np.rint(result))
        assert np.abs(result - harmonize_pixels(runner, picture, soft, strength=strength)).max() <= (strength > 0)
        assert np.array_equal(result[soft == 0], picture[soft == 0])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_decomposed_program_computes_what_the_network_does(precision, edge_weights):
    model = exportable("edge-n", read_weights(edge_weights), precision).eval()
    program = decomposed(model, (256, 256)).module()
    torch.manual_seed(1)
    composite, mask = torch.rand(1, 3, 256, 256), (torch.rand(1, 1, 256, 256) > 0.5).float()
    with torch.no_grad():
        ours, theirs = program(composite, mask), model(composite, mask)
    assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["fmm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("hdnet-lite", "rcl"))]
)
def test_other_networks_convert(name, tmp_path):
    torch.manual_seed(0)
    options = {"width": 4}
    save_weights(tmp_path / "w.safetensors", build_model(name, **options), name=name, options=options)
    path = convert(name, tmp_path / "w.safetensors", tmp_path, size=(64, 64))
    assert read_contents(path).outputs == {"harmonized": "float 1x3x64x64"}


def test_contradictions_are_refused_before_anything_is_written(edge_weights, tmp_path):
    with pytest.raises(UsageError, match="8-bit programs need iOS17"):
        convert("edge-n", edge_weights, tmp_path / "out", precision="int8", minimum="iOS16")
    with pytest.raises(UsageError, match="palettes are for float programs"):
        convert("edge-n", edge_weights, tmp_path / "out", precision="int8", palette_bits=6)
    with pytest.raises(UsageError, match="several sizes need iOS18"):
        convert("edge-n", edge_weights, tmp_path / "out", more_sizes=[(192, 256)])
    with pytest.raises(UsageError, match="named twice"):
        convert("edge-n", edge_weights, tmp_path / "out", more_sizes=[(256, 256)], minimum="iOS18")
    with pytest.raises(UsageError, match="one working size"):
        convert("edge-n", edge_weights, tmp_path / "out", more_sizes=[(192, 256)], minimum="iOS18", whole_pipeline=True)
    assert not (tmp_path / "out").exists()


def test_export_for_an_iphone(edge_weights, tmp_path, capsys):
    arguments = ["--weights", edge_weights, "--target", "iphone-int8", "-o", tmp_path, "--json"]
    assert main(["export", "edge-n", *map(str, arguments)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["artifact"].endswith("edge-n-256x256-int8.mlpackage")
    assert said["bytes"] == size_of(tmp_path / "edge-n-256x256-int8.mlpackage")
