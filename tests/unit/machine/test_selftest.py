"""The self-test's report, and the facts that a Jetson reports."""

from __future__ import annotations

import json

import numpy as np
import pytest

import edge_harmony.backends.tensorrt.backend as backend_module
import edge_harmony.machine.selftest as selftest_module
from edge_harmony.backends.discovery import load_runner
from edge_harmony.backends.onnxruntime.runner import OnnxRuntimeRunner
from edge_harmony.cli.main import main
from edge_harmony.errors import CapabilityError
from edge_harmony.files.atomic import sha256_of
from edge_harmony.files.resources import find_resource
from edge_harmony.machine.jetson import find_jetson
from edge_harmony.machine.selftest import Candidate, run_selftest
from edge_harmony.models.registry import bundled_weights, weights_folder
from edge_harmony.pipeline.harmonize import predict
from edge_harmony.quality.answers import recorded_answers
from edge_harmony.samples import sample_pictures
from tests.fakes.tensorrt import World, fake_tensorrt


def run(capsys, *arguments):
    status = main(["selftest", *map(str, arguments)])
    return status, capsys.readouterr()


def test_a_backend_that_works(tmp_path, capsys, exported, monkeypatch):
    path = tmp_path / "report.json"
    status, _ = run(capsys, "--backend", "onnxruntime", "-o", path)
    report = json.loads(path.read_text())
    assert (status, report["passed"]) == (0, True)
    assert [step["name"] for step in report["steps"]] == ["probe", "build", "load", "parity", "timing"]
    assert report["steps"][3]["psnr"] > 40
    assert report["steps"][4]["median_ms"] > 0
    assert report["machine"]["cpus"]


def test_a_target_is_held_to_its_budget(tmp_path, capsys):
    path = tmp_path / "report.json"
    own = tmp_path / "own.toml"
    shipped = (
        find_resource("targets", "cpu-onnxruntime-int8").read_text().replace("max_p90_ms = 33.3", "max_p90_ms = 1e6")
    )
    own.write_text(shipped)
    status, _ = run(capsys, "--target", own, "-o", path)
    report = json.loads(path.read_text())
    assert (status, report["backend"], report["precision"]) == (0, "onnxruntime", "int8")
    assert report["steps"][4]["p90_ms"] > 0
    own.write_text(shipped.replace("max_p90_ms = 1e6", "max_p90_ms = 1e-3"))
    status, streams = run(capsys, "--target", own, "-o", path)
    assert status == 5
    assert "more than 0.001 ms" in streams.out
    own.write_text(shipped.replace("min_psnr = 38.0", "min_psnr = 90.0"))
    assert run(capsys, "--target", own, "-o", path)[0] == 4
    assert run(capsys, "-o", path)[0] == 2


SHIPPED = weights_folder() / "edge-n-256x256-int8.onnx"


def test_several_are_timed_in_turns_without_torch(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(selftest_module, "is_installed", lambda module: module != "torch")
    path = tmp_path / "report.json"
    status, streams = run(
        capsys, "--artifact", SHIPPED, "--backend", "onnxruntime", "--model", "edge-n", "--threads", "2", "-o", path
    )
    report = json.loads(path.read_text())
    assert (status, report["passed"], report["threads"]) == (0, True, 2)
    file, backend = report["tests"]
    assert [step["name"] for step in file["steps"]] == ["probe", "load", "parity", "timing"]
    for test, parity in ((file, 2), (backend, 3)):
        assert test["steps"][parity]["reference"] == "pytorch in fp32, recorded"
        assert test["steps"][parity]["psnr"] > 50
    assert backend["steps"][1]["artifact"] == str(SHIPPED)
    ratios = [
        [test["steps"][-1][f"of_onnxruntime{quartile}"] for quartile in ("_q25", "", "_q75")]
        for test in report["tests"]
    ]
    assert ratios[0] == [1, 1, 1]  # what the others are set beside
    assert 0 < ratios[1][0] <= ratios[1][1] <= ratios[1][2]
    assert "edge-n int8 in onnxruntime" in streams.out


def test_one_that_fails_does_not_keep_the_others_from_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(selftest_module, "is_installed", lambda module: module != "torch")
    path = tmp_path / "report.json"
    status, _ = run(capsys, *("--backend", "tensorrt", "--artifact", SHIPPED, "--model", "edge-n", "-o", path))
    report = json.loads(path.read_text())
    assert (status, report["passed"], report["exit_code"], report["threads"]) == (3, False, 3, 1)
    assert [test["passed"] for test in report["tests"]] == [True, False]
    assert report["tests"][0]["steps"][-1]["median_ms"] > 0


def test_a_network_that_fails_while_it_is_timed(tmp_path, monkeypatch):
    real, calls = OnnxRuntimeRunner.infer, [0]

    def infer(self, composite, mask):
        calls[0] += 1
        if calls[0] > 10 and self is first[0]:
            raise CapabilityError("it is too hot")
        first.append(self)
        return real(self, composite, mask)

    first = []
    monkeypatch.setattr(OnnxRuntimeRunner, "infer", infer)
    candidate = Candidate.of_artifact(SHIPPED)
    report = run_selftest([candidate, candidate], tmp_path, threads=1)
    hot, cool = report["tests"]
    assert (hot["exit_code"], hot["steps"][-1]["name"], hot["steps"][-1]["error"]) == (3, "timing", "it is too hot")
    assert (cool["exit_code"], "of_onnxruntime" in cool["steps"][-1]) == (0, False)


def test_a_file_of_other_weights_has_no_reference(tmp_path, capsys, exported):
    status, streams = run(capsys, "--artifact", exported["fp32"], "-o", tmp_path / "report.json")
    assert status == 2
    assert "was not made from the shipped weights" in streams.out


@pytest.mark.parametrize("model", ["edge-n", "edge-s"])
def test_recorded_answers_are_those_of_the_shipped_weights(model):
    """``benchmarks/land_weights.py`` writes them anew."""
    pytest.importorskip("torch")
    answers = recorded_answers(model, sha256_of(bundled_weights(model)))
    assert answers is not None, "edge_harmony.quality.answers.record_answers writes them"
    with load_runner(model, backend="pytorch", precision="fp32") as runner:
        for name, picture, mask in sample_pictures():
            np.testing.assert_allclose(answers[name], predict(runner, picture, mask), atol=1e-4)
    assert recorded_answers(model, "0" * 64) is None
    assert recorded_answers("hdnet", "0" * 64) is None


def test_a_backend_that_is_missing(tmp_path, capsys):
    path = tmp_path / "report.json"
    status, streams = run(capsys, "--backend", "tensorrt", "-o", path)
    report = json.loads(path.read_text())
    assert (status, report["passed"], report["exit_code"]) == (3, False, 3)
    assert "does not run here" in report["steps"][-1]["error"]
    assert "failed; report" in streams.out


def test_a_device_without_torch_builds_from_a_file_and_finds_wrong_numbers(tmp_path, capsys, exported, monkeypatch):
    world = World()
    monkeypatch.setattr(backend_module, "find_tensorrt", lambda distribution=None: fake_tensorrt("10.3", world))
    monkeypatch.setattr(backend_module, "find_cuda", lambda package=None, device=0: world.cuda)
    monkeypatch.setattr(backend_module, "find_runtime", lambda distribution=None: fake_tensorrt("10.3", world))
    monkeypatch.setattr(backend_module.TensorRTRunner, "infer", lambda self, picture, mask: wrong(mask))
    monkeypatch.setattr(backend_module.TensorRTRunner, "submit", lambda self, picture, mask: lambda: wrong(mask))

    def wrong(mask):
        return np.full((1, 12, 32, 32), 0.3, np.float32)

    path = tmp_path / "report.json"
    status, _ = run(
        capsys, "--backend", "tensorrt", "--model", "edge-n", "--onnx", exported["signed"], "-o", path, "--json"
    )
    report = json.loads(path.read_text())
    assert (status, report["exit_code"]) == (4, 4)
    assert [(step["name"], step["ok"]) for step in report["steps"]][-1] == ("parity", False)
    assert "by only" in report["steps"][-1]["error"]
    assert world.cuda.held == {}
    monkeypatch.setattr(selftest_module, "LEAST_PARITY", -100.0)
    assert run(capsys, "--backend", "tensorrt", "--model", "edge-n", "--onnx", exported["signed"], "-o", path)[0] == 0


@pytest.mark.parametrize(
    ("release", "l4t", "jetpack"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic", "36.4.3", "6.2"),
        ("# R36 (release), REVISION: 4.0, GCID: 1", "36.4.0", "6.1"),
        ("# R36 (release), REVISION: 4.4, GCID: 1", "36.4.4", "6.2.1"),
        ("# R36 (release), REVISION: 4.5, GCID: 1", "36.4.5", "6.2.1"),
        ("# R36 (release), REVISION: 4.9, GCID: 1", "36.4.9", "6.1 or 6.2"),
        ("# R36 (release), REVISION: 5.0, GCID: 1", "36.5.0", "6.2.2"),
        ("# R36 (release), REVISION: 3.0, GCID: 1", "36.3.0", "6.0"),
        ("# R35 (release), REVISION: 4.1, GCID: 1", "35.4.1", "5.1.2"),
        ("# R38 (release), REVISION: 2.0, GCID: 1", "38.2.0", "7.0"),
        ("# R38 (release), REVISION: 2.1, GCID: 1", "38.2.1", "7.0"),
        ("# R38 (release), REVISION: 4.0, GCID: 1", "38.4.0", "7.1"),
        ("# R39 (release), REVISION: 1.0, GCID: 1", "39.1.0", "7.2"),
        ("# R99 (release), REVISION: 1.0", "99.1.0", None),
        ("", None, None),
    ],
)
def test_a_jetson_tells_its_releases(release, l4t, jetpack, tmp_path):
    for name in ("proc/device-tree", "etc", "var/lib/nvpmodel"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("NVIDIA Jetson Orin Nano Developer Kit\0")
    (tmp_path / "etc/nv_tegra_release").write_text(release)
    (tmp_path / "etc/nvpmodel.conf").write_text("< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=7W >\n")
    (tmp_path / "var/lib/nvpmodel/status").write_text("pmode:0001 fmode:quiet")
    found = find_jetson(tmp_path)
    assert (found.board, found.l4t, found.jetpack) == ("NVIDIA Jetson Orin Nano Developer Kit", l4t, jetpack)
    assert found.power_mode == "7W"
    (tmp_path / "var/lib/nvpmodel/status").unlink()
    assert find_jetson(tmp_path).power_mode is None


def test_other_machines_are_no_jetson(tmp_path):
    assert find_jetson(tmp_path) is None
