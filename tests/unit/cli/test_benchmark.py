"""``edge-harmony benchmark``: what it writes, and its exit codes."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

import edge_harmony.cli.benchmark as verb
from edge_harmony.benchmark.report.plots import on_front
from edge_harmony.benchmark.result import read_result, write_result
from edge_harmony.benchmark.suite import Effort, suite_of
from edge_harmony.cli.main import main
from tests.unit.benchmark.made import measurement, result

pytestmark = pytest.mark.lengthy

SUITE = """
name = "small"
baseline = "reinhard"
[effort]
warm_up = 1
least_count = 20
least_seconds = 0.1
most_seconds = 0.3
[[contenders]]
peer = "reinhard"
[[contenders]]
model = "edge-n"
"""


def run(capsys, *arguments):
    status = main(["benchmark", *map(str, arguments)])
    streams = capsys.readouterr()
    return status, streams.out, streams.err


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return path


def test_a_suite_and_its_report(capsys, suite, tmp_path, mini_root):
    arguments = (suite, "--report", tmp_path / "out", "--data", mini_root, "--limit", 2, "-o", tmp_path / "r.json")
    status, out, err = run(capsys, *arguments)
    assert status == 0, err
    assert "report.html" in out
    found = read_result(tmp_path / "r.json")
    assert found == read_result(tmp_path / "out" / "result.json")
    assert {m.contender.name for m in found.measurements} == {"reinhard", "edge-n int8 onnxruntime"}
    assert all(m.truth.images == 2 for m in found.measurements)
    with (tmp_path / "out" / "report.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    assert "| edge-n int8 onnxruntime |" in (tmp_path / "out" / "report.md").read_text()
    shown = {"reinhard", *(m.contender.name for m in on_front(found))}  # the baseline, and what nothing beats
    assert (tmp_path / "out" / "report.html").read_text().count("data:image/webp") == len(shown) * 2 * 4
    status, out, _ = run(capsys, suite, "--json")
    assert status == 0
    assert json.loads(out)["schema_version"] == 1


def test_a_planted_loss_of_accuracy_exits_with_4(capsys, tmp_path, exported, edge_weights):
    """INT8 with a limit that only FP32 reaches."""
    suite = tmp_path / "pair.toml"
    suite.write_text(
        SUITE.split("[[contenders]]")[0].replace("reinhard", "float")
        + f'[[contenders]]\nlabel = "float"\nartifact = "{exported["fp32"]}"\nweights = "{edge_weights}"\n'
        + f'[[contenders]]\nlabel = "spoiled"\nartifact = "{exported["int8"]}"\nweights = "{edge_weights}"\n'
    )
    budget = tmp_path / "b.toml"
    budget.write_text('[[limits]]\ncontender = "*"\nmin_parity_psnr = 90\n')
    status, out, _ = run(capsys, suite, "--budget", budget)
    assert status == 4
    assert "FAIL: spoiled: parity, dB" in out
    assert "FAIL: float" not in out


def test_budgets_of_cost_and_doubt(capsys, suite, tmp_path):
    budget = tmp_path / "b.toml"
    budget.write_text('[[limits]]\ncontender = "edge-n*"\nmax_p90_ms = 0.001\n')
    assert run(capsys, suite, "--budget", budget)[0] == 5
    budget.write_text('[[limits]]\ncontender = "edge-n*"\nmax_peak_memory_mib = 5000\nmin_psnr_gain = 1\n')
    status, out, _ = run(capsys, suite, "--budget", budget)
    assert status == 6
    assert "no data set was given" in out


def test_files_against_each_other(capsys, tmp_path, exported, monkeypatch):
    few = Effort(warm_up=1, least_count=20, least_seconds=0, most_seconds=0.3)
    monkeypatch.setattr(verb, "suite_of", lambda *a, **k: suite_of(*a, **k).model_copy(update={"effort": few}))
    copy = tmp_path / exported["int8"].name
    for file in (exported["int8"], exported["int8"].with_name(exported["int8"].name + ".json")):
        shutil.copy(file, tmp_path / file.name)
    status, out, err = run(capsys, exported["int8"], copy, "--tolerance", 1000, "--json")
    assert status in (0, 6), err
    found = json.loads(out)
    assert [m["contender"]["kind"] for m in found["measurements"]] == ["network"] * 2
    assert len({m["contender"]["sha256"] for m in found["measurements"]}) == 1
    assert found["measurements"][1]["checks"][0]["name"] == "ratio to the baseline"
    for m in found["measurements"]:  # these weights are not the shipped ones
        assert m["parity"] is None
        assert "weights were not given" in m["unscored"]


def test_a_broken_file_is_a_failure(capsys, tmp_path, exported, monkeypatch):
    few = Effort(warm_up=1, least_count=20, least_seconds=0, most_seconds=0.3)
    monkeypatch.setattr(verb, "suite_of", lambda *a, **k: suite_of(*a, **k).model_copy(update={"effort": few}))
    broken = tmp_path / "new.onnx"
    broken.write_bytes(exported["int8"].read_bytes()[:1000])
    status, out, _ = run(capsys, exported["int8"], broken)
    assert status == 1
    assert f"not run: {broken}" in out


def test_a_contender_that_is_missing_must_be_declared_optional(capsys, suite, tmp_path):
    missing = f'[[contenders]]\nlabel = "theirs"\npeer = "file"\ncheckout = "{tmp_path / "none.py"}"\n'
    suite.write_text(SUITE + missing)
    assert run(capsys, suite)[0] == 1
    suite.write_text(SUITE + missing + "optional = true\n")
    status, out, _ = run(capsys, suite, "--json")
    assert status == 0
    assert [(f["contender"], f["optional"]) for f in json.loads(out)["failures"]] == [("theirs", True)]


def test_two_results(capsys, tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    write_result(old, result(measurement("base", 100.0), measurement("a", 10.0, seed=1)))
    write_result(new, result(measurement("base", 100.0, seed=2), measurement("a", 13.0, seed=3)))
    status, out, _ = run(capsys, "--compare", old, new)
    assert status == 5
    assert "FAIL" in out
    status, out, _ = run(capsys, "--compare", old, new, "--json")
    assert json.loads(out)["changes"][0]["time"]["estimate"] == pytest.approx(1.3, abs=0.05)
    assert run(capsys, "--compare", old, new, "--tolerance", 0.5)[0] == 0


def test_a_page_over_a_folder(capsys, tmp_path):
    folder = tmp_path / "results" / "0.1.0"
    folder.mkdir(parents=True)
    write_result(folder / "made.json", result(measurement("a", 10.0)))
    (folder / "other.json").write_text('{"rows": []}')
    status, _, err = run(capsys, "--site", folder.parent, "--report", tmp_path / "site")
    assert status == 0, err
    assert (tmp_path / "site" / "index.html").read_text().count("<section") == 1
    (folder / "bad.json").write_text('{"suite": "bad"}')
    status, _, err = run(capsys, "--site", folder.parent, "--report", tmp_path / "site2")
    assert status == 1
    assert "bad.json" in err
    assert not (tmp_path / "site2").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "nothing to measure"),
        (("cpuu",), 2, "did you mean cpu"),
        (("none.toml",), 2, "there is no file none.toml"),
        (("a.onnx", "b.onnx"), 2, "there is no file a.onnx"),
        (("cpu", "-o", "r.txt"), 2, ".json"),
        (("cpu", "-o", "absent/r.json"), 2, "absent"),
        (("cpu", "--budget", "nothing-here"), 2, "budget"),
        (("cpu", "--data", "absent"), 2, "data root absent"),
        (("--compare", "a.json"), 2, "takes two results"),
        (("--compare", "a.json", "b.json"), 2, "there is no result a.json"),
        (("--site", "absent", "--report", "out"), 2, "no folder absent"),
        (("--site", "."), 2, "needs a folder for the page"),
        (("--site", ".", "--report", "out"), 1, "holds no result"),
    ],
)
def test_wrong_calls_are_one_line(capsys, tmp_path, monkeypatch, arguments, status, says):
    monkeypatch.chdir(tmp_path)
    found, out, err = run(capsys, *arguments)
    assert found == status
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_suite_is_one_line(capsys, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text('name = "s"\nbaseline = "x"\n')
    status, _, err = run(capsys, path)
    assert status == 1
    assert "contenders" in err
    assert len(err.strip().splitlines()) == 1
