"""Suites and budgets as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_harmony.benchmark.budget import read_budget
from edge_harmony.benchmark.job import ContenderJob
from edge_harmony.benchmark.preparation import prepare
from edge_harmony.benchmark.suite import ContenderSpec, read_suite, suite_of
from edge_harmony.errors import InputError, UsageError
from edge_harmony.files.resources import resource_names
from edge_harmony.models.registry import MODELS

SUITE = 'name = "s"\nbaseline = "reinhard"\n[[contenders]]\npeer = "reinhard"\n'


@pytest.mark.parametrize("name", resource_names("suites"))
def test_every_shipped_suite_is_valid(name):
    suite = read_suite(name)
    assert suite.name == name
    assert {entry.model for entry in suite.contenders if entry.model} <= set(MODELS)


def test_every_shipped_budget_is_valid_and_limits_something():
    names = resource_names("budgets")
    assert names
    for name in names:
        for limits in read_budget(name).limits:
            assert len(limits.model_dump(exclude_none=True)) > 1, name


def test_the_cpu_suite_has_every_precision_of_the_family_on_every_cpu_backend():
    names = {entry.name for entry in read_suite("cpu").contenders}
    for model in ("edge-n", "edge-s", "edge-m"):
        for precision in ("fp32", "fp16", "int8"):
            assert {f"{model} {precision} onnxruntime", f"{model} {precision} openvino"} <= names
        assert f"{model} fp32 pytorch" in names
    assert {"hdnet-lite fp32 pytorch", "hdnet-lite fp32 pytorch compiled", "reinhard", "seamless-clone"} <= names


def test_relative_paths_are_those_of_the_suite(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(SUITE + '[[contenders]]\npeer = "file"\ncheckout = "mine.py"\n')
    entry = read_suite(str(path)).contenders[1]
    assert entry.checkout == tmp_path / "mine.py"
    assert entry.name == "file"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SUITE.replace('baseline = "reinhard"', 'baseline = "other"'), "none of the contenders"),
        (SUITE + '[[contenders]]\npeer = "reinhard"\n', "share the name"),
        (SUITE + '[[contenders]]\npeer = "magic"\n', "no peer 'magic'"),
        (SUITE + '[[contenders]]\npeer = "pct-net"\n', "needs a checkout"),
        (SUITE + '[[contenders]]\nmodel = "edge-s"\npeer = "reinhard"\n', "not both"),
        (SUITE + '[[contenders]]\nmodel = "edge-s"\nmode = "compiled"\n', "backend onnxruntime has no mode 'compiled'"),
        (SUITE + '[[contenders]]\nmodel = "edge-s"\nspeed = 3\n', "speed"),
        ('scenario = "end-to-end"\n' + SUITE + '[[contenders]]\nmodel = "edge-s"\nkind = "network"\n', "kind network"),
    ],
)
def test_suites_that_make_no_sense(tmp_path, text, says):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_suite(str(path))


def test_unknown_names_are_usage_errors():
    with pytest.raises(UsageError, match="did you mean cpu"):
        read_suite("cpuu")
    with pytest.raises(UsageError):
        read_budget("none-of-this-name")


def test_a_budget_that_names_no_target(tmp_path):
    path = tmp_path / "b.toml"
    path.write_text('[[limits]]\ncontender = "*"\ntarget = "toaster-int8"\n')
    with pytest.raises(UsageError, match="toaster"):
        read_budget(str(path))


def test_files_against_each_other(tmp_path):
    suite = suite_of([tmp_path / "a.onnx", tmp_path / "b.onnx"], "openvino", 0.1, threads=2)
    assert suite.baseline == str(tmp_path / "a.onnx")
    assert [entry.backend for entry in suite.contenders] == ["openvino"] * 2
    assert suite.tolerance == 0.1


def test_what_runs_where_and_what_is_scored(tmp_path):
    suite = read_suite("cpu")
    for entry, device in (
        (ContenderSpec(model="edge-s"), "cpu"),
        (ContenderSpec(model="edge-s", backend="tensorrt"), "cuda:0"),
        (ContenderSpec(model="edge-s", backend="pytorch", precision="fp32", device="cuda:1"), "cuda:1"),
        (ContenderSpec(peer="reinhard", backend="tensorrt"), "cpu"),
    ):
        assert ContenderJob(entry=entry, suite=suite).device == device
    for checkpoint, untrained in ((None, True), (tmp_path / "x.pth", False)):
        entry = ContenderSpec(peer="pct-net", checkout=tmp_path, checkpoint=checkpoint)
        assert prepare(entry, suite, tmp_path).untrained is untrained
    assert not prepare(ContenderSpec(peer="reinhard"), suite, tmp_path).untrained


def test_names_say_what_differs():
    assert (
        ContenderSpec(model="edge-s", backend="pytorch", precision="fp32", mode="compiled").name
        == "edge-s fp32 pytorch compiled"
    )
    usual = ContenderSpec(model="edge-s", backend="pytorch", precision="fp32", mode="eager")
    assert (usual.name, usual.mode) == ("edge-s fp32 pytorch", None)
    assert ContenderSpec(model="edge-s", kind="network").name == "edge-s int8 onnxruntime network"
    assert ContenderSpec(artifact=Path("a.onnx"), label="new").name == "new"
