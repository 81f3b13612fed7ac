"""Limits, verdicts and exit codes, on results whose values are known."""

from __future__ import annotations

import pytest

from edge_harmony.benchmark.budget import Budget, Limits, check_names, exit_code, judge
from edge_harmony.benchmark.result import Failure, Sustained
from edge_harmony.benchmark.statistics import Interval, Verdict
from edge_harmony.errors import ExitCode, InputError
from edge_harmony.machine.counters import Reading
from tests.unit.benchmark.made import measurement, result

BASE = measurement("base fp32 pytorch", 100.0, psnr=29.0)
OURS = measurement("edge-s int8 onnxruntime", 10.0, psnr=30.0, parity=45.0, stages={"infer": [8.0, 9.0] * 20})

RATIO = result(BASE, OURS).measurements[1].ratio.estimate


def judged(limits, *measurements, **own):
    budget = Budget(limits=[{"contender": "edge-s*"} | limits])
    found = judge(result(*(measurements or (BASE, OURS)), **own), budget)
    checks = next(m for m in found.measurements if m.contender.name.startswith("edge-s")).checks
    return checks, exit_code(found, budget)


@pytest.mark.parametrize(
    ("limits", "verdict", "code"),
    [
        ({"max_p90_ms": 12}, Verdict.PASS, ExitCode.OK),
        ({"max_p90_ms": 8}, Verdict.FAIL, ExitCode.COST),
        ({"max_p99_ms": 12}, Verdict.PASS, ExitCode.OK),
        ({"max_ratio": 0.11}, Verdict.PASS, ExitCode.OK),
        ({"max_ratio": 0.09}, Verdict.FAIL, ExitCode.COST),
        ({"max_ratio": RATIO}, Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE),
        ({"max_peak_memory_mib": 101}, Verdict.PASS, ExitCode.OK),
        ({"max_peak_memory_mib": 99}, Verdict.FAIL, ExitCode.COST),
        ({"max_energy_j": 1}, Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE),
        ({"max_slowing": 1.1}, Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE),
        ({"min_parity_psnr": 44}, Verdict.PASS, ExitCode.OK),
        ({"min_parity_psnr": 46}, Verdict.FAIL, ExitCode.ACCURACY),
        ({"min_psnr_gain": 1.9}, Verdict.PASS, ExitCode.OK),
        ({"min_psnr_gain": 2.1}, Verdict.FAIL, ExitCode.ACCURACY),
        ({"max_fmse_share": 0.6}, Verdict.PASS, ExitCode.OK),
        ({"max_fmse_share": 0.5}, Verdict.FAIL, ExitCode.ACCURACY),
    ],
)
def test_a_limit(limits, verdict, code):
    (check,), found = judged(limits)
    assert (check.verdict, found) == (verdict, code)
    assert check.reason or check.found is not None


def test_accuracy_comes_before_cost_and_failure_before_doubt():
    _, code = judged({"max_p90_ms": 8, "min_parity_psnr": 46, "max_energy_j": 1})
    assert code is ExitCode.ACCURACY
    _, code = judged({"max_p90_ms": 8, "max_energy_j": 1})
    assert code is ExitCode.COST


def test_a_target_brings_its_own_limits():
    checks, code = judged({"target": "cpu-onnxruntime-int8"})
    assert [check.name for check in checks] == ["p90 of the network, ms", "parity, dB"]
    assert checks[0].found.estimate == pytest.approx(9.0)  # of the network's part, not of the whole
    assert code is ExitCode.OK


def test_energy_and_slowing_where_they_were_measured():
    hot = measurement("edge-s int8 tensorrt", 10.0, energy=0.3)
    slow = hot.model_copy(
        update={
            "sustained": Sustained(
                seconds=180.0,
                window_seconds=60.0,
                first=Interval(10.0, 9.9, 10.1),
                last=Interval(13.0, 12.9, 13.1),
                seconds_to_throttle=Reading(42.0, "s", "counters between turns"),
            )
        }
    )
    checks, code = judged({"max_energy_j": 0.2, "max_slowing": 1.1}, BASE, slow)
    assert [check.verdict for check in checks] == [Verdict.FAIL] * 2
    assert code is ExitCode.COST


def test_a_contender_that_did_not_run_is_a_failure_unless_it_is_optional():
    budget = Budget(limits=[Limits(contender="edge-s*", max_ratio=1.0)])
    failed = [Failure(contender="edge-s int8 tensorrt", error="no GPU")]
    assert exit_code(result(BASE, failures=failed)) is ExitCode.FAILURE
    assert exit_code(judge(result(BASE, failures=failed), budget), budget) is ExitCode.FAILURE
    optional = [failed[0].model_copy(update={"optional": True})]
    assert exit_code(result(BASE, failures=optional)) is ExitCode.OK
    assert exit_code(result(BASE, failures=[*optional, *failed])) is ExitCode.FAILURE
    lacking = [failure.model_copy(update={"exit_code": int(ExitCode.CAPABILITY)}) for failure in failed]
    assert exit_code(result(BASE, failures=lacking)) is ExitCode.CAPABILITY
    assert exit_code(result(BASE, failures=[*lacking, *failed])) is ExitCode.FAILURE
    limited = judge(result(BASE, failures=optional), budget)
    assert exit_code(limited, budget) is ExitCode.INCONCLUSIVE  # what was limited is not known
    slow = judge(result(BASE, measurement("new fp32 pytorch", 120.0, seed=1), failures=failed), None, 0.05)
    assert exit_code(slow) is ExitCode.COST


def test_a_limit_that_fits_nobody_is_an_error():
    with pytest.raises(InputError, match="match no contender"):
        check_names(Budget(limits=[Limits(contender="egde*", max_ratio=1.0)]), ["edge-s int8 onnxruntime"])


def test_a_tolerance_holds_everyone_to_the_baseline():
    new = measurement("new fp32 pytorch", 120.0, seed=1)
    same = measurement("same fp32 pytorch", 100.0, seed=2)
    found = judge(result(BASE, new, same), None, 0.05)
    assert [m.verdict for m in found.measurements] == [None, Verdict.FAIL, Verdict.PASS]
    assert exit_code(found) is ExitCode.COST
