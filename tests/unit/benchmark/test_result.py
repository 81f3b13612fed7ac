"""The schema, and files of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_harmony.benchmark.comparison import compare_results
from edge_harmony.benchmark.report.html import page
from edge_harmony.benchmark.report.text import as_csv, complaints, markdown
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


def changed(folder, places):
    """A file of a sound result with other values at some places."""
    made = result(
        measurement("a fp32 pytorch", 10.0, psnr=30.0, parity=50.0, stages={"infer": [1.5, 2.0], "apply": [1e-5]}),
        measurement("b fp32 pytorch", 12.0, psnr=31.0, parity=52.0),
    )
    write_result(folder / "r.json", made)
    content = json.loads((folder / "r.json").read_text())
    for place, value in places.items():
        *way, last = [int(step) if step.isdigit() else step for step in place.split(".")]
        inner = content
        for step in way:
            inner = inner[step]
        inner[last] = value
    (folder / "r.json").write_text(json.dumps(content))
    return folder / "r.json", made


NO_TIMES = [[], [1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")], [1.0, 1e300], [1.0, 1e-300]]
NO_NUMBERS = [float("nan"), float("inf"), 1e300, -1e300]
IMPOSSIBLE = [
    ("measurements", []),
    *(("measurements.0.samples_ms", value) for value in NO_TIMES),
    *(("measurements.0.stages_ms.infer", [value]) for value in (*NO_NUMBERS, -1.0)),
    *(("measurements.0.summary.p50.estimate", value) for value in (*NO_NUMBERS, 0.0, -1.0)),
    *(("measurements.0.summary.p90.high", value) for value in (*NO_NUMBERS, 0.0, -1.0)),
    *((f"measurements.0.truth.{which}.psnr", value) for which in ("result", "composite") for value in NO_NUMBERS),
    *(("measurements.0.parity.psnr", value) for value in NO_NUMBERS),
    *((f"measurements.0.protocol.{count}", 0) for count in ("burst", "pictures", "streams", "height", "width")),
]


@pytest.mark.parametrize(("place", "value"), IMPOSSIBLE)
def test_numbers_that_no_measurement_gives(tmp_path, place, value):
    path, _ = changed(tmp_path, {place: value})
    with pytest.raises(InputError, match=".".join(place.split(".")[:4])) as caught:
        read_result(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "places",
    [
        {"measurements.0.samples_ms": [1e-9, 1e12], "measurements.0.protocol.burst": 1},
        {"measurements.0.summary.p50.estimate": 1e-9, "measurements.1.summary.p50.estimate": 1e12},
        {"measurements.0.truth.result.psnr": 200, "measurements.1.truth.result.psnr": -200},
        {"measurements.0.truth.result.psnr": None},
        {f"measurements.{k}.truth.{which}.psnr": None for k in (0, 1) for which in ("result", "composite")},
        {f"measurements.{k}.truth.composite.psnr": None for k in (0, 1)},
        {"measurements.0.stages_ms": {"infer": [0.0], "apply": [0.0]}},
        {"measurements.0.stages_ms": {"infer": [], "apply": [1e12]}},
        {"measurements.0.summary.p99": float("nan"), "measurements.0.summary.throughput": float("inf")},
        {"measurements.0.contender.name": "", "measurements.1.contender.name": "x" * 10_000},
    ],
)
def test_numbers_at_the_limits_are_reported(tmp_path, places):
    path, other = changed(tmp_path, places)
    found = read_result(path)
    for report in (as_csv, markdown, page):
        assert report(found)
    complaints(found)
    if found.measurements[1].contender.name == other.measurements[1].contender.name:
        compare_results(found, other, 0.05)
        compare_results(other, found, 0.05)


def test_turns_that_are_too_few_to_compare(tmp_path):
    path, other = changed(tmp_path, {"measurements.1.protocol.burst": 100, "measurements.0.protocol.burst": 100})
    short = read_result(path)
    with pytest.raises(InputError, match=r"the times of b fp32 pytorch cannot be compared .*at least two"):
        compare_results(short, short, 0.05)
    with pytest.raises(InputError, match="cannot be compared"):
        compare_results(short, other, 0.05)


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
