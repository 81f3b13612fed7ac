"""``check`` judges packages by their own contents, and holds them against targets."""

from __future__ import annotations

import json

import pytest

from edge_harmony.backends.discovery import get_backend
from edge_harmony.cli.main import main
from tests.unit.backends.coreml.conftest import convert

pytest.importorskip("coremltools")


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
