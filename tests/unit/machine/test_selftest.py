"""The self-test's report, and the facts that a Jetson reports."""

from __future__ import annotations

import json

import numpy as np
import pytest

import edge_harmony.backends.tensorrt.backend as backend_module
import edge_harmony.machine.selftest as selftest_module
from edge_harmony.cli.main import main
from edge_harmony.files.resources import find_resource
from edge_harmony.machine.jetson import find_jetson
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
    assert run(capsys, "-o", path)[0] == run(capsys, "--target", own, "--backend", "openvino", "-o", path)[0] == 2


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
