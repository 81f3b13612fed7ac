"""Implicit INT8: ranges from pictures, kept, and nothing left behind by a failure."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import onnx
import pytest

from edge_harmony.backends.tensorrt.calibration import CalibrationRequest
from edge_harmony.backends.tensorrt.cuda.api import CudaError
from edge_harmony.backends.tensorrt.engines import make_engine
from edge_harmony.backends.tensorrt.options import BuildOptions
from edge_harmony.data.calibration_set import read_calibration_set
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.manifest import read_manifest
from tests.fakes.tensorrt import WEAK, fake_tensorrt


@pytest.mark.parametrize("version", WEAK)
@pytest.mark.parametrize("algorithm", ["entropy", "min-max"])
def test_implicit_int8_is_calibrated_on_pictures_and_kept(version, algorithm, world, small_networks, tmp_path):
    pictures = read_calibration_set("samples-24")
    request = CalibrationRequest(pictures, pictures.root(None), algorithm, tmp_path / "cache", world.cuda)
    arguments = (
        fake_tensorrt(version, world),
        small_networks["fp32"],
        BuildOptions(precision="int8"),
        world.cuda.model,
    )
    before = make_engine(*arguments, save=tmp_path / "a.plan", calibration=request)
    assert world.batches == len(pictures.files)
    assert (tmp_path / "cache").read_bytes() == b"ranges"
    after = make_engine(*arguments, save=tmp_path / "b.plan", calibration=request)
    assert world.batches == len(pictures.files)
    assert before.facts.calibration.startswith(algorithm)
    assert read_manifest(before.path).precision == "int8"
    assert after.facts.calibration.startswith("cache ")
    assert world.cuda.held == {}


def test_calibration_frees_its_memory_when_it_fails(world, small_networks, tmp_path):
    pictures = read_calibration_set("samples-24")
    request = CalibrationRequest(pictures, pictures.root(None), "entropy", None, world.cuda)
    world.cuda.failing = {"allocate": 1}
    arguments = (fake_tensorrt("8.6", world), small_networks["fp32"], BuildOptions(precision="int8"), world.cuda.model)
    with pytest.raises(CudaError, match="out of memory"):
        make_engine(*arguments, save=tmp_path / "a.plan", calibration=request)
    assert world.cuda.held == {}
    assert not (tmp_path / "a.plan").exists()


def test_a_bad_calibration_picture_ends_the_build_and_leaves_no_ranges(world, small_networks, tmp_path):
    shipped = read_calibration_set("samples-24")
    root = tmp_path / "pictures"
    shutil.copytree(shipped.root(None), root)
    flat = root / shipped.files[2].composite
    height, width = cv2.imread(str(flat)).shape[:2]
    cv2.imwrite(str(flat), np.full((height, width, 3), 90, np.uint8))
    request = CalibrationRequest(shipped, root, "entropy", tmp_path / "cache", world.cuda)
    arguments = (fake_tensorrt("8.6", world), small_networks["fp32"], BuildOptions(precision="int8"), world.cuda.model)
    with pytest.raises(InputError, match="holds a single colour"):
        make_engine(*arguments, save=tmp_path / "a.plan", calibration=request)
    assert world.batches == 2
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "a.plan").exists()
    assert world.cuda.held == {}


def test_someone_elses_file_is_not_calibrated(world, small_networks, tmp_path):
    model = onnx.load(small_networks["fp32"])
    model.graph.input[0].name = "image"
    for node in model.graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = "image" if name == "composite" else name
    onnx.save(model, tmp_path / "theirs.onnx")
    pictures = read_calibration_set("samples-24")
    request = CalibrationRequest(pictures, pictures.root(None), "entropy", None, world.cuda)
    with pytest.raises(UsageError, match="not a composite and a mask"):
        make_engine(
            fake_tensorrt("8.6", world),
            tmp_path / "theirs.onnx",
            BuildOptions(precision="int8"),
            world.cuda.model,
            save=tmp_path / "a.plan",
            calibration=request,
        )
