"""What is in Core ML packages, read back from the file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from edge_harmony.export.prepare import exportable
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.manifest import read_manifest
from edge_harmony.models.weights_file import read_weights

pytest.importorskip("coremltools")
from edge_harmony.backends.coreml.contents import read_contents
from edge_harmony.backends.coreml.package import PackageFiles


@pytest.fixture(scope="module")
def contents(packages):
    return {precision: read_contents(path) for precision, path in packages.items()}


def test_integer_operations_are_really_there(contents, edge_weights):
    ours = contents["int8"]
    assert ours.convolutions == ours.integer_convolutions == 14
    assert ours.operations["quantize"] >= 14
    assert ours.operations["constexpr_affine_dequantize"] == 14
    for precision in ("fp32", "fp16"):
        assert contents[precision].integer_convolutions == 0
        assert "quantize" not in contents[precision].operations


def test_networks_whose_statistics_fit_have_no_island_in_32_bits(contents):
    for precision in ("fp16", "int8"):
        assert contents[precision].islands == ()
        assert {row.precision for row in contents[precision].layers} <= {"fp16", "int8"}
        assert contents[precision].operations["cast"] == 3  # of the two inputs and of the output
        assert contents[precision].inputs["composite"] == "float 1x3x256x256"
    assert contents["fp32"].islands == ()
    assert "cast" not in contents["fp32"].operations


def test_weights_come_back_as_they_went_in(contents, edge_weights):
    model = exportable("edge-n", read_weights(edge_weights), "int8")
    reference = [m.weight.detach() for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    by_shape = sorted((tuple(w.shape), float(w.abs().sum())) for w in reference)
    for precision, tolerance in (("fp32", 1e-4), ("fp16", 2e-3), ("int8", 0.02)):
        ours = sorted((w.shape, float(np.abs(w).sum())) for w in contents[precision].weights.values())
        assert [shape for shape, _ in ours] == [shape for shape, _ in by_shape]
        for (_, found), (_, expected) in zip(ours, by_shape, strict=True):
            assert found == pytest.approx(expected, rel=tolerance)


def test_the_contract_and_the_description_are_read_back(packages, contents, edge_weights):
    for precision, found in contents.items():
        assert found.inputs == {"composite": "float 1x3x256x256", "mask": "float 1x1x256x256"}
        assert found.outputs == {"transform": "float 1x12x32x32"}
        assert found.functions == ("main",)
        assert (found.metadata["author"], found.metadata["license"]) == ("edge-harmony", "MIT")
        own = json.loads(found.metadata["edge_harmony"])
        manifest = read_manifest(packages[precision])
        assert own["weights_sha256"] == manifest.weights_sha256 == sha256_of(edge_weights)
        assert (manifest.backend, manifest.precision, manifest.engine["minimum"]) == ("coreml", precision, "iOS17")
        assert found.metadata["com.github.apple.coremltools.version"] == manifest.versions["coremltools"]
        assert not any("date" in key for key in found.metadata)  # equal packages are equal files on any day


def test_the_layout_of_the_output_is_described(packages):
    spec = PackageFiles(packages["fp16"]).specification
    assert "3 x 3 matrix, row by row, then an offset" in spec.description.output[0].shortDescription
    assert all(feature.shortDescription for feature in spec.description.input)
