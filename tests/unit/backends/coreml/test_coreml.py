"""Core ML packages: what is in them, read back from the file; predictions only on a Mac."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edge_harmony.backends.base import LoadRequest
from edge_harmony.backends.discovery import get_backend
from edge_harmony.cli.main import main
from edge_harmony.errors import ArtifactError, CapabilityError, UsageError
from edge_harmony.export.prepare import exportable
from edge_harmony.export.trace import decomposed
from edge_harmony.files.atomic import new_folder, sha256_of, size_of
from edge_harmony.files.manifest import manifest_path, read_manifest
from edge_harmony.models.registry import build_model
from edge_harmony.models.weights_file import read_weights, save_weights
from edge_harmony.models.whole_pipeline import PlanarPipeline
from edge_harmony.pipeline.harmonize import harmonize_pixels
from edge_harmony.samples import sample_pictures
from tests.unit.backends.coreml.conftest import convert

pytest.importorskip("coremltools")
from edge_harmony.backends.coreml.contents import read_contents
from edge_harmony.backends.coreml.convert import settle_names
from edge_harmony.backends.coreml.package import PackageFiles
from edge_harmony.backends.coreml.program import decomposed_pipeline


@pytest.fixture
def drawn(tmp_path):
    """A folder with the picture a.png and its mask, a_mask.png."""
    _, pixels, mask = next(iter(sample_pictures()))
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    cv2.imwrite(str(tmp_path / "a_mask.png"), np.rint(mask * 255).astype(np.uint8))
    return tmp_path


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


def test_damaged_packages_are_one_clear_error(packages, tmp_path):
    with pytest.raises(ArtifactError, match="is no Core ML package"):
        read_contents(tmp_path / "none.mlpackage")
    (tmp_path / "x.mlpackage").mkdir()
    with pytest.raises(ArtifactError, match="is no Core ML package"):
        read_contents(tmp_path / "x.mlpackage")
    changed = tmp_path / packages["fp32"].name
    shutil.copytree(packages["fp32"], changed)
    shutil.copy(manifest_path(packages["fp32"]), tmp_path)
    assert read_manifest(changed) == read_manifest(packages["fp32"])
    (changed / "odd").write_text("x")
    with pytest.raises(ArtifactError, match="not the file its manifest describes"):
        read_manifest(changed)


def test_a_package_is_read_and_not_written(packages, tmp_path):
    """coremltools' reader writes the table of contents anew: spaces at its end would be gone."""
    package = tmp_path / "a.mlpackage"
    shutil.copytree(packages["fp16"], package)
    contents = package / "Manifest.json"
    contents.write_bytes(contents.read_bytes() + b"   \n")
    before = sha256_of(package)
    assert read_contents(package).convolutions == 14
    assert sha256_of(package) == before


@pytest.mark.parametrize("where", ["../../outside.mlmodel", "/etc/hostname", "../a/../../outside.mlmodel"])
def test_a_package_whose_program_lies_elsewhere_is_refused(packages, tmp_path, where):
    package = tmp_path / "a.mlpackage"
    shutil.copytree(packages["fp16"], package)
    program = next(package.rglob("model.mlmodel"))
    shutil.copy(program, tmp_path / "outside.mlmodel")
    contents = json.loads((package / "Manifest.json").read_text())
    contents["itemInfoEntries"][contents["rootModelIdentifier"]]["path"] = where
    (package / "Manifest.json").write_text(json.dumps(contents))
    with pytest.raises(ArtifactError, match="lies outside of it"):
        read_contents(package)


def test_export_for_an_iphone(edge_weights, tmp_path, capsys):
    arguments = ["--weights", edge_weights, "--target", "iphone-int8", "-o", tmp_path, "--json"]
    assert main(["export", "edge-n", *map(str, arguments)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["artifact"].endswith("edge-n-256x256-int8.mlpackage")
    assert said["bytes"] == size_of(tmp_path / "edge-n-256x256-int8.mlpackage")


def checked(capsys, package, target, status=0):
    assert main(["check", str(package), "--target", str(target), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_check_judges_a_package_by_its_contents(packages, capsys):
    report = checked(capsys, packages["int8"], "mac-int8")
    assert (report["runtime"], report["opset"], report["findings"]) == ("coreml", None, [])
    convolutions = [row for row in report["layers"] if row["kind"].startswith("conv")]
    assert [row["precision"] for row in convolutions] == ["int8"] * 14
    assert "conv + relu" in {row["kind"] for row in convolutions}
    others = {row["precision"]: row for row in report["layers"] if row["name"].endswith("others")}
    assert set(others) == {"fp16"}
    assert "reduce_mean" in others["fp16"]["kind"]  # masked statistics
    assert report["islands"] == {}
    assert any("neural engine" in question for question in report["unknown"])
    half = checked(capsys, packages["fp16"], "coreml")
    reasons = {(row["precision"], row["reason"]) for row in half["layers"] if row["kind"].startswith("conv")}
    assert reasons == {("fp16", "its weights are not stored in 8 bits")}
    assert checked(capsys, packages["fp32"], "coreml")["counts"] == {"int8": 0, "fp16": 0, "float": 15}


def test_check_holds_a_package_against_its_target(packages, edge_weights, tmp_path, capsys):
    newer = convert("edge-n", edge_weights, tmp_path, palette_bits=6, minimum="iOS18", inputs="image")
    (first, *rest) = checked(capsys, newer, "iphone-int8", status=3)["findings"]
    assert first["fatal"]
    assert first["problem"] == "it needs iOS18, and the target starts at iOS17"
    assert [found["fatal"] for found in rest] == [False] * 3
    assert "no convolution is quantized to 8 bits" in rest[0]["problem"]
    assert rest[1]["problem"] == "it is image RGB 256x256, and the target's inputs are tensors"
    report = checked(capsys, newer, "coreml")  # a backend without a target: nothing to hold it against
    assert report["findings"] == []
    assert any("palette" in row["reason"] for row in report["layers"])  # small weights are not packed
    problems = [found["problem"] for found in checked(capsys, packages["int8"], "iphone-sizes-int8")["findings"]]
    assert "it has no function for 256x192, which the target names" in problems
    (found,) = checked(capsys, packages["int8"], "iphone-fp32")["findings"]
    assert "14 of 14 convolutions are quantized to 8 bits, and the target is fp32" in found["problem"]


def test_what_check_cannot_read(packages, tmp_path, capsys):
    (tmp_path / "empty.mlpackage").mkdir()
    for path, status, said in (
        (tmp_path / "absent.mlpackage", 2, "there is no package"),
        (tmp_path / "empty.mlpackage", 1, "is no Core ML package"),
        (packages["int8"].with_name(packages["int8"].name + ".json"), 2, "Core ML reads no other files"),
    ):
        assert main(["check", str(path), "--target", "mac-int8"]) == status
        assert said in " ".join(capsys.readouterr().err.split())


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


def test_check_finds_the_backend_of_an_artifact(packages, capsys):
    for path, runtime in (
        (packages["int8"], "coreml"),
        (get_backend("onnxruntime").shipped("edge-n", "int8"), "onnxruntime"),
    ):
        assert main(["check", str(path), "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["runtime"], report["target"]) == (runtime, runtime)
    assert main(["check", str(packages["int8"]), "--target", "cpu-onnxruntime-int8"]) == 2
    assert "is a folder, no ONNX file" in " ".join(capsys.readouterr().err.split())


def test_the_layout_of_the_output_is_described(packages):
    spec = PackageFiles(packages["fp16"]).specification
    assert "3 x 3 matrix, row by row, then an offset" in spec.description.output[0].shortDescription
    assert all(feature.shortDescription for feature in spec.description.input)


def test_folders_appear_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a"
    with new_folder(target) as made:
        made.mkdir()
        (made / "x").write_text("1")
    first = sha256_of(target)
    with pytest.raises(ZeroDivisionError), new_folder(target) as made:
        made.write_text(str(1 / 0))
    assert sha256_of(target) == first
    with new_folder(target) as made:
        made.mkdir()
        (made / "x").write_text("2")
    assert sha256_of(target) != first
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(UsageError, match="cannot write"), new_folder(tmp_path / "none" / "b"):
        pass


def test_a_disk_that_is_full(edge_weights, packages, tmp_path, monkeypatch):
    import coremltools as ct

    def fail(*_, **__):
        raise RuntimeError("Unable to write to file")

    shutil.copytree(packages["fp16"], tmp_path / packages["fp16"].name)
    before = sha256_of(packages["fp16"])
    monkeypatch.setattr(ct.models.MLModel, "save", fail)
    with pytest.raises(UsageError, match=r"cannot write .*mlpackage .Unable to write to file.; free space"):
        convert("edge-n", edge_weights, tmp_path, precision="fp16")
    assert [path.name for path in tmp_path.iterdir()] == [packages["fp16"].name]
    assert sha256_of(tmp_path / packages["fp16"].name) == before


def test_equal_packages_are_equal_files(packages, edge_weights, tmp_path):
    again = convert("edge-n", edge_weights, tmp_path, precision="fp16")
    assert sha256_of(again) == sha256_of(packages["fp16"])
    assert read_contents(again).convolutions == 14


@pytest.mark.slow
def test_equal_packages_of_two_processes_are_equal_files(packages, edge_weights, tmp_path):
    code = (
        "import sys; from pathlib import Path; from edge_harmony.backends.base import ExportRequest\n"
        "from edge_harmony.backends.coreml.convert import convert\n"
        "print(convert(ExportRequest('edge-n', 'fp16'), Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    call = [sys.executable, "-c", code, str(edge_weights), str(tmp_path)]
    again = Path(subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    assert sha256_of(again) == sha256_of(packages["fp16"])


def test_names_of_parts_are_those_of_their_paths(packages, tmp_path):
    package = tmp_path / "a.mlpackage"
    shutil.copytree(packages["fp16"], package)
    before = (package / "Manifest.json").read_bytes()
    contents = json.loads(before)
    drawn = {name: f"drawn-{number}" for number, name in enumerate(reversed(contents["itemInfoEntries"]))}
    contents["itemInfoEntries"] = {drawn[name]: contents["itemInfoEntries"][name] for name in drawn}
    contents["rootModelIdentifier"] = drawn[contents["rootModelIdentifier"]]
    (package / "Manifest.json").write_text(json.dumps(contents))
    settle_names(package)
    assert (package / "Manifest.json").read_bytes() == before
    assert sha256_of(package) == sha256_of(packages["fp16"])
