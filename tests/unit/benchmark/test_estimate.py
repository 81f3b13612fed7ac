"""How long a suite takes, before it is run."""

import json

from edge_harmony.benchmark.estimate import REST_SECONDS, estimate
from edge_harmony.benchmark.result import read_result
from edge_harmony.benchmark.suite import read_suite
from edge_harmony.cli.main import main
from tests.unit.test_imports import ROOT


def test_the_least_and_the_most_of_each_contender_are_added():
    suite = read_suite("cpu-quick")
    count = len(suite.contenders)
    effort = suite.effort
    assert estimate(suite) == (
        count * (REST_SECONDS + effort.least_seconds),
        count * (REST_SECONDS + effort.most_seconds),
    )
    assert estimate(suite)[1] <= 180  # three minutes, as its file says
    load = suite.model_copy(update={"scenario": "sustained", "seconds": 100.0})
    assert estimate(load) == (count * (REST_SECONDS + 100), count * (REST_SECONDS + 100))


def test_it_agrees_with_a_committed_result():
    result = read_result(ROOT / "benchmarks" / "results" / "0.1.0" / "cpu.json")
    suite = read_suite("cpu")
    measured = {m.contender.name for m in result.measurements}
    ran = suite.model_copy(update={"contenders": tuple(c for c in suite.contenders if c.name in measured)})
    low, high = estimate(ran)
    assert low / 1.5 < result.seconds < 1.5 * high


def test_the_verb_says_it_and_measures_nothing(capsys):
    assert main(["benchmark", "cpu-quick", "--estimate"]) == 0
    assert capsys.readouterr().out.startswith("cpu-quick: 6 contenders, about 2 min 6 s to 2 min 18 s; ")
    assert main(["benchmark", "cpu", "--estimate", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["suite"] == "cpu"
    assert told["seconds"][0] <= told["seconds"][1]
