"""The budget of start-up: the committed result keeps it, and what exceeds it is named."""

import sys

import pytest

from docs.tabulated.results import result
from tests.unit.test_imports import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from startup import BUDGET, MOST_MEGABYTES, excesses


def test_the_committed_result_keeps_the_budget():
    found = result("startup")
    assert found["rows"].keys() - {found["base"]} == BUDGET.keys()
    assert excesses(found) == []


@pytest.mark.parametrize("name", BUDGET)
@pytest.mark.parametrize(("key", "place"), [("cpu_of_base", 0), ("mib_of_base", 1)])
def test_a_call_over_its_budget_is_named(name, key, place):
    found = result("startup")
    limit = BUDGET[name][place]
    found["rows"][name][key] = limit
    assert excesses(found) == []
    found["rows"][name][key] = limit + 0.1
    (line,) = excesses(found)
    assert line.startswith(f"{name}: {limit + 0.1} times")


def test_an_install_over_its_budget_is_named():
    found = result("startup")
    found["megabytes"]["all"] = MOST_MEGABYTES + 1
    assert excesses(found) == [f"the base install: {MOST_MEGABYTES + 1} MB on disk; its budget is {MOST_MEGABYTES}"]
