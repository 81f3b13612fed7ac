"""A seeded part of the campaign of accidents, and the preload library that makes them."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.faults.accidents import (
    ACCIDENTS,
    FAIL,
    FAIL_FROM_NOW_ON,
    JUMP,
    NOTHING,
    SHORT,
    SIGNAL,
    choose,
    library,
    run_accidents,
)
from tests.faults.scenarios import SCENARIOS

pytestmark = pytest.mark.lengthy

CAMPAIGN = 7


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    if not sys.platform.startswith("linux"):
        pytest.skip("the preload library is for Linux")
    folder = tmp_path_factory.mktemp("accidents")
    try:
        library(folder)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no C compiler")
    return folder


@pytest.mark.slow
def test_seven_accidents_lose_nothing(out):
    for module in ("torch", "av", "onnxscript"):
        pytest.importorskip(module)
    journal = run_accidents(out, CAMPAIGN, range(7))
    assert len(journal.verdicts) == 7
    assert journal.faults == [], journal.summary()
    assert len({verdict.kind for verdict in journal.verdicts.values()}) > 3


def test_an_accident_is_chosen_by_its_number_alone():
    chosen = [choose(CAMPAIGN, number) for number in range(300)]
    again = [choose(CAMPAIGN, number) for number in range(300)]
    assert [pair[:2] for pair in chosen] == [pair[:2] for pair in again]
    assert {scenario.name for scenario, _, _ in chosen} == {scenario.name for scenario in SCENARIOS}
    assert {accident.name for _, accident, _ in chosen} == {accident.name for accident in ACCIDENTS}


WRITES = """
import os, sys, time
began = time.time()
for name in "abc":
    try:
        with open(f"{sys.argv[1]}/{name}", "wb", buffering=0) as file:
            print(name, file.write(b"0123456789"))
    except OSError as error:
        print(name, error.strerror)
print("ahead" if time.time() > began + 1000 else "in time")
"""


@pytest.mark.parametrize(
    ("action", "nth", "number", "said"),
    [
        (NOTHING, 1, 0, "a 10 b 10 c 10 in time"),
        (FAIL, 2, 28, "a No space left on device b 10 c 10 in time"),
        (FAIL, 3, 24, "a 10 b Too many open files c 10 in time"),
        (FAIL, 4, 4, "a 10 b 10 c 10 in time"),  # Python repeats an interrupted call
        (FAIL_FROM_NOW_ON, 4, 5, "a 10 b Input/output error c Input/output error in time"),
        (SHORT, 4, 28, "a 10 b 5 c 10 in time"),
        (SIGNAL, 5, 9, "a 10 b 10"),
        (JUMP, 2, 5000, "a 10 b 10 c 10 ahead"),
    ],
)
def test_the_library_does_its_harm_at_the_nth_operation(out, tmp_path, action, nth, number, said):
    given = "|".join(map(str, (tmp_path, nth, action, number, "")))
    environment = os.environ | {"LD_PRELOAD": str(library(out)), "FAULTS_ARM": given, "PYTHONUNBUFFERED": "1"}
    call = [sys.executable, "-c", textwrap.dedent(WRITES), str(tmp_path)]
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert " ".join(done.stdout.split()) == said, done.stderr


def test_of_several_processes_one_meets_the_accident(out, tmp_path):
    token = tmp_path / "token"
    (tmp_path / "work").mkdir()
    given = "|".join(map(str, (tmp_path / "work", 1, SIGNAL, 9, token)))
    environment = os.environ | {"LD_PRELOAD": str(library(out)), "FAULTS_ARM": given}
    call = [sys.executable, "-c", textwrap.dedent(WRITES), str(tmp_path / "work")]
    statuses = [subprocess.run(call, env=environment, capture_output=True).returncode for _ in range(3)]
    assert statuses == [-9, 0, 0]
