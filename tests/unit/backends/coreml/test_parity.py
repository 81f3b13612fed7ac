"""What packages compute, against PyTorch and ONNX Runtime; Core ML itself is replaced by the interpreter."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest

pytest.importorskip("coremltools")
from PIL import Image

from edge_harmony.backends.base import LoadRequest
from edge_harmony.backends.coreml import mac
from edge_harmony.backends.coreml.interpreter.evaluate import Interpreter
from edge_harmony.backends.coreml.interpreter.predictor import ReferencePredictor
from edge_harmony.backends.coreml.reference import CoreMLReferenceBackend
from edge_harmony.backends.coreml.runner import package_runner
from edge_harmony.backends.discovery import get_backend
from edge_harmony.errors import ArtifactError, CapabilityError, InputError, UsageError
from edge_harmony.files.manifest import read_manifest
from edge_harmony.pictures.working_size import to_working_size
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.quality.parity import compare
from edge_harmony.samples import sample_pictures
from tests.unit.backends.coreml.conftest import convert
from tests.unit.backends.masks import MASKS

LEAST = {"fp32": 80, "fp16": 55, "int8": 45}
"""dB of the foreground against PyTorch in the arithmetic of the package."""


def reference(package):
    return CoreMLReferenceBackend().load(LoadRequest("edge-n", "int8", artifact=package))


def pytorch(weights, precision="fp32"):
    return get_backend("pytorch").load(LoadRequest("edge-n", precision, weights=weights))


@pytest.mark.parametrize("precision", LEAST)
def test_a_package_computes_what_the_network_does(precision, packages, exported, edge_weights):
    samples = list(sample_pictures())[:2]
    of_torch = pytorch(edge_weights, "int8" if precision == "int8" else "fp32")
    of_onnx = get_backend("onnxruntime").load(LoadRequest("edge-n", precision, artifact=exported[precision]))
    with closing(reference(packages[precision])) as ours:
        assert compare(ours, of_torch, samples)["psnr_min"] > LEAST[precision]
        assert compare(ours, of_onnx, samples)["psnr_min"] > LEAST[precision] - 3


@pytest.mark.parametrize("rounding", ["half", "flush"])
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_every_mask_fits_in_sixteen_bits(rounding, precision, packages, edge_weights):
    _, pixels, mask = next(iter(sample_pictures()))
    composite, small = to_working_size(np.ascontiguousarray(pixels), mask, (256, 256))
    program = Interpreter(packages[precision], rounding=rounding)
    exact = pytorch(edge_weights, "int8" if precision == "int8" else "fp32")
    for name, change in MASKS.items():
        chosen = change(small)
        (grid,) = program.predict({"composite": composite, "mask": chosen}).values()
        assert program.problems == [], name
        expected = exact.infer(composite, chosen)
        assert np.abs(grid - expected).max() < 0.05 * max(1.0, np.abs(expected).max()), name


@pytest.mark.parametrize("size", [(300, 401), (256, 256)])
def test_a_whole_pipeline_computes_what_the_pipeline_does(size, edge_weights, made_once):
    folder = made_once(
        "coreml-whole", lambda folder: convert("edge-n", edge_weights, folder, precision="fp32", whole_pipeline=True)
    )
    _, pixels, mask = next(iter(sample_pictures()))
    picture = cv2.resize(np.ascontiguousarray(pixels), size[::-1])
    soft = np.rint(cv2.resize(mask, size[::-1]) * 255).astype(np.uint8)
    with closing(reference(next(folder.glob("*.mlpackage")))) as ours:
        for strength in (0.5, 1.0):
            made = harmonize_pixels(ours, picture, soft, strength=strength)
            expected = harmonize_pixels(pytorch(edge_weights), picture, soft, strength=strength)
            assert np.abs(made.astype(int) - expected).max() <= 1
            assert np.array_equal(made[soft == 0], picture[soft == 0])
        with pytest.raises(InputError, match="takes pictures of up to 4096x4096, got 4097x300"):
            ours.harmonize(np.zeros((300, 4097, 3), np.uint8), np.zeros((300, 4097), np.uint8), 1.0)
        with pytest.raises(UsageError, match="its network cannot be run alone"):
            ours.infer(np.zeros((1, 3, 256, 256), np.float32), np.zeros((1, 1, 256, 256), np.float32))


@pytest.mark.slow
def test_every_function_computes_what_the_network_does(edge_weights, tmp_path):
    package = convert(
        "edge-n", edge_weights, tmp_path, inputs="image", more_sizes=[(192, 256), (256, 192)], minimum="iOS18"
    )
    _, pixels, mask = next(iter(sample_pictures()))
    with closing(reference(package)) as ours:
        for size in ((256, 256), (192, 256), (256, 192)):
            composite, small = to_working_size(np.ascontiguousarray(pixels), mask, size)
            composite, small = np.rint(composite * 255) / np.float32(255), np.rint(small * 255) / np.float32(255)
            grid, expected = ours.infer(composite, small), pytorch(edge_weights).infer(composite, small)
            assert grid.shape == expected.shape
            assert np.abs(grid - expected).max() < 0.01
        with pytest.raises(InputError, match="takes 256x256, got 128x128"):
            ours.infer(composite[..., :128, :128], small[..., :128, :128])


@pytest.mark.slow
@pytest.mark.parametrize("enumerated", [False, True])
def test_pictures_of_some_sizes(enumerated, edge_weights, tmp_path):
    sizes = [(300, 401), (401, 300)]
    package = convert(
        "edge-n",
        edge_weights,
        tmp_path,
        whole_pipeline=True,
        picture_sizes=sizes,
        minimum="iOS18",
        enumerated=enumerated,
    )
    assert package.name.endswith("-whole-ios18-300x401-401x300" + "-enumerated" * enumerated + ".mlpackage")
    _, pixels, mask = next(iter(sample_pictures()))
    with closing(reference(package)) as ours:
        for height, width in sizes:
            picture = cv2.resize(np.ascontiguousarray(pixels), (width, height))
            soft = np.rint(cv2.resize(mask, (width, height)) * 255).astype(np.uint8)
            expected = harmonize_pixels(pytorch(edge_weights), picture, soft)
            assert np.abs(harmonize_pixels(ours, picture, soft).astype(int) - expected).max() <= 1
        with pytest.raises(InputError, match="takes pictures of 401x300, 300x401, got 300x300"):
            ours.harmonize(np.zeros((300, 300, 3), np.uint8), np.zeros((300, 300), np.uint8), 1.0)


def test_the_backend_says_what_it_is_for(packages):
    backend = CoreMLReferenceBackend()
    assert "slow" in backend.probe().detail
    with pytest.raises(UsageError, match="builds nothing"):
        backend.steps(None) or backend.build(None, None, None)
    with pytest.raises(CapabilityError, match="does not run on cuda:0"):
        backend.load(LoadRequest("edge-n", "int8", artifact=packages["int8"], device="cuda:0"))
    with pytest.raises(UsageError, match="the coreml-reference backend runs a package"):
        backend.load(LoadRequest("edge-n", "int8"))


class FakeCompiled:
    """coremltools.models.CompiledMLModel on a Mac: it loads one function, and takes Pillow images for image inputs.

    Core ML's errors are RuntimeErrors, at loading as at predicting.
    """

    loaded: ClassVar[list] = []

    def __init__(self, path, compute_units, function_name=None):
        try:
            self.program = Interpreter(Path(Path(path).read_text()), function_name)
        except UsageError as error:
            raise RuntimeError(f"Error in declaring network: {error}") from None
        FakeCompiled.loaded.append((compute_units.name, function_name))

    def predict(self, feed):
        for feature in self.program._inputs:
            is_image = feature.type.WhichOneof("Type") == "imageType"
            if isinstance(feed[feature.name], Image.Image) != is_image:
                raise RuntimeError(f"Core ML Exception: {feature.name} is of the wrong type")
        ((name, value),) = self.program.predict({key: np.asarray(one) for key, one in feed.items()}).items()
        return {name: Image.fromarray(value) if value.dtype == np.uint8 else value}


@pytest.fixture
def on_a_mac(monkeypatch):
    import coremltools as ct

    def compile_model(package, destination):
        if "broken" in package:
            raise RuntimeError("Error compiling model: unsupported specification version\nmore")
        Path(destination).write_text(package)
        return destination

    FakeCompiled.loaded.clear()
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(ct.models.utils, "compile_model", compile_model)
    monkeypatch.setattr(ct.models, "CompiledMLModel", FakeCompiled)


def test_on_a_mac_core_ml_runs_the_package(on_a_mac, packages, edge_weights):
    with closing(get_backend("coreml").load(LoadRequest("edge-n", "fp32", artifact=packages["fp32"]))) as ours:
        samples = list(sample_pictures())[:1]
        assert compare(ours, pytorch(edge_weights), samples)["psnr_min"] > LEAST["fp32"]
        composite, mask = np.zeros((2, 3, 256, 256), np.float32), np.zeros((2, 1, 256, 256), np.float32)
        with pytest.raises(InputError, match="one picture"):
            ours.infer(composite, mask)
        _, parts = ours.infer_parts(composite[:1], mask[:1])
        assert set(parts) == {"copy", "infer"}
    assert FakeCompiled.loaded == [("ALL", None)]


def test_what_core_ml_does_not_take_is_one_clear_error(on_a_mac, packages, tmp_path):
    manifest = read_manifest(packages["fp32"])
    with pytest.raises(ArtifactError, match=r"Core ML does not take .*unsupported specification version\)"):
        mac.MacPredictor(tmp_path / "broken.mlpackage", "all")
    several = manifest.model_copy(update={"engine": {"functions": ["h256w256", "h192w256"]}})
    with closing(package_runner(several, mac.MacPredictor(packages["fp32"], "cpu-ane"))) as ours:
        composite, mask = np.zeros((1, 3, 192, 256), np.float32), np.zeros((1, 1, 192, 256), np.float32)
        with pytest.raises(ArtifactError, match=r"Core ML does not take .*has no function 'h192w256'"):
            ours.infer(composite, mask)
    pictures = manifest.model_copy(update={"engine": {"inputs": "image"}})
    whole = np.zeros((1, 3, 256, 256), np.float32), np.zeros((1, 1, 256, 256), np.float32)
    with (
        closing(package_runner(pictures, mac.MacPredictor(packages["fp32"], "cpu"))) as ours,
        pytest.raises(ArtifactError, match="composite is of the wrong type"),
    ):
        ours.infer(*whole)


def test_a_package_of_pictures_takes_rounded_levels(edge_weights, packages):
    class Watching(ReferencePredictor):
        def predict(self, function, prepared):
            self.fed = prepared
            return np.zeros((1, 12, 32, 32), np.float32)

    watching = Watching(packages["int8"])
    manifest = read_manifest(packages["int8"]).model_copy(update={"engine": {"inputs": "image"}})
    with closing(package_runner(manifest, watching)) as ours:
        ours.infer(np.full((1, 3, 256, 256), 0.5, np.float32), np.ones((1, 1, 256, 256), np.float32))
    assert watching.fed["composite"].shape == (256, 256, 3)
    assert watching.fed["composite"][0, 0].tolist() == [128, 128, 128]
    assert watching.fed["mask"].dtype == np.uint8
