"""Real runs: processes, turns, planted slow-downs, contenders that die."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_harmony.benchmark.budget import exit_code
from edge_harmony.benchmark.peers import PEERS
from edge_harmony.benchmark.process import ContenderProcess
from edge_harmony.benchmark.run import run_suite
from edge_harmony.benchmark.statistics import Verdict
from edge_harmony.benchmark.suite import ContenderSpec, Effort, Suite
from edge_harmony.data.iharmony4 import read_split
from edge_harmony.errors import EdgeHarmonyError, ExitCode, UsageError
from edge_harmony.quality.evaluation import score_samples, summarize
from edge_harmony.quality.preparation import PLAIN, SEALED

pytestmark = pytest.mark.lengthy

# The clock of the process that times it moves by what a query is said to take: what is found depends on no machine.
WORK = """
import time
import numpy as np

dice = np.random.default_rng({seed})
time.now = getattr(time, "now", 0)  # one clock for all streams of the process
time.perf_counter_ns = lambda: time.now

def load(checkpoint):
    def run(composite, mask):
        {before}
        time.now += int(1e6 * {milliseconds} * dice.normal(1, 0.03))
        return composite
    return run
"""
QUICK = Effort(warm_up=2, least_count=40, least_seconds=0.3, most_seconds=0.8, tight=0.01)
UNHURRIED = Effort(warm_up=2, least_count=40, least_seconds=0, most_seconds=3600, tight=0.99)
"""For those that are timed by the machine's clock: as many queries as asked for, however slow it is."""


def peer(folder: Path, name: str, milliseconds: float = 10, before: str = "pass") -> ContenderSpec:
    path = folder / f"{name}.py"
    path.write_text(WORK.format(seed=len(list(folder.iterdir())), milliseconds=milliseconds, before=before))
    return ContenderSpec(peer="file", checkout=path, label=name)


def suite(*entries: ContenderSpec, **own) -> Suite:
    return Suite(**({"name": "s", "baseline": entries[0].name, "contenders": entries, "effort": QUICK} | own))


def by_name(result):
    return {m.contender.name: m for m in result.measurements}


def test_a_planted_slow_down_is_found_and_an_identical_build_is_not(tmp_path):
    entries = [peer(tmp_path, "old"), peer(tmp_path, "same"), peer(tmp_path, "slow", 12)]
    effort = Effort(warm_up=2, least_count=100, least_seconds=1, most_seconds=3, tight=0.01)
    result = run_suite(suite(*entries, tolerance=0.05, effort=effort))
    found = by_name(result)
    assert found["slow"].verdict is Verdict.FAIL
    assert found["same"].verdict is not Verdict.FAIL
    assert found["slow"].ratio.estimate == pytest.approx(1.2, abs=0.02)
    assert exit_code(result) is ExitCode.COST


def test_what_a_measurement_holds(tmp_path):
    entries = (peer(tmp_path, "a"), ContenderSpec(model="edge-n"))
    result = run_suite(suite(*entries, effort=UNHURRIED), pictures=tmp_path / "pictures")
    ours = by_name(result)["edge-n int8 onnxruntime"]
    assert set(ours.stages_ms) == {"preprocess", "infer", "apply"}
    whole = np.sum([ours.stages_ms[name] for name in ours.stages_ms], axis=0)
    np.testing.assert_array_less(whole, np.array(ours.samples_ms))
    assert np.median(whole) > 0.9 * ours.summary.p50.estimate
    assert ours.summary.count == len(ours.samples_ms) >= 40
    assert ours.summary.minimum <= ours.summary.p50.low <= ours.summary.p50.high <= ours.summary.p99
    assert ours.contender.sha256
    assert ours.parity.psnr > 38
    assert ours.truth is None
    assert "no data set" in ours.unscored
    assert ours.cost.peak_memory.value > 30 * 2**20
    for reading in (ours.cost.energy, ours.cost.device_memory, ours.cost.temperature):
        assert (reading.value is None) == bool(reading.reason)
    theirs = by_name(result)["a"]
    assert theirs.parity is None
    assert "a peer has no reference" in theirs.unscored


def test_scores_against_a_data_set_and_its_worst_pictures(tmp_path, mini_root, edge_weights, exported):
    entries = (
        ContenderSpec(artifact=exported["int8"], weights=edge_weights, label="ours"),
        ContenderSpec(peer="reinhard"),
    )
    result = run_suite(suite(*entries, limit=3), data=mini_root, pictures=tmp_path)
    ours, theirs = by_name(result)["ours"], by_name(result)["reinhard"]
    assert ours.truth.images == theirs.truth.images == ours.parity.images == 3
    assert ours.truth.composite == theirs.truth.composite
    assert ours.truth.result != theirs.truth.result
    assert ours.truth.harm.gain == pytest.approx(ours.truth.result.psnr - ours.truth.composite.psnr)
    scored, peer_itself = read_split(mini_root, "test")[::2], PEERS["reinhard"].load(None, None)
    plain, sealed = (summarize(score_samples(peer_itself, scored, preparation=p)) for p in (PLAIN, SEALED))
    assert theirs.truth.harm.model_dump() == pytest.approx(plain["harm"])
    assert theirs.truth.sealed.model_dump() == pytest.approx(sealed["harm"])
    assert [case.value for case in ours.truth.worst] == sorted((c.value for c in ours.truth.worst), reverse=True)
    names = {path.name for path in (tmp_path / ours.contender.folder).iterdir()}
    assert names == {
        f"{k}-{panel}.webp" for k in range(3) for panel in ("composite", "mask", "result", "real", "error")
    }
    assert (ours.contender.model, ours.contender.precision) == ("edge-n", "int8")


@pytest.mark.parametrize(
    ("own", "pictures"),
    [
        ({"scenario": "multi-stream", "streams": 2}, 2),
        ({"scenario": "offline", "streams": 2, "pictures": 6}, 6),
    ],
)
def test_queries_of_several_pictures(tmp_path, own, pictures):
    result = run_suite(suite(peer(tmp_path, "a", 2), **own))
    (m,) = result.measurements
    assert (m.protocol.pictures, m.protocol.streams) == (pictures, 2)
    assert m.summary.throughput == pytest.approx(1e3 * pictures / m.summary.mean, rel=1e-3)
    assert m.stages_ms == {}


def test_from_files_to_files():
    result = run_suite(
        suite(
            ContenderSpec(model="edge-n"), ContenderSpec(peer="reinhard"), scenario="end-to-end", height=96, width=128
        )
    )
    ours = by_name(result)["edge-n int8 onnxruntime"]
    assert set(ours.stages_ms) == {"decode", "preprocess", "infer", "apply", "encode"}
    assert len(ours.stages_ms["decode"]) == ours.summary.count
    assert set(by_name(result)["reinhard"].stages_ms) == {"decode", "harmonize", "encode"}


def test_pytorch_tells_what_it_copies(edge_weights):
    entry = ContenderSpec(model="edge-n", weights=edge_weights, backend="pytorch", precision="fp32")
    effort = Effort(warm_up=1, least_count=4, least_seconds=0, most_seconds=0.1)
    (m,) = run_suite(suite(entry, scenario="end-to-end", height=96, width=128, effort=effort)).measurements
    assert set(m.stages_ms) == {"decode", "preprocess", "copy", "infer", "apply", "encode"}


def test_a_load_without_a_pause(tmp_path):
    (m,) = run_suite(suite(peer(tmp_path, "a", 3), scenario="sustained", seconds=1.5)).measurements
    assert m.sustained.seconds >= 1.5
    assert m.sustained.window_seconds == pytest.approx(m.sustained.seconds / 3, abs=0.1)
    assert m.sustained.last.estimate == pytest.approx(m.sustained.first.estimate, rel=0.05)
    assert m.sustained.seconds_to_throttle.value is None
    assert m.sustained.seconds_to_throttle.reason
    assert not m.protocol.interleaved
    assert m.ratio is None


def test_those_that_fail_are_listed_and_the_rest_goes_on(tmp_path):
    count = "run.calls = getattr(run, 'calls', 0) + 1"
    entries = [
        peer(tmp_path, "good"),
        peer(tmp_path, "dies", before=f"{count}\n        import os\n        os._exit(7) if run.calls > 9 else None"),
        peer(tmp_path, "raises", before="raise ValueError('no such thing')"),
        ContenderSpec(peer="file", checkout=tmp_path / "none.py", label="missing"),
        ContenderSpec(model="edge-s", backend="tensorrt"),
    ]
    result = run_suite(suite(*entries))
    assert [m.contender.name for m in result.measurements] == ["good"]
    why = {failure.contender: failure.error for failure in result.failures}
    assert "exit status 7" in why["dies"]
    assert "ValueError: no such thing" in why["raises"]
    assert "no checkout" in why["missing"]
    assert "tensorrt" in why["edge-s int8 tensorrt"]


def test_a_baseline_that_fails_ends_the_run(tmp_path):
    bad = peer(tmp_path, "bad", before="raise ValueError('no')")
    with pytest.raises(EdgeHarmonyError, match="the baseline bad does not run: ValueError: no"):
        run_suite(suite(bad, peer(tmp_path, "good")))
    with pytest.raises(UsageError, match="not a folder"):
        run_suite(suite(bad), data=tmp_path / "none")


@pytest.mark.slow
def test_a_network_without_weights_is_timed_and_not_scored():
    effort = Effort(warm_up=0, least_count=2, least_seconds=0, most_seconds=0.1)
    entry = ContenderSpec(model="rcl", backend="pytorch", precision="fp32")
    (m,) = run_suite(suite(entry, effort=effort)).measurements
    assert m.contender.untrained
    assert m.parity is None
    assert m.unscored == "its weights are random"


def test_a_worker_that_hangs_is_ended(tmp_path):
    worker = ContenderProcess(1)
    entry = peer(tmp_path, "sleeps", before="import time\n        time.sleep(3600)")
    job = {"entry": entry.model_dump(mode="json"), "suite": suite(entry).model_dump(mode="json")}
    with pytest.raises(EdgeHarmonyError, match="no answer within"):
        worker.ask("open", job=job, timeout=1)
    worker.close()
