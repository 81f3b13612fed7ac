"""``evaluate``: scores, protocols, preparations, pictures of the worst."""

import csv

import cv2
import numpy as np
import pytest

from tests.unit.cli.making import run, run_json


def test_evaluate_prints_the_contract(capsys, mini_root):
    result = run_json(capsys, "evaluate", "--data", mini_root, "--split", "test")
    keys = {"psnr", "mse", "fmse", "fpsnr", "ssim", "fssim", "images"}
    assert keys | {"composite", "by_foreground_ratio"} <= set(result)
    assert keys == set(result["composite"])
    assert result["images"] == 6
    assert sum(part["images"] for part in result["by_foreground_ratio"]) == 6
    assert run_json(capsys, "evaluate", "--data", mini_root, "--limit", 2)["images"] == 2
    assert run(capsys, "evaluate", "--data", mini_root)[0] == 0
    status, _, err = run(capsys, "evaluate", "--data", mini_root / "absent")
    assert status == 2
    assert len(err.strip().splitlines()) == 1


def test_evaluate_lists_every_picture_and_shows_the_worst(capsys, mini_root, tmp_path):
    arguments = ("--csv", tmp_path / "rows.csv", "--worst", tmp_path / "worst.png", "--worst-count", 2)
    result = run_json(capsys, "evaluate", "--data", mini_root, *arguments)
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for key in ("psnr", "fmse", "fssim", "composite_ssim"):
        means = result["composite"] if key.startswith("composite_") else result
        assert np.mean([float(r[key]) for r in rows]) == pytest.approx(means[key.removeprefix("composite_")], rel=1e-3)
    sheet = cv2.imread(str(tmp_path / "worst.png"))
    assert sheet.shape == (2 * 270, 5 * 248, 3)
    status, _, err = run(capsys, "evaluate", "--data", mini_root, "--csv", mini_root / "absent" / "rows.csv")
    assert status != 0
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("protocol", ["hdnet", "issam", "dovenet", "pctnet-fullres"])
def test_evaluate_under_the_protocols_of_papers(capsys, mini_root, protocol):
    result = run_json(capsys, "evaluate", "--data", mini_root, "--protocol", protocol, "--limit", 3)
    assert result["protocol"] == protocol
    native = run_json(capsys, "evaluate", "--data", mini_root, "--limit", 3)
    assert native["protocol"] == "native"
    assert abs(result["composite"]["psnr"] - native["composite"]["psnr"]) < 6
    assert result["composite"]["mse"] != native["composite"]["mse"]


def test_evaluate_seals_moves_and_relights(capsys, mini_root, tmp_path):
    call = ("evaluate", "--data", mini_root, "--limit", 4)
    plain = run_json(capsys, *call)
    assert plain["preparation"] == {"label": "plain", "sealed": 0, "moved": False, "relit": False, "left_out": 0}
    assert plain["harm"]["gain"] == pytest.approx(plain["psnr"] - plain["composite"]["psnr"])
    for options, label in (
        (("--sealed", 3), "sealed by 3"),
        (("--moved",), "moved"),
        (("--relit", "--sealed", 2), "relit, sealed by 2"),
    ):
        path = tmp_path / "rows.csv"
        result = run_json(capsys, *call, *options, "--protocol", "hdnet", "--csv", path, "--worst", tmp_path / "w.png")
        assert result["preparation"]["label"] == label
        assert result["images"] == 4 - result["preparation"]["left_out"]
        with path.open() as file:
            rows = list(csv.DictReader(file))
        worse = [float(row["fmse"]) > float(row["composite_fmse"]) for row in rows]
        assert np.mean(worse) == pytest.approx(result["harm"]["worse"])
        assert np.mean([float(row["no_change"]) for row in rows]) == pytest.approx(
            result["harm"]["no_change"], rel=1e-3
        )
    status, out, _ = run(capsys, *call, "--sealed", 64)
    assert status == 0
    assert "4 left out" in " ".join(out.split())
    for wrong in (-1, 65):
        status, _, err = run(capsys, *call, "--sealed", wrong)
        assert status == 2
        assert f"sealed by {wrong} pixels" in err
        assert len(err.strip().splitlines()) == 1


def test_unknown_protocols_are_refused(capsys, mini_root):
    status, _, err = run(capsys, "evaluate", "--data", mini_root, "--protocol", "other")
    assert status == 2
    assert "hdnet" in err


def test_evaluate_agrees_between_backends(capsys, mini_root):
    ours = run_json(capsys, "evaluate", "--data", mini_root)
    theirs = run_json(capsys, "evaluate", "--data", mini_root, "--backend", "pytorch", "--precision", "fp32")
    assert ours["composite"] == theirs["composite"]
    assert abs(ours["psnr"] - theirs["psnr"]) < 0.3
