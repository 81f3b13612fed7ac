"""Old and new, with known changes."""

from __future__ import annotations

import pytest

from edge_harmony.benchmark.comparison import compare_results
from edge_harmony.benchmark.statistics import Verdict
from edge_harmony.errors import ExitCode, InputError
from tests.unit.benchmark.made import measurement, result

OLD = result(
    measurement("base fp32 pytorch", 100.0),
    measurement("a int8 onnxruntime", 10.0, psnr=30.0, seed=1),
    measurement("b int8 onnxruntime", 5.0, psnr=30.0, seed=2),
)


def test_a_slower_machine_is_no_slower_network():
    new = result(
        measurement("base fp32 pytorch", 150.0, seed=3),
        measurement("a int8 onnxruntime", 15.0, psnr=30.0, seed=4),
        measurement("b int8 onnxruntime", 9.0, psnr=29.98, seed=5),
        versions={"python": "3.12", "onnxruntime": "1.31.1"},
    )
    found = compare_results(OLD, new, 0.05)
    assert found.relative_to == "base fp32 pytorch"
    a, b = found.changes
    assert (a.time_verdict, a.accuracy_verdict) == (Verdict.PASS, Verdict.PASS)
    assert a.time.estimate == pytest.approx(1.0, abs=0.03)
    assert b.time.estimate == pytest.approx(1.2, abs=0.04)
    assert b.time_verdict is Verdict.FAIL
    assert found.exit_code is ExitCode.COST
    assert found.differences == ["python: 3.11 before, 3.12 now"]


def test_lost_quality_comes_first():
    new = result(
        measurement("base fp32 pytorch", 100.0),
        measurement("a int8 onnxruntime", 15.0, psnr=29.8, seed=4),
        measurement("c int8 onnxruntime", 9.0),
    )
    found = compare_results(OLD, new, 0.05)
    assert found.changes[0].psnr == pytest.approx(-0.2)
    assert found.exit_code is ExitCode.ACCURACY
    assert (found.only_old, found.only_new) == (["b int8 onnxruntime"], ["c int8 onnxruntime"])


def test_what_is_gone_and_what_stays_open():
    fewer = result(*OLD.measurements[:2])
    assert compare_results(OLD, fewer, 0.05).exit_code is ExitCode.COST
    assert compare_results(OLD, OLD, 0.05).exit_code is ExitCode.OK
    assert compare_results(OLD, OLD, 1e-6).exit_code is ExitCode.INCONCLUSIVE


def test_without_a_common_baseline_times_stand_for_themselves():
    new = result(*OLD.measurements, baseline=1)
    found = compare_results(OLD, new, 0.05)
    assert found.relative_to is None
    assert len(found.changes) == 3


def test_results_that_cannot_be_compared():
    with pytest.raises(InputError, match="no contender in common"):
        compare_results(OLD, result(measurement("z", 1.0)), 0.05)
    first = OLD.measurements[0]
    other = first.model_copy(update={"protocol": first.protocol.model_copy(update={"threads": 2})})
    with pytest.raises(InputError, match="different things"):
        compare_results(OLD, result(other, *OLD.measurements[1:]), 0.05)
