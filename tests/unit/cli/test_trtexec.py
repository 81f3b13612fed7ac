"""Every flag of trtexec 10: taken, refused with what takes its place, or without effect and saying why."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from docs.tabulated.devices import trtexec_table
from edge_harmony.cli.main import app, main
from edge_harmony.cli.trtexec import REFUSED, WITHOUT_EFFECT

FLAGS = [
    line
    for line in (Path(__file__).parents[2] / "golden" / "trtexec_flags.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
OLD = {"batch", "buildOnly", "explicitBatch", "maxBatch", "minTiming", "workspace"}


def taken():
    command = typer.main.get_command(app).commands["build"]
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def test_the_list_is_that_of_trtexec():
    assert len(FLAGS) == len(set(FLAGS)) > 100
    assert {
        "onnx",
        "saveEngine",
        "infStreams",
        "layerPrecisions",
        "getPlanVersionOnly",
        "tilingOptimizationLevel",
    } <= set(FLAGS)


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_answered_in_one_way(flag):
    assert sum((f"--{flag}" in taken(), flag in REFUSED, flag in WITHOUT_EFFECT)) == 1


def test_earlier_flags_are_answered_too():
    assert REFUSED.keys() | WITHOUT_EFFECT.keys() >= OLD


def test_what_a_reason_names_is_taken():
    for reason in (*REFUSED.values(), *WITHOUT_EFFECT.values()):
        named = [word.rstrip(",;:.").partition("=")[0] for word in reason.split() if word.startswith("--")]
        for flag in named:
            assert flag in taken() | {"--target"}, reason


@pytest.mark.parametrize("flag", sorted(REFUSED))
def test_a_refused_flag_is_one_line(flag, capsys):
    assert main(["build", "none.onnx", f"--{flag}=1"]) == 2
    err = capsys.readouterr().err
    assert err == f"error: edge-harmony build does not take trtexec's --{flag}; {REFUSED[flag]}\n"


def test_flags_without_effect_are_said_and_the_rest_goes_on(capsys):
    assert main(["build", "none.onnx", *(f"--{flag}" for flag in WITHOUT_EFFECT), "--fp16", "--stronglyTyped"]) == 2
    *said, last = capsys.readouterr().err.splitlines()
    assert said == [f"--{flag} changes nothing: {reason}" for flag, reason in WITHOUT_EFFECT.items()]
    assert last.startswith("error: --fp16 contradicts --stronglyTyped")


def test_the_table_of_the_documents_has_every_flag():
    rows = trtexec_table().splitlines()[2:]
    assert [row.split("`")[1].removeprefix("--") for row in rows] == sorted(FLAGS, key=str.lower)
