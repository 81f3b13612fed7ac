"""The schema, and files of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_harmony.benchmark.result import is_of_suite, read_result, write_result
from edge_harmony.errors import InputError, UsageError
from tests.unit.benchmark.made import measurement, result

ROOT = Path(__file__).parents[3]


def test_a_result_survives_its_file(tmp_path):
    made = result(measurement("a", 10.0, psnr=30.0, parity=50.0, stages={"infer": [1.5, 2.0], "apply": [1e-5]}))
    path = tmp_path / "r.json"
    write_result(path, made)
    assert read_result(path) == made
    assert is_of_suite(path)
    text = path.read_text()
    numbers = [line for line in text.splitlines() if line.count(", ") == 59]
    assert len(numbers) == 1  # the samples are one line
    assert json.loads(text)["measurements"][0]["cost"]["energy"] == {
        "value": None,
        "unit": "J",
        "source": "RAPL",
        "reason": "this system shows no RAPL",
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"suite": 5}, "suite"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_no_result(tmp_path, change, says):
    path = tmp_path / "r.json"
    write_result(path, result(measurement("a", 10.0)))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=says):
        read_result(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="there is no result"):
        read_result(tmp_path / "none.json")
    path = tmp_path / "cut.json"
    path.write_text('{"suite": "x", ')
    with pytest.raises(InputError, match="schema version 1"):
        read_result(path)
    assert not is_of_suite(path)


def test_every_committed_result_can_be_read():
    paths = [path for path in (ROOT / "benchmarks" / "results").glob("*/*.json") if is_of_suite(path)]
    assert paths
    for path in paths:
        content = read_result(path)
        assert path.stem == content.suite
        assert all(m.samples_ms for m in content.measurements)
